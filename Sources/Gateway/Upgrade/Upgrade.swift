import Admin
import Glibc

/// Where this process stands between the one before it and the one after it.
///
///     taking over ──► serving ◄──► starting another one ──► handing over ──► leaving
final class Upgrade {
    /// nil where no other process could be started in place of this one.
    let program: Program?
    /// Until it has let go of everything.
    var predecessor: Predecessor?
    /// While another one is being started.
    var attempt: Successor.Attempt?
    /// From the moment on in which it takes all connections.
    private(set) var successor: Successor?
    /// Whoever waits for the outcome.
    private var asked: [(UpgradeOutcome) -> Void] = []
    /// A reload was asked for meanwhile: it is for whoever serves then.
    var owesReload = false
    /// Before the new one may have all: workers whose requests are in this process's lane, and the ledger.
    var workersInLane = 0
    var hasLedger = true
    /// What was left at the end of `upgrade_timeout` was broken off.
    var hasCut = false

    init(program: Program?, predecessor: Predecessor?) { (self.program, self.predecessor) = (program, predecessor) }

    /// The process that has taken over.
    var successorID: Int32? { successor?.child.pid }

    /// Another process takes connections and has not got everything yet.
    var isHandingOver: Bool { successor != nil && attempt != nil }

    /// Why there is no reload now.
    var obstacleToReload: String? {
        if let pid = successorID { return "process \(pid) has taken over: it is the one to reload" }
        return attempt == nil ? nil : "an upgrade is under way; try again when it is over"
    }

    func begin(_ done: @escaping (UpgradeOutcome) -> Void) -> Successor.Attempt {
        let attempt = Successor.Attempt()
        self.attempt = attempt
        asked.append(done)
        return attempt
    }

    /// Ends the attempt that is under way. One that has taken over already is not this process's to end.
    func giveUp() {
        if successor == nil { attempt?.giveUp() }
    }

    func handOver(to successor: Successor, workers: Int) { (self.successor, workersInLane) = (successor, workers) }

    /// Tells everybody who asked.
    func finish(_ outcome: UpgradeOutcome) {
        let told = asked
        (asked, attempt) = ([], nil)
        for done in told { done(outcome) }
    }
}
