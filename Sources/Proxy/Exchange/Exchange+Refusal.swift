import Base
import HTTP
import Metrics

/// The gateway's own answers (RFC 9457). They say what is wrong with the request, never what else exists here.
extension Exchange {
    /// Answers in the upstream's place. Always false, for `return refuse(...)`.
    func refuse(_ problem: Refusal, _ detail: StaticString, status code: UInt16? = nil) -> Bool {
        // Too late for an answer of our own: the upstream's has begun.
        if answerHasBegun {
            breakAnswer()
            return false
        }
        // The rest of a request that is not wanted is not read either: the connection ends with the answer.
        if !requestIsDone || problem == .badRequest {
            keepAlive = false
            client.mayStillSend = true
        }
        if worker.isDraining { keepAlive = false }
        status = code ?? problem.status
        refusal = problem
        answerHasBegun = true
        answerIsDone = true
        var body = ByteWriter(worker.problemRoom)
        body.append("{\"type\":\"")
        body.append(worker.snapshot.problemBase)
        body.append(problem.name)
        body.append("\",\"title\":\"")
        body.append(ReasonPhrase.of(Int(status)))
        body.append("\",\"status\":")
        body.append(decimal: UInt64(status))
        body.append(",\"detail\":\"")
        body.append(detail)
        body.append("\",\"instance\":\"")
        requestID.write(to: &body)
        body.append("\"")
        writeViolatedPolicies(to: &body)
        body.append("}\n")

        var out = ByteWriter(worker.headRoom)
        out.append("HTTP/1.1 ")
        out.append(decimal: UInt64(status))
        out.append(byte: ASCII.space)
        out.append(ReasonPhrase.of(Int(status)))
        out.append("\r\nContent-Type: application/problem+json\r\nContent-Length: ")
        out.append(decimal: UInt64(body.count))
        out.append("\r\nDate: ")
        out.append(worker.date)
        out.append("\r\nX-Request-Id: ")
        requestID.write(to: &out)
        if let seconds = quotaRetryAfter ?? problem.retryAfter {
            out.append("\r\nRetry-After: ")
            out.append(decimal: seconds)
        }
        if realm != nil { writeChallenge(to: &out) }
        if !keepAlive { out.append("\r\nConnection: close") } else if isHTTP10 { out.append("\r\nConnection: keep-alive") }
        out.append("\r\n")
        writeQuotaFields(to: &out)
        // What a tenant wants on its answers (HSTS, say) it wants on these too.
        if let edits = route?.responseEdits { out.append(edits.added) }
        out.append("\r\n")
        if method != .head { out.append(body.written) }
        client.send(out.written)
        responseBytes = method == .head ? 0 : UInt64(body.count)
        finishRefusal()
        return false
    }

    private func finishRefusal() {
        sever()
        settle()
        client.exchangeDone(keepAlive: keepAlive)
    }

    /// For bytes that are no request, or no whole one: nothing of them can be used.
    func refuseUnparsed(_ problem: Refusal, _ detail: StaticString, status: UInt16?) {
        requestIsDone = false
        method = .get
        keepAlive = false
        isHTTP10 = false
        noted.clear()
        requestID.generate(&worker.random)
        _ = refuse(problem, detail, status: status)
    }
}
