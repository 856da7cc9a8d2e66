import Base
import Configuration
import Glibc
import Net
import Proxy
import Synchronization

/// Descriptors of all sockets that the workers listen on, copied by each worker in a turn of its own.
enum ListeningCopies {
    /// Waits for all workers. nil where one does not answer, or has no descriptor for a copy.
    static func collect(from mailboxes: [Mailbox<WorkerMessage>]) -> [Int32]? {
        let answers = Answers()
        for mailbox in mailboxes { mailbox.post(.ask { answers.add($0.copyListeningSockets()) }) }
        let deadline = Clock.monotonic() + 5_000_000_000
        while answers.count < mailboxes.count, Clock.monotonic() < deadline { answers.bell.wait(atMost: 100_000_000) }
        return answers.take(from: mailboxes.count)
    }

    private final class Answers: Sendable {
        let bell = Bell()
        private let found = Mutex<(count: Int, sockets: [Int32], isLate: Bool, isWhole: Bool)>((0, [], false, true))

        var count: Int { found.withLock { $0.count } }

        func add(_ copies: [Int32]?) {
            found.withLock { found in
                found.count += 1
                // Nobody waits for it any more.
                if found.isLate { copies?.forEach { close($0) } } else { found.sockets += copies ?? [] }
                if copies == nil { found.isWhole = false }
            }
            bell.ring()
        }

        func take(from workers: Int) -> [Int32]? {
            found.withLock { found in
                found.isLate = true
                if found.count == workers, found.isWhole { return found.sockets }
                for fd in found.sockets { close(fd) }
                return nil
            }
        }
    }
}
