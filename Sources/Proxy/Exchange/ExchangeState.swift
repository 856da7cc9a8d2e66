import Base
import HTTP
import Metrics
import Quotas
import Tenancy

// What an exchange knows, in values that are replaced whole when another request begins.

extension Exchange {
    /// What the client asks for. Of its head it has a pointer, which only those follow who are called while the head stands.
    @safe struct Request {
        var method = Method.get
        var hasBody = false
        /// All of it was given to the upstream's end, or to a buffer; in a tunnel, the client sends no more.
        var isDone = true
        var wantsUpgrade = false
        /// A second arrival does no harm, and all of it is there to be sent again.
        var isRepeatable = false
        /// Its path goes on as it came.
        var hasNormalPath = true
        /// It takes fields behind a body (`TE: trailers`), which is said to a server of HTTP/2.
        var takesTrailers = false
        /// It is gRPC's.
        var grpc: GRPCCall?
        /// Of its body; in a tunnel all that the client has sent.
        var bytes: UInt64 = 0
        var id = RequestID()
        var trace = TraceContext()
        /// What trusted proxies say of where it comes from.
        var provenance: Provenance?
        /// What its upstream's servers are chosen by, where that is a key; zero is none.
        var affinity: UInt64 = 0
        /// The head as it goes to the upstream.
        var written = WrittenHead(count: 0, body: .none)
        /// Monotonic nanoseconds.
        var started: UInt64 = 0

        init(started: UInt64 = 0) { self.started = started }

        @inline(__always)
        mutating func take(_ head: borrowing RequestHead) {
            method = head.method
            wantsUpgrade = head.wantsUpgrade
            hasBody = head.framing != .none && head.framing != .length(0)
            isDone = !hasBody
            isRepeatable = method.isIdempotent && !wantsUpgrade
            takesTrailers = head.takesTrailers
        }
    }

    /// What gRPC says of a request.
    struct GRPCCall {
        /// Monotonic nanoseconds: when its client gives up.
        var deadline = UInt64.max
        /// Its `grpc-timeout` can't be read.
        var isMalformed = false
        var messages = GRPCMessages()
    }

    /// Whose it is and where it goes.
    struct Resolution {
        /// Of the configuration this request began under: what follows lives as long as it is held.
        var view: WorkerView?
        /// The view keeps it, which goes together with this.
        var balancer: Uncounted<Balancer>?
        /// The worker keeps it, as long as the process lives.
        var tenant: Uncounted<TenantState>?
        var route: Route?
        /// What its credentials show; nil where none are asked for.
        var identity: Identity?
        var rules: AdmissionRules?
        /// What browsers are told; nil where nothing is said to them.
        var granted: CORS.Grant?
    }

    /// A number that a tenant may have at once, as problems name it.
    enum Bound: UInt8 {
        case connections, streams

        var name: StaticString {
            switch self {
            case .connections: "connections"
            case .streams: "streams"
            }
        }
    }

    /// What it takes of its tenant's limits.
    struct Bill {
        var admission: Admission?
        var verdict = Verdict()
        /// What the upstream says that it has cost.
        var declaredCost: UInt64?
        /// The answer's next part is read only then: monotonic nanoseconds.
        var pacedUntil: UInt64 = 0
        var isSettled = false
        /// It is a copy, of which nobody hears.
        var isFree = false
        /// A bound of its tenant's that has refused it, beside those of the verdict.
        var violated: Bound?
    }

    /// Of sending it to a server.
    struct Attempts {
        /// At servers, those that could not be connected to among them.
        var count = 0
        /// How often it was sent: what a retry counts.
        var sendings = 0
        /// How often a server has surely not processed it.
        var refusals = 0
        /// How often no server could be connected to.
        var vain: Int32 = 0
        /// How often it was sent again, or is to be, as `retry` says.
        var retries: Int32 = 0
        /// What the last of these has come to is not counted yet.
        var isRetry = false
        /// Of the last one.
        var pool: ServerPool?
        /// The next connection is that of an attempt which is counted already.
        var isBegun = false
        /// No kept connection will do.
        var wantsFresh = false
        /// When connecting must be done: monotonic nanoseconds, zero before it has begun.
        var dialsUntil: UInt64 = 0
        /// The balancer has not been told yet what the last one has come to.
        var owesOutcome = false
        /// Monotonic nanoseconds; zero before.
        var sentAt: UInt64 = 0
        var answeredAt: UInt64 = 0
    }

    /// What the client gets.
    struct Answer {
        var status: UInt16 = 0
        var refusal: Refusal?
        /// What goes wrong on purpose.
        var faults = Faults()
        /// What gRPC calls the outcome; nil before it is known.
        var grpcStatus: UInt16?
        /// Of its body; in a tunnel all that the upstream has sent.
        var bytes: UInt64 = 0
        /// Of a tunnel: the upstream sends no more.
        var isDone = false

        /// What gRPC calls the outcome. One that says none: of HTTP's own, or UNKNOWN.
        var callStatus: UInt16 { grpcStatus ?? (status == 200 ? 2 : GRPC.status(http: status)) }
    }

    /// What of a request has not found its connection yet, or may have to be sent again.
    struct Kept: ~Copyable {
        private var headBuffer: Buffer?
        private var bodyBuffer: Buffer?
        private(set) var trailers: [UInt8] = []

        var hasHead: Bool { headBuffer != nil }
        // Lent, until something is kept or cleared.
        var head: UnsafeRawBufferPointer { unsafe headBuffer.readable }
        var body: UnsafeRawBufferPointer { unsafe bodyBuffer.readable }

        mutating func keep(head: UnsafeRawBufferPointer, _ pool: BufferPool) {
            headBuffer = Buffer(capacity: head.count, from: pool)
            unsafe headBuffer!.append(head)
        }

        mutating func keep(_ part: BodyPart, _ pool: BufferPool) {
            trailers = part.trailers
            if part.isEmpty { return }
            bodyBuffer = Buffer(capacity: part.count, from: pool)
            unsafe bodyBuffer!.append(UnsafeRawBufferPointer(part.data))
        }

        /// The first part was sent.
        mutating func clearBody() {
            if bodyBuffer != nil { bodyBuffer = nil }
            trailers = []
        }

        mutating func clear() {
            if headBuffer != nil { headBuffer = nil }
            clearBody()
        }
    }
}
