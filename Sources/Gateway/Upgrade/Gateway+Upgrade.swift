import Admin
import Base
import Configuration
import Crypto
import Glibc
import Net
import Proxy
import Storage

/// Another process takes over from this one, or this one from another.
extension Gateway {
    // MARK: The one that runs

    /// USR2, or somebody who waits for it.
    func startUpgrade(_ done: @escaping (UpgradeOutcome) -> Void) {
        func refuse(_ why: String) {
            Console.log("upgrade refused: \(why)")
            done(.rejected(errors: ["gateway: \(why)"]))
        }
        guard let program = upgrade.program else { return refuse("a gateway of `gateway demo` is not upgraded") }
        // The kernel ends all others of a container with its first one.
        if getpid() == 1 { return refuse("this is process 1, with whose end its container ends: start a new container in its place") }
        if let pid = upgrade.successorID { return refuse("process \(pid) has taken over already") }
        if isDraining { return refuse("the gateway is ending") }
        if upgrade.attempt != nil { return refuse("another upgrade is under way") }
        if let pid = upgrade.predecessor?.pid { return refuse("it is still being taken over from process \(pid); try again") }
        if !isReady || reload.isRunning { return refuse("a start or a reload is under way; try again") }
        let attempt = upgrade.begin(done)
        Console.log("upgrade: tries \(program.path)")
        let admin = admin?.copyListeningSocket()
        let (mailbox, mailboxes, state) = (mailbox, mailboxes, settings.cold.state)
        do throws(SystemError) {
            // What is started inherits the thread's priority.
            try Thread("upgrade") {
                let result = Result { () throws(Successor.Failure) in
                    guard let sockets = ListeningCopies.collect(from: mailboxes) else {
                        if let admin { close(admin) }
                        throw Successor.Failure("the listening sockets can't be copied")
                    }
                    let estate = Successor.Estate(
                        program: program, state: state, sockets: sockets, admin: admin, ticketKeys: SessionTickets.handedOver)
                    return try Successor.start(estate, attempt)
                }
                mailbox.post(.successor(result))
            }.detach()
        } catch {
            if let admin { close(admin) }
            upgradeFailed(Successor.Failure("\(error)"))
        }
    }

    func receive(_ result: Result<Successor, Successor.Failure>) {
        do throws(Successor.Failure) {
            let successor = try result.get()
            if isDraining {
                // It has accepted connections already, and ends with them.
                successor.child.terminate()
                successor.finish()
                throw Successor.Failure("the gateway is ending")
            }
            handOver(to: successor)
        } catch { upgradeFailed(error) }
    }

    private func upgradeFailed(_ failure: Successor.Failure) {
        Console.log("upgrade failed, this gateway goes on:\n" + failure.lines.joined(separator: "\n"))
        upgrade.finish(.rejected(errors: failure.lines))
        if upgrade.owesReload {
            upgrade.owesReload = false
            startReload { _ in }
        }
    }

    /// Nothing is accepted here any more. What was begun here ends here.
    private func handOver(to successor: Successor) {
        upgrade.handOver(to: successor, workers: mailboxes.count)
        isReady = false
        registry.setReady(false)
        Console.log("upgrade: process \(successor.child.pid) takes over")
        notifier.handOver(to: successor.child.pid)
        health.stop()
        admin?.retire()
        adminEndpoint = nil
        hasToRetire = false
        chores?.isLeaving = true
        do throws(StorageFault) { try meters.beginLeaving() } catch { Console.log("meters: \(error)") }
        let untaken = Set(settings.hot.listeners.map(\.endpoint).filter { endpoint in
            endpoint.address.map { successor.untaken.contains($0.description) } ?? false
        })
        let mail = mailbox
        for (index, worker) in mailboxes.enumerated() {
            worker.post(.handOver(untaken: untaken, moved: { mail.post(.moved) }, done: { mail.post(.drained(worker: index)) }))
        }
        let ledger = ledger
        do throws(SystemError) {
            // A disk may keep it waiting.
            try Thread("hand-over", isBackground: true) {
                ledger.finish()
                mail.post(.ledgerFinished)
            }.detach()
        } catch {
            ledger.finish()
            upgrade.hasLedger = false
        }
        limitEnd(to: settings.hot.upgradeTimeout) { [unowned self] in
            Console.log("upgrade_timeout is over: \(requestsCut)")
            upgrade.hasCut = true
            for worker in mailboxes { worker.post(.cut) }
        }
    }

    /// A worker has nothing in this process's lane any more.
    func movedFromLane() {
        upgrade.workersInLane -= 1
        if upgrade.workersInLane == 0 { meters.endLane() }
        finishHandOver()
    }

    func ledgerFinished() {
        upgrade.hasLedger = false
        finishHandOver()
    }

    private func finishHandOver() {
        guard upgrade.workersInLane == 0, !upgrade.hasLedger, let successor = upgrade.successor else { return }
        successor.finish()
        Console.log(
            "upgrade: process \(successor.child.pid) has taken over; this one ends what it has begun, within "
                + "\(settings.hot.upgradeTimeout / 1_000_000_000) s")
        if upgrade.owesReload { kill(successor.child.pid, SIGHUP) }
        upgrade.finish(.tookOver(pid: successor.child.pid, from: getpid()))
        endIfDrained()
    }

    /// Once a second.
    func tidyLeaving() {
        guard let child = upgrade.successor?.child else { return }
        if let status = child.reap() { Console.log("upgrade: process \(child.pid) took over: \(ChildProcess.describe(status))") }
        // Whoever rotates the log tells only the one that serves.
        logWriter.reopen()
    }

    /// HUP: for whoever serves.
    func reloadBySignal() {
        if let pid = upgrade.successorID { return Console.log("HUP is for process \(pid), which has taken over") }
        if upgrade.attempt != nil {
            upgrade.owesReload = true
            return Console.log("reload: waits for the upgrade that is under way")
        }
        startReload { _ in }
    }

    // MARK: The new one

    /// Everything is open and every worker serves.
    func takeOver(from predecessor: Predecessor) {
        if let endpoint = settings.hot.admin, let fd = predecessor.takeAdmin(endpoint.address) { serveAdmin(endpoint, on: fd) }
        noteRunning()
        predecessor.tellReady(on: loop) { [unowned self] hasEnded in
            upgrade.predecessor = nil
            meters.reclaim()
            ledger.hurry()
            notifier.ready(summary)
            Console.log("upgrade: " + (hasEnded ? "process \(predecessor.pid) has ended" : "took over from process \(predecessor.pid)"))
        }
    }
}
