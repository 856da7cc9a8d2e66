import CLinux
import Glibc
import Synchronization

/// How other threads speak to a loop: messages in order, and an eventfd that wakes it.
public final class Mailbox<Message: Sendable>: Sendable {
    private let messages = Mutex<[Message]>([])
    let fd: Int32

    public init() {
        fd = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        precondition(fd >= 0, "eventfd failed")
    }

    /// From any thread.
    public func post(_ message: Message) {
        let first = messages.withLock { list in
            list.append(message)
            return list.count == 1
        }
        if first {
            var one: UInt64 = 1
            _ = write(fd, &one, 8)
        }
    }

    func drain() -> [Message] {
        var count: UInt64 = 0
        _ = read(fd, &count, 8)
        return messages.withLock { list in
            let all = list
            list = []
            return all
        }
    }

    /// Delivers on `loop` from now on, in the turns of `flow` or else in common ones. Call once, on the loop's thread. False
    /// when the loop can't watch for mail.
    public func deliver(on loop: EventLoop, in flow: Flow? = nil, to receive: @escaping (Message) -> Void) -> Bool {
        loop.add(Recipient(loop: loop, flow: flow ?? loop.commonFlow, mailbox: self, receive: receive))
    }
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
}
