import Base
import Net
import Synchronization

/// What the loops of a process have in common: how they reach each other, and the numbers that hold for all of them together.
/// None is divided by how many loops there are: the kernel brings clients to loops as it likes.
public final class WorkerGroup: Sendable {
    /// By the worker's index. There are ever more of them: one that has no part any more still gets its mail.
    private let mailboxes = Mutex<[Mailbox<WorkerMessage>]>([])
    private let size = Atomic<Int>(0)
    private let working = Atomic<Int>(0)
    /// Connections of clients.
    let clients = SharedCount()
    /// The same by address, and their handshakes.
    let addresses = AddressLimits()
    /// Preflights of browsers, by address.
    let preflights = AddressRate(bits: 12)
    public let overload = Overload()
    /// Lines of the log on clients that can't be served.
    let clientFaults = SharedRate()
    /// What tenants hold.
    let tenants = TenantUses()

    public init(count: Int) throws(SystemError) {
        for _ in 0..<count { _ = try join() }
        setServing(count)
    }

    /// Makes room for another loop, which has the next index: its mailbox.
    public func join() throws(SystemError) -> Mailbox<WorkerMessage> {
        let mailbox = try Mailbox<WorkerMessage>()
        mailboxes.withLock { $0.append(mailbox) }
        size.add(1, ordering: .relaxed)
        return mailbox
    }

    /// The one that has joined last could not begin.
    public func leave() {
        size.subtract(1, ordering: .relaxed)
        _ = mailboxes.withLock { $0.removeLast() }
    }

    /// How many loops there are.
    public var count: Int { size.load(ordering: .relaxed) }

    /// How many of them take what comes.
    var serving: Int { working.load(ordering: .relaxed) }

    public func setServing(_ count: Int) { working.store(count, ordering: .relaxed) }

    func mailbox(of index: Int) -> Mailbox<WorkerMessage> { mailboxes.withLock { $0[index] } }

    func post(_ message: WorkerMessage, to index: Int) { mailbox(of: index).post(message) }

    /// To all loops but the one that tells it.
    func post(_ message: WorkerMessage, toAllBut index: Int) {
        for (other, mailbox) in mailboxes.withLock({ $0 }).enumerated() where other != index { mailbox.post(message) }
    }
}
