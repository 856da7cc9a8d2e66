import Base
import HTTP
import Metrics
import Tenancy

/// The gateway's own answers (RFC 9457). They say what is wrong with the request, never what else exists here.
extension Exchange {
    /// Answers in the upstream's place.
    @discardableResult
    func refuse(_ problem: Refusal, _ detail: StaticString, status: UInt16? = nil) -> Halt {
        unsafe refuse(problem, detail, status: status, realm: nil)
    }

    /// - Parameter realm: the host, where the refusal is to name it: in the head, which stands until this returns.
    @discardableResult
    func refuse(_ problem: Refusal, _ detail: StaticString, status: UInt16? = nil, realm: UnsafeRawBufferPointer?) -> Halt {
        // Too late for an answer of our own: the upstream's has begun.
        if phase.hasAnswer {
            breakOff()
            return .refused
        }
        sever()
        phase = .over
        // Whoever sends what can't be understood may mean something else by all that follows.
        if problem == .badRequest { client.retire(expectsMore: true) }
        answer.status = status ?? problem.status
        answer.refusal = problem
        switch problem {
        case .badRequest, .uriTooLong, .headersTooLarge:
            worker.note(.refused(answer.status, detail, request.id), of: client.origin, at: clientAddress)
        default: break
        }
        // Both are written in rooms that nobody else uses until the client's end has sent or copied them.
        let body = unsafe writeProblem(problem, detail)
        let (head, part) = unsafe writeRefusalHead(problem, body, realm)
        return give(head, part)
    }

    private func writeProblem(_ problem: Refusal, _ detail: StaticString) -> UnsafeMutableRawBufferPointer {
        var body = unsafe ByteWriter(worker.rooms.problem)
        body.append("{\"type\":\"")
        body.append(worker.snapshot.problemBase)
        body.append(problem.name)
        body.append("\",\"title\":\"")
        body.append(ReasonPhrase.of(Int(answer.status)))
        body.append("\",\"status\":")
        body.append(decimal: UInt64(answer.status))
        body.append(",\"detail\":\"")
        body.append(detail)
        body.append("\",\"instance\":\"")
        request.id.write(to: &body)
        body.append("\"")
        writeViolatedPolicies(to: &body)
        body.append("}\n")
        return unsafe UnsafeMutableRawBufferPointer(rebasing: worker.rooms.problem[..<body.count])
    }

    private func writeRefusalHead(
        _ problem: Refusal, _ body: UnsafeMutableRawBufferPointer, _ realm: UnsafeRawBufferPointer?
    ) -> (WrittenHead, BodyPart) {
        var out = unsafe ByteWriter(worker.rooms.head)
        if request.grpc != nil {
            writeCallRefusal(to: &out)
            return (WrittenHead(count: out.count, body: .none), .end)
        }
        writeOwnStart(to: &out)
        out.append("\r\nContent-Type: application/problem+json")
        if request.method == .head {
            // As a GET would have got (RFC 9110 section 9.3.2).
            out.append("\r\nContent-Length: ")
            out.append(decimal: UInt64(body.count))
        }
        if let seconds = quotaRetryAfter ?? problem.retryAfter {
            out.append("\r\nRetry-After: ")
            out.append(decimal: seconds)
        }
        // Of what a resource takes the gateway knows no more than what it forwards (RFC 9110 section 15.5.6).
        if answer.status == 405 { out.append("\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") }
        if let realm = unsafe realm { unsafe writeChallenge(realm, to: &out) }
        out.append("\r\n")
        writeOwnEnd(to: &out)
        if request.method == .head { return (WrittenHead(count: out.count, body: .none), .end) }
        return unsafe (WrittenHead(count: out.count, body: .length(UInt64(body.count))), BodyPart(body, isLast: true))
    }

    /// For bytes that are no request, or no whole one: nothing of them can be used.
    func refuseUnparsed(_ problem: Refusal, _ detail: StaticString, status: UInt16?) {
        noted.clear()
        request.id.generate(&worker.random)
        refuse(problem, detail, status: status)
    }
}
