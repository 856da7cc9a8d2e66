import Base
import HTTP
import Net

extension HTTPClient {
    /// One request by HTTP/2, in plain text by prior knowledge (RFC 9113 section 3.3) or over TLS, on a connection of its own that
    /// ends with the answer. It lives by itself until its last event. The body of the request is known, and small.
    public final class H2Call {
        private let client: HTTPClient
        private let request: Request
        private let lines: [UInt8]
        private var destination: Destination
        private let deadline: UInt64
        private let limits: AnswerLimits
        private var tell: ((H2Call, Event) -> Void)?
        private var dialing: Dialing?
        private var connection: Connection?
        private var h2: H2Connection
        private var stream: UInt32 = 0
        /// A part of a frame.
        private var inbound: [UInt8] = []
        private var hasHead = false
        private var bodySize: UInt64 = 0
        /// What stands behind the body, once the answer is whole.
        public private(set) var trailers: [Field] = []

        /// Its body has at most so many bytes: what any server takes before it has said anything.
        public static let bodyMax = 16 << 10

        init(
            _ client: HTTPClient, _ request: Request, to destination: Destination, by deadline: UInt64, _ limits: AnswerLimits,
            tell: @escaping (H2Call, Event) -> Void
        ) throws(ClientFailure) {
            if case .bytes(let body) = request.body, body.count > Self.bodyMax { throw .notRequest }
            let wire = try request.wire()
            (self.client, self.request, self.destination, self.deadline) = (client, request, destination, deadline)
            (self.limits, self.tell) = (limits, tell)
            if destination.authorities != nil { self.destination.offers = ["h2"] }
            // The lines of the head, without the first one and the empty one.
            let start = wire.firstIndex(of: ASCII.lf).map { $0 + 1 } ?? wire.count
            var body = 0
            if case .bytes(let bytes) = request.body { body = bytes.count }
            lines = Array(wire[start..<(wire.count - body - 2)])
            var bounds = H2Connection.Limits()
            bounds.streams = 1
            bounds.listSize = limits.heads
            h2 = H2Connection(client: bounds)
        }

        /// Nothing is told any more.
        public func cancel() {
            tell = nil
            dialing?.cancel()
            connection?.close()
            (dialing, connection) = (nil, nil)
        }

        func begin() {
            dialing = Dialing(
                to: destination, by: deadline, names: client.names, loop: client.loop, flow: client.flow
            ) { [self] result in
                dialing = nil
                switch result {
                case .success(let connection): use(connection)
                case .failure(let failure): fail(failure)
                }
            }
        }

        private func use(_ connection: Connection) {
            self.connection = connection
            connection.user = self
            client.loop.schedule(connection, at: deadline)
            stream = h2.open() ?? 0
            var body: [UInt8] = []
            if case .bytes(let bytes) = request.body { body = bytes }
            var (method, target) = (request.method, request.target)
            // Everything is written before the buffers go.
            unsafe withUnsafeTemporaryAllocation(byteCount: 2 * (lines.count + target.utf8.count) + 4096, alignment: 1) { room in
                var scratch = unsafe ByteWriter(room)
                method.withUTF8 { method in
                    target.withUTF8 { target in
                        unsafe lines.withUnsafeBytes { lines in
                            unsafe h2.writeRequest(
                                method: UnsafeRawBufferPointer(method), scheme: destination.authorities == nil ? "http" : "https",
                                path: UnsafeRawBufferPointer(target), lines, on: stream, isLast: body.isEmpty,
                                takesTrailers: true, scratch: &scratch)
                        }
                    }
                }
            }
            if !body.isEmpty { unsafe body.withUnsafeBytes { unsafe h2.writeData($0, on: stream, isLast: true) } }
            flush()
        }

        private func flush() {
            if h2.output.isEmpty { return }
            connection?.send(h2.output)
            h2.clearOutput()
        }

        private func fail(_ failure: ClientFailure) {
            let told = tell
            cancel()
            told?(self, .failed(failure))
        }

        private func finish() {
            let told = tell
            cancel()
            told?(self, .end)
        }

        /// Of an answer's head as HTTP/1.1 would have it, or of trailers.
        private func fields(in lines: some Sequence<Substring>) -> [Field] {
            lines.compactMap { line in
                guard let colon = line.firstIndex(of: ":") else { return nil }
                return Field(String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " }))
            }
        }

        private func take(_ event: H2Connection.Event, _ region: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer) {
            switch event {
            case .head(stream, let range, let isLast, _):
                let text = unsafe String(decoding: text[Int(range.first)..<Int(range.end)], as: UTF8.self)
                let lines = text.split(separator: "\r\n")
                guard let status = lines.first.flatMap({ Int($0.dropFirst(9).prefix(3)) }) else { return fail(.malformed("no status")) }
                if status < 200 { return }
                hasHead = true
                tell?(self, .head(Head(status: status, fields: fields(in: lines.dropFirst()))))
                if isLast { finish() }
            case .data(stream, let range, let isLast):
                bodySize += UInt64(range.count)
                if bodySize > limits.body { return fail(.tooLarge) }
                h2.passedOn(range.count, of: stream)
                if !range.isEmpty { unsafe tell?(self, .part(UnsafeRawBufferPointer(rebasing: region[range]))) }
                if isLast { finish() }
            case .trailers(stream, let range, _):
                let text = unsafe String(decoding: text[Int(range.first)..<Int(range.end)], as: UTF8.self)
                trailers = fields(in: text.split(separator: "\r\n"))
                finish()
            case .headTooLarge: fail(.tooLarge)
            case .malformed: fail(.malformed("not an answer by HTTP/2"))
            case .reset: fail(.malformed("the request is reset"))
            case .head, .data, .trailers, .room, .priority, .settings, .goAway, .pong, .more: break
            }
        }
    }

    /// The same as `call` by HTTP/2.
    public func callH2(
        _ request: Request, at destination: Destination, by deadline: UInt64, limits: AnswerLimits = AnswerLimits(),
        tell: @escaping (H2Call, Event) -> Void
    ) throws(ClientFailure) -> H2Call {
        let call = try H2Call(self, request, to: destination, by: deadline, limits, tell: tell)
        call.begin()
        return call
    }
}

extension HTTPClient.H2Call: ConnectionUser {
    public func connected(_ connection: Connection) {}
    public func sent(by connection: Connection) {}

    public func received(_ bytes: UnsafeMutableRawBufferPointer, by connection: Connection) {
        unsafe inbound.append(contentsOf: bytes)
        let region = inbound
        var at = 0
        let size = H2Connection.roomSize(listSize: limits.heads)
        // What an event says of either holds until the next one.
        unsafe region.withUnsafeBytes { region in
            unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { room in
                var text = unsafe ByteWriter(room)
                while tell != nil {
                    do throws(H2Fault) {
                        let event = try unsafe h2.next(region, at: &at, room: &text, now: client.loop.now)
                        if event == .more { break }
                        unsafe take(event, region, text.written)
                    } catch { return fail(.malformed("\(error.reason)")) }
                }
            }
        }
        inbound.removeFirst(min(at, inbound.count))
        flush()
    }

    public func ended(_ connection: Connection, _ failure: ClientFailure?) {
        self.connection = nil
        fail(failure ?? .cutShort)
    }
}
