import Metrics
import Storage
import Synchronization

/// Keeps the meter table whole, whatever is done to its file, and says what was done.
final class MeterKeeper: Sendable {
    let table: MeterTable
    private let metrics: LedgerMetrics
    private let trouble = Mutex(Trouble("meters"))

    init(_ table: MeterTable, metrics: LedgerMetrics) { (self.table, self.metrics) = (table, metrics) }

    /// From any thread: now and then, and before the ledger reads.
    func mend() {
        do throws(StorageFault) {
            guard let loss = try table.mend() else { return trouble.withLock { $0.end("whole again") } }
            metrics.mendedMeters()
            Console.log(
                "meters: \(table.path) was cut short at byte \(loss.from) by somebody: it was mended, and \(loss.slots) "
                    + "tenants, keys and routes count on from what they had a few seconds before")
        } catch { trouble.withLock { $0.say("\(error)") } }
    }

    /// What a later `mend` goes by.
    func remember() { table.keepCopy() }
}

/// What is wrong is said when it begins and when it is over, not at each try.
struct Trouble {
    private let subject: String
    private var said: String?

    init(_ subject: String) { self.subject = subject }

    mutating func say(_ text: String) {
        if text != said { Console.log("\(subject): \(text)") }
        said = text
    }

    mutating func end(_ text: String) {
        if said != nil { Console.log("\(subject): \(text)") }
        said = nil
    }
}
