import Base
import HTTP
import Net

/// Where an exchange's request comes from and its answer goes to. Whatever the protocol, it speaks in heads and parts.
///
/// **A body's way**, the same for both ends:
///
///  1. Who reads owns the room; a part is lent for the length of the call. In front of it stands free what `Rooms.inbox`
///     has there, and behind it `Rooms.slack`.
///  2. Who is given a part takes all of it, in a buffer of its own if need be, and never calls back before it returns.
///  3. Who reads asks for `room` first and reads no more than that. Zero means stop: the side that had none says when to
///     go on (`Exchange.clientHasRoom`, `Exchange.upstreamHasRoom`).
///  4. A part counts as gone once it was given, whether or not the kernel has it.
///  5. `breakOff` and `cancel` are allowed at any time and are the last call on that end; a second one does nothing.
///
/// A value of this doesn't keep the end: whoever holds one for longer than a turn keeps its `object` as well, as an exchange
/// does. Within a turn the loop keeps what is closed.
struct ClientEnd {
    private enum Kind {
        case h1(Uncounted<H1Client>)
        case h2(Uncounted<H2ClientStream>)
        case other(Uncounted<OtherClient>)
    }
    private let kind: Kind

    // Kept as is said above.
    static func h1(_ client: H1Client) -> ClientEnd { ClientEnd(kind: .h1(unsafe Uncounted(client))) }
    static func h2(_ stream: H2ClientStream) -> ClientEnd { ClientEnd(kind: .h2(unsafe Uncounted(stream))) }
    static func other(_ client: OtherClient) -> ClientEnd { ClientEnd(kind: .other(unsafe Uncounted(client))) }

    /// The end itself, to be kept.
    var object: AnyObject {
        switch kind {
        case .h1(let client): client.counted
        case .h2(let stream): stream.counted
        case .other(let client): client.counted
        }
    }
}

extension ClientEnd {
    /// Its turn, its deadline, its flow.
    var source: Source {
        switch kind {
        case .h1(let client): client.counted
        case .h2(let stream): stream.counted
        case .other(let client): client.follow { $0.source }
        }
    }

    /// Whose turn its work takes.
    var flow: Flow {
        switch kind {
        case .h1(let client): client.follow { $0.flow }
        case .h2(let stream): stream.follow { $0.flow }
        case .other(let client): client.follow { $0.source.flow }
        }
    }

    /// It takes that tenant's turns from now on.
    @inline(__always)
    func attribute(to tenant: TenantState) {
        switch kind {
        case .h1(let client): client.follow { $0.flow = tenant }
        case .h2(let stream): stream.follow { $0.attribute(to: tenant) }
        case .other(let client): client.follow { $0.source.flow = tenant }
        }
    }

    /// What is true of its whole connection.
    var origin: ClientOrigin {
        switch kind {
        case .h1(let client): client.follow { $0.origin }
        case .h2(let stream): stream.follow { $0.origin }
        case .other(let client): client.follow { $0.origin }
        }
    }

    /// It speaks HTTP/2.
    var isH2: Bool {
        if case .h2 = kind { return true }
        return false
    }

    /// Fields of its request must not be put into a table further on (RFC 7541 section 7.1.3).
    var isSecret: Bool {
        if case .h2(let stream) = kind { return stream.follow { $0.isSecret } }
        return false
    }

    /// As the access log calls it.
    var protocolName: StaticString {
        switch kind {
        case .h1(let client): client.follow { $0.protocolName }
        case .h2: "HTTP/2.0"
        case .other: "other"
        }
    }

    /// Bytes of the answer that it takes now. Zero: it says so when it takes more.
    var room: Int {
        switch kind {
        case .h1(let client): client.follow { $0.room }
        case .h2(let stream): stream.follow { $0.room }
        case .other(let client): client.follow { $0.room }
        }
    }

    /// Nothing that is sent to it arrives any more; its own event tells of its end.
    var isBroken: Bool {
        switch kind {
        case .h1(let client): client.follow { $0.isBroken }
        case .h2(let stream): stream.follow { $0.isBroken }
        case .other(let client): client.follow { $0.isBroken }
        }
    }

    /// 100 (Continue), where the client waits for it: the request is welcome (RFC 9110 section 10.1.1).
    func askForBody() {
        switch kind {
        case .h1(let client): client.follow { $0.askForBody() }
        case .h2(let stream): stream.follow { $0.askForBody() }
        case .other(let client): client.follow { $0.askForBody() }
        }
    }

    /// An answer before the answer: 1xx, neither 100 nor 101.
    func inform(_ head: WrittenHead) {
        switch kind {
        case .h1(let client): client.follow { $0.inform(head) }
        case .h2(let stream): stream.follow { $0.inform(head) }
        case .other(let client): client.follow { $0.inform(head) }
        }
    }

    /// The answer's head, and what has come of its body.
    func answer(_ head: WrittenHead, _ first: BodyPart) {
        switch kind {
        case .h1(let client): client.follow { $0.answer(head, first) }
        case .h2(let stream): stream.follow { $0.answer(head, first) }
        case .other(let client): client.follow { $0.answer(head, first) }
        }
    }

    /// The next part of the answer's body.
    func pass(_ part: BodyPart) {
        switch kind {
        case .h1(let client): client.follow { $0.pass(part) }
        case .h2(let stream): stream.follow { $0.pass(part) }
        case .other(let client): client.follow { $0.pass(part) }
        }
    }

    /// 101: from here on parts of both directions are bytes of another protocol.
    func openTunnel(_ head: WrittenHead, _ first: BodyPart) {
        switch kind {
        case .h1(let client): client.follow { $0.openTunnel(head, first) }
        case .h2(let stream): stream.follow { $0.openTunnel(head, first) }
        case .other(let client): client.follow { $0.openTunnel(head, first) }
        }
    }

    /// No other request after this one on its connection.
    /// - Parameter expectsMore: it may be in the middle of sending something.
    func retire(expectsMore: Bool = false) {
        switch kind {
        case .h1(let client): client.follow { $0.retireAfterAnswer(expectsMore: expectsMore) }
        case .h2(let stream): stream.follow { $0.retire(expectsMore: expectsMore) }
        case .other(let client): client.follow { $0.retire() }
        }
    }

    /// Request and answer are over: the exchange is not this one's any more.
    func finished() {
        switch kind {
        case .h1(let client): client.follow { $0.exchangeDone() }
        case .h2(let stream): stream.follow { $0.finished() }
        case .other(let client): client.follow { $0.finished() }
        }
    }

    /// The answer can't be completed: a reset, so that nobody takes the part that was sent for the whole.
    /// - Parameter isUndeliverable: it is the client who has broken its connection.
    func breakOff(isUndeliverable: Bool = false) {
        switch kind {
        case .h1(let client): client.follow { $0.shut(abort: !isUndeliverable) }
        case .h2(let stream): stream.follow { $0.breakOff() }
        case .other(let client): client.follow { $0.breakOff() }
        }
    }
}
