import Net

extension HTTPClient {
    /// What is told of a call. Not to be kept: a part's bytes are lent.
    @safe public enum Event {
        case head(Head)
        /// Some of the body, good for this call only.
        case part(UnsafeRawBufferPointer)
        /// Of a request that comes in parts: all that was sent has left, more may come.
        case room
        /// The answer is whole: the last event.
        case end
        /// There is no answer, or no more of it: the last event.
        case failed(ClientFailure)
    }

    /// One request and its answer. It lives by itself until its last event.
    public final class Call {
        private let client: HTTPClient
        private let request: Request
        private let wire: [UInt8]
        private let destination: Destination
        private let deadline: UInt64
        private let limits: AnswerLimits
        private let flow: Flow
        private var tell: ((Call, Event) -> Void)?
        private var dialing: Dialing?
        private var connection: Connection?
        /// The connection has served another request before.
        private var isReused = false
        private var reader: AnswerReader
        /// Parts that came before the connection, and whether all of the request was handed over, and has left.
        private var early: [UInt8] = []
        private var isWhole: Bool
        private var isSent = false
        private var isPaused = false

        init(
            _ client: HTTPClient, _ request: Request, wire: [UInt8], to destination: Destination, by deadline: UInt64,
            _ limits: AnswerLimits, flow: Flow? = nil, tell: @escaping (Call, Event) -> Void
        ) {
            (self.client, self.request, self.wire, self.destination) = (client, request, wire, destination)
            (self.deadline, self.limits, self.tell) = (deadline, limits, tell)
            self.flow = flow ?? client.flow
            reader = AnswerReader(limits, isForHead: request.method == "HEAD")
            if case .parts = request.body { isWhole = false } else { isWhole = true }
        }

        // MARK: What its owner may do

        /// Nothing is told any more.
        public func cancel() { over(keeping: false) }

        /// A piece of the request's body. Whoever waits for `room` in between keeps little in memory.
        public func send(_ bytes: [UInt8]) { if !bytes.isEmpty { sendPart(Request.chunk(bytes)) } }

        /// The request's body is whole.
        public func finish() {
            if isWhole { return }
            sendPart(Request.chunk([]))
            isWhole = true
        }

        /// No part is told until `resume`; the server is held up, not the memory filled.
        public func pause() {
            isPaused = true
            connection?.pause()
        }

        public func resume() {
            isPaused = false
            connection?.resume()
        }

        // MARK: Its way

        func begin() {
            if request.keepsConnection, let kept = client.idle.take(for: destination) {
                isReused = true
                use(kept)
            } else {
                dial()
            }
        }

        private func dial() {
            (isReused, isSent) = (false, false)
            dialing = Dialing(
                to: destination, by: deadline, names: client.names, loop: client.loop, flow: flow
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
            connection.flow = flow
            client.loop.schedule(connection, at: deadline)
            if isPaused { connection.pause() }
            connection.send(wire)
            connection.send(early)
            early = []
        }

        private func sendPart(_ bytes: [UInt8]) {
            if isWhole || tell == nil { return }
            if let connection { connection.send(bytes) } else { early += bytes }
        }

        private func fail(_ failure: ClientFailure) {
            let told = tell
            over(keeping: false)
            told?(self, .failed(failure))
        }

        private func finished(surplus: Bool) {
            let told = tell
            over(keeping: !surplus && request.keepsConnection && isWhole && isSent && reader.mayGoOn)
            told?(self, .end)
        }

        private func over(keeping: Bool) {
            tell = nil
            dialing?.cancel()
            dialing = nil
            guard let connection else { return }
            self.connection = nil
            if keeping { client.idle.keep(connection, for: destination) } else { connection.close() }
        }
    }
}

extension HTTPClient.Call: ConnectionUser {
    public func connected(_ connection: Connection) {}

    public func sent(by connection: Connection) {
        isSent = true
        if !isWhole { tell?(self, .room) }
    }

    public func received(_ bytes: UnsafeMutableRawBufferPointer, by connection: Connection) {
        // What is left of the bytes, which are lent for this call.
        var rest = unsafe bytes
        while tell != nil {
            do throws(ClientFailure) {
                switch try unsafe reader.next(&rest) {
                case .more: return
                case .head(let head): tell?(self, .head(head))
                case .part(let part): unsafe tell?(self, .part(UnsafeRawBufferPointer(part)))
                case .end: return unsafe finished(surplus: !rest.isEmpty)
                }
            } catch { return fail(error) }
        }
    }

    public func ended(_ connection: Connection, _ failure: ClientFailure?) {
        self.connection = nil
        if isReused, reader.isUntouched, request.mayBeRepeated {
            // The server had grown tired of the connection before it saw the request (RFC 9110 section 9.2.2).
            if case .late = failure {} else { return dial() }
        }
        if let failure { return fail(failure) }
        do throws(ClientFailure) { try reader.end() } catch { return fail(error) }
        finished(surplus: false)
    }
}
