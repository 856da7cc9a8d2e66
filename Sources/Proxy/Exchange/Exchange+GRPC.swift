import Base
import HTTP
import Metrics

/// gRPC: deadlines, messages, outcomes.
extension Exchange {
    /// What its head says, if it is a call.
    func takeCall(_ head: borrowing RequestHead) {
        guard let field = head.fields.first(.contentType), unsafe GRPC.isContentType(head[field.value]) else { return }
        var call = GRPCCall()
        if let timeout = unsafe head.value(of: "grpc-timeout") {
            if let nanoseconds = unsafe GRPC.timeout(timeout) {
                call.deadline = request.started &+ nanoseconds
            } else {
                call.isMalformed = true
            }
        }
        request.grpc = call
    }

    /// Nanoseconds that its upstream may take for its next bytes. Streams that have begun to answer may be silent for as long as
    /// they like: that both peers are there, PING tells.
    func callTimeout(_ call: GRPCCall) -> UInt64 {
        if phase.hasAnswer { return Limits.silenceNanoseconds }
        let now = worker.loop.now
        return min(upstreamTimeout, call.deadline > now ? call.deadline - now : 1)
    }

    /// What is left of its client's patience.
    func writeCallTimeout(to out: inout ByteWriter) {
        guard let deadline = request.grpc?.deadline, deadline != .max else { return }
        let now = worker.loop.now
        // Up to eight digits: microseconds for a minute and a half, then milliseconds for a day, then seconds.
        let left = deadline > now ? (deadline - now) / 1000 : 0
        out.append("grpc-timeout: ")
        if left < 100_000_000 {
            out.append(decimal: left)
            out.append("u\r\n")
        } else if left / 1000 < 100_000_000 {
            out.append(decimal: left / 1000)
            out.append("m\r\n")
        } else {
            out.append(decimal: min(left / 1_000_000, 99_999_999))
            out.append("S\r\n")
        }
    }

    /// Counts the messages of a part. False when one is larger than a body may be.
    func takeMessages(_ part: borrowing BodyPart) -> Bool {
        guard let most = resolution.route?.maxBody else { return true }
        return unsafe request.grpc!.messages.take(UnsafeRawBufferPointer(part.data), most: most)
    }

    /// An answer without a body, which says it all.
    func noteStatus(_ head: borrowing ResponseHead) {
        for i in 0..<head.fields.count where unsafe ASCII.equalsIgnoringCase(head[head.fields[i].name], "grpc-status") {
            answer.grpcStatus = unsafe GRPC.number(head[head.fields[i].value])
        }
    }

    func noteStatus(_ trailers: [UInt8]) {
        if let status = unsafe trailers.withUnsafeBytes({ unsafe GRPC.status(in: $0) }) { answer.grpcStatus = status }
    }

    /// Of a refusal: its answer is nothing but a head.
    func writeCallRefusal(to out: inout ByteWriter) {
        let status = GRPC.status(http: answer.status)
        answer.grpcStatus = status
        out.append("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: ")
        out.append(decimal: UInt64(status))
        out.append("\r\ngrpc-message: ")
        out.append(ReasonPhrase.of(Int(answer.status)))
        if answer.status == 429 {
            // Milliseconds after which the call may be made again (gRPC's A6, "client retry design").
            out.append("\r\ngrpc-retry-pushback-ms: ")
            out.append(decimal: (quotaRetryAfter ?? 1) * 1000)
        }
        out.append("\r\nX-Request-Id: ")
        request.id.write(to: &out)
        out.append("\r\n")
    }
}
