import Base
import Glibc
import Metering
import Storage

extension LedgerCommand {
    /// Shows what it would do, and does it when that is agreed to.
    static func repair(_ state: StateFolder, _ format: String, isDry: Bool, isAgreed: Bool) throws(StorageFault) -> Int32 {
        let output = HeldOutput()
        defer { output.write() }
        var shown: [String]?
        // Nobody else's turn waits for an answer.
        if isDry || !isAgreed {
            let check = try look(state)
            if isDry || check.plan.isEmpty { return show(check, format, isDry ? "plan" : "repaired", output) }
            // With json these are for whoever is asked, and no part of it.
            let say = format == "json" ? Console.error : Console.out
            for step in check.plan { say(step) }
            guard agrees(say) else {
                Console.error("gateway: nothing was changed; `gateway ledger repair --yes` does it")
                return 1
            }
            shown = check.plan
        }
        return try mend(state, format, shown, output)
    }

    private static func look(_ state: StateFolder) throws(StorageFault) -> LedgerCheck {
        try LedgerCheck(LedgerFolder(state.ledgerPath), memory: state.ledgerMemory)
    }

    /// What is to be done, or where that is nothing how the ledger is.
    private static func show(_ check: LedgerCheck, _ format: String, _ name: String, _ output: HeldOutput) -> Int32 {
        if check.plan.isEmpty || format == "json" {
            tell(check, format, output, steps: (name, check.plan))
        } else {
            for step in check.plan { output.out(step) }
        }
        return check.plan.isEmpty && !check.damage.isEmpty ? 1 : 0
    }

    /// Ends its turn, and lets go of the ledger, before anything of it is written.
    /// - Parameter shown: what was agreed to; nil where all is.
    private static func mend(
        _ state: StateFolder, _ format: String, _ shown: [String]?, _ output: HeldOutput
    ) throws(StorageFault) -> Int32 {
        try LedgerOwner.become(of: state)
        let turn = try state.takeTurn()
        defer { turn.end() }
        // Whoever writes it would write into files that are replaced.
        let journal = try Journal(folder: state.ledgerPath)
        defer { withExtendedLifetime(journal) {} }
        guard try journal.lock() else {
            output.error("gateway: a running gateway has the ledger; stop it first, or look with --dry-run")
            return 1
        }
        let check = try look(state)
        if check.plan.isEmpty { return show(check, format, "repaired", output) }
        guard shown == nil || shown == check.plan else {
            output.error("gateway: the ledger is no longer what it was when this was shown: nothing was changed")
            return 1
        }
        if shown == nil, format != "json" { for step in check.plan { output.out(step) } }
        try check.repair()
        let after = try look(state)
        tell(after, format, output, steps: ("repaired", check.plan))
        return after.damage.isEmpty && after.mendable.isEmpty ? 0 : 1
    }

    private static func agrees(_ ask: (String) -> Void) -> Bool {
        guard isatty(0) == 1 else { return false }
        ask("Go on? [y/N]")
        return readLine() == "y"
    }
}
