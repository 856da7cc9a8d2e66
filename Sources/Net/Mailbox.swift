import CLinux
import Glibc
import Synchronization

/// How other threads speak to a loop: messages in order, and an eventfd that wakes it.
public final class Mailbox<Message: Sendable>: Sendable {
    private struct State {
        var messages: [Message] = []
        /// The loop was woken for them.
        var isAnnounced = false
    }

    private let state = Mutex(State())
    let fd: Int32

    public init() throws(SystemError) {
        fd = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard fd >= 0 else { throw SystemError("can't make a mailbox") }
    }

    /// Its descriptor is open for as long as anybody may post.
    deinit { close(fd) }

    /// From any thread.
    public func post(_ message: Message) {
        let isFirst = state.withLock { state in
            state.messages.append(message)
            defer { state.isAnnounced = true }
            return !state.isAnnounced
        }
        // An eventfd is written and read by eight bytes.
        var one: UInt64 = 1
        if isFirst, unsafe write(fd, &one, 8) != 8 { state.withLock { $0.isAnnounced = false } }
    }

    func drain() -> [Message] {
        var count: UInt64 = 0
        _ = unsafe read(fd, &count, 8)
        return state.withLock { state in
            let all = state.messages
            state = State()
            return all
        }
    }

    /// Delivers on `loop` from now on, in the turns of `flow` or else in common ones. Call once, on the loop's thread.
    @discardableResult
    public func deliver(
        on loop: EventLoop, in flow: Flow? = nil, to receive: @escaping (Message) -> Void
    ) throws(SystemError) -> Delivery {
        let recipient = Recipient(loop: loop, flow: flow ?? loop.commonFlow, mailbox: self, receive: receive)
        guard loop.add(recipient) else {
            let error = SystemError("can't watch a mailbox")
            _ = loop.detach(recipient)
            throw error
        }
        recipient.expired()
        return Delivery(recipient: recipient)
    }
}

/// A mailbox's delivery on a loop.
public struct Delivery {
    fileprivate let recipient: Source

    /// Delivers no more: for a loop that ends before those who may still post. On the loop's thread.
    public func end() { _ = recipient.loop.detach(recipient) }
}

private final class Recipient<Message: Sendable>: Source {
    let mailbox: Mailbox<Message>
    let receive: (Message) -> Void

    init(loop: EventLoop, flow: Flow, mailbox: Mailbox<Message>, receive: @escaping (Message) -> Void) {
        (self.mailbox, self.receive) = (mailbox, receive)
        super.init(loop: loop, fd: mailbox.fd, flow: flow)
    }

    override func ready(_ events: Readiness) {
        for message in mailbox.drain() { receive(message) }
    }

    /// Looks by itself now and then: where the loop could not be woken, mail is late and never lost.
    override func expired() {
        loop.wake(self, [])
        loop.schedule(self, at: loop.now + Self.patience)
    }
    private static var patience: UInt64 { 1_000_000_000 }
}
