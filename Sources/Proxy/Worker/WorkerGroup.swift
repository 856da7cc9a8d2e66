import Base
import Net

/// What the loops of a process have in common: how they reach each other, and the numbers that hold for all of them together.
/// None is divided by how many loops there are: the kernel brings clients to loops as it likes.
public final class WorkerGroup: Sendable {
    /// By the worker's index.
    public let mailboxes: [Mailbox<WorkerMessage>]
    /// Connections of clients.
    let clients = SharedCount()
    /// Lines of the log on clients that can't be served.
    let clientFaults = SharedRate()

    public init(count: Int) throws(SystemError) {
        var made: [Mailbox<WorkerMessage>] = []
        for _ in 0..<count { made.append(try Mailbox()) }
        mailboxes = made
    }

    /// How many loops there are.
    var count: Int { mailboxes.count }

    /// To all loops but the one that tells it.
    func post(_ message: WorkerMessage, toAllBut index: Int) {
        for (other, mailbox) in mailboxes.enumerated() where other != index { mailbox.post(message) }
    }
}
