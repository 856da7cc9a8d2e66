import Base
import HTTP
import Metrics
import Net

/// What the access log needs of a head after its bytes are gone.
struct NotedHead {
    private(set) var text: [UInt8] = []
    private(set) var method = 0..<0
    private(set) var host = 0..<0
    private(set) var path = 0..<0
    /// The client that a trusted proxy speaks for; empty without one.
    private(set) var client = 0..<0

    mutating func clear() {
        text.removeAll(keepingCapacity: true)
        (method, host, path, client) = (0..<0, 0..<0, 0..<0, 0..<0)
    }

    mutating func note(_ head: borrowing RequestHead, _ worker: Worker, client: SocketAddress?) {
        text.removeAll(keepingCapacity: true)
        func add(_ part: UnsafeRawBufferPointer) -> Range<Int> {
            let start = text.count
            unsafe text.append(contentsOf: part)
            return start..<text.count
        }
        method = unsafe add(head[head.methodRange])
        host = unsafe add(head[head.host])
        self.client = client.map { address in
            unsafe withUnsafeTemporaryAllocation(byteCount: 48, alignment: 1) { room in
                var writer = unsafe ByteWriter(room)
                address.writeHost(to: &writer)
                return unsafe add(writer.written)
            }
        } ?? 0..<0
        let start = text.count
        if worker.accessLog?.logsQuery == true {
            if let implied = head.impliedTarget { text.append(implied) }
            path = unsafe start..<add(head[head.target]).upperBound
        } else {
            path = unsafe add(head[head.path])
        }
    }
}

extension Worker {
    /// The end of every exchange: counters and the access log.
    func record(_ exchange: Exchange) {
        let done = Clock.monotonic()
        let duration = done &- exchange.request.started
        // The registry keeps them all.
        let counters = unsafe exchange.resolution.tenant?.follow { $0.metrics } ?? Uncounted(metrics.unattributed)
        counters.follow { tenant in
            tenant.finished(code: Int(exchange.answer.status), nanoseconds: duration)
            if exchange.request.bytes > 0 { tenant.received(bytes: exchange.request.bytes) }
            if exchange.answer.bytes > 0 { tenant.sent(bytes: exchange.answer.bytes) }
            if let refusal = exchange.answer.refusal { tenant.refused(refusal) }
            if exchange.request.grpc != nil { tenant.called(status: exchange.answer.callStatus) }
        }
        var upstreamTime: UInt64?
        if exchange.attempts.sentAt > 0 {
            let answered = exchange.attempts.answeredAt > 0 ? exchange.attempts.answeredAt : done
            let time = answered &- exchange.attempts.sentAt
            upstreamTime = time
            exchange.resolution.balancer?.follow { $0.metrics.follow { $0.finished(nanoseconds: time) } }
            // What is left when the wait for the upstream is taken out. Bodies run at the speed of both ends: only
            // exchanges without one say something about the gateway.
            if exchange.answer.status != 101, exchange.request.bytes == 0, duration > time {
                metrics.overhead(nanoseconds: duration - time)
            }
        }
        exchange.settleQuota(upstreamTime: upstreamTime)
        if let log = accessLog { write(exchange, duration, upstreamTime, to: log) }
    }

    private func write(_ exchange: Exchange, _ duration: UInt64, _ upstreamTime: UInt64?, to log: AccessLogBuffer) {
        var line = AccessLogLine(time: wall(exchange.request.started))
        line.status = Int(exchange.answer.status)
        line.refused = exchange.answer.refusal
        line.fault = exchange.answer.faults.name
        if exchange.request.grpc != nil { line.grpcStatus = exchange.answer.callStatus }
        line.requestBytes = exchange.request.bytes
        line.responseBytes = exchange.answer.bytes
        line.duration = duration
        line.upstreamDuration = upstreamTime
        line.attempts = exchange.attempts.count
        var tenant = exchange.resolution.tenant?.follow { $0.id } ?? ""
        var key = exchange.keyName ?? ""
        var server = exchange.attempts.pool?.server.label ?? ""
        // All that the line points to stands until it is appended. The ids and the client's address are written out in front of
        // the line's own room.
        unsafe withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { room in
            var writer = unsafe ByteWriter(room)
            func part(_ write: (inout ByteWriter) -> Void) -> UnsafeRawBufferPointer {
                let start = writer.count
                write(&writer)
                return unsafe UnsafeRawBufferPointer(rebasing: writer.written[start...])
            }
            unsafe line.requestID = part { exchange.request.id.write(to: &$0) }
            unsafe line.client = part { exchange.client.origin.writePeer(to: &$0) }
            if exchange.request.trace.id != (0, 0) {
                unsafe line.traceID = part {
                    $0.append(hex16: exchange.request.trace.id.0)
                    $0.append(hex16: exchange.request.trace.id.1)
                }
            }
            if let version = exchange.client.origin.tlsVersion {
                unsafe line.tls = UnsafeRawBufferPointer(start: version.utf8Start, count: version.utf8CodeUnitCount)
            }
            let version = exchange.client.protocolName
            unsafe line.protocol = UnsafeRawBufferPointer(start: version.utf8Start, count: version.utf8CodeUnitCount)
            key.withUTF8 { key in
                if !key.isEmpty { unsafe line.key = part { unsafe $0.append(UnsafeRawBufferPointer(key)) } }
            }
            tenant.withUTF8 { tenant in
                server.withUTF8 { server in
                    unsafe exchange.noted.text.withUnsafeBytes { noted in
                        if !tenant.isEmpty { unsafe line.tenant = UnsafeRawBufferPointer(tenant) }
                        if !server.isEmpty { unsafe line.upstream = UnsafeRawBufferPointer(server) }
                        func text(_ range: Range<Int>) -> UnsafeRawBufferPointer? {
                            unsafe range.isEmpty ? nil : UnsafeRawBufferPointer(rebasing: noted[range])
                        }
                        unsafe line.method = text(exchange.noted.method)
                        unsafe line.host = text(exchange.noted.host)
                        unsafe line.path = text(exchange.noted.path)
                        if let client = unsafe text(exchange.noted.client) { unsafe line.client = client }
                        log.append(line, now: loop.now)
                    }
                }
            }
        }
    }
}
