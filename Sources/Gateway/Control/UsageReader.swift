import Admin
import Metering
import Metrics
import Net
import Storage

/// Reads the ledger for the admin API: on threads of its own, for a ledger may be long.
final class UsageReader {
    private struct Mail: Sendable {
        var number: Int
        var answer: UsageAnswer
    }

    private let state: StateFolder
    private let metrics: LedgerMetrics
    private let mailbox: Mailbox<Mail>
    private var waiting: [Int: (UsageAnswer) -> Void] = [:]
    private var last = 0
    /// Ledgers that are read at once.
    private static let readersMax = 4

    init(_ state: StateFolder, metrics: LedgerMetrics) throws(SystemError) {
        (self.state, self.metrics, mailbox) = (state, metrics, try Mailbox())
    }

    func deliver(on loop: EventLoop) throws(SystemError) {
        try mailbox.deliver(on: loop) { [unowned self] mail in waiting.removeValue(forKey: mail.number)?(mail.answer) }
    }

    /// Calls `done` once, on the loop's thread.
    func read(_ query: UsageQuery, _ done: @escaping (UsageAnswer) -> Void) {
        guard waiting.count < Self.readersMax else { return done(.busy) }
        last += 1
        waiting[last] = done
        let (number, state, metrics, mailbox) = (last, state, metrics, mailbox)
        do throws(SystemError) {
            try Thread("usage", isBackground: true) {
                mailbox.post(Mail(number: number, answer: Self.answer(query, from: state, metrics)))
            }.detach()
        } catch {
            waiting[number] = nil
            done(.failed("The ledger can't be read: \(error)."))
        }
    }

    private static func answer(_ query: UsageQuery, from state: StateFolder, _ metrics: LedgerMetrics) -> UsageAnswer {
        do throws(StorageFault) {
            let statement = try Statement(LedgerFolder(state.ledgerPath), query: query, memory: state.ledgerMemory)
            metrics.found(damaged: UInt64(statement.damagedLines))
            if !statement.tooCoarse.isEmpty {
                return .tooCoarse(
                    "Nothing as fine is kept of \(statement.tooCoarse.joined(separator: ", ")); with coarse=true what is kept is given."
                )
            }
            return .rows(json: statement.json, isEmpty: statement.rows.isEmpty)
        } catch {
            return .failed("The ledger can't be read: \(error).")
        }
    }
}
