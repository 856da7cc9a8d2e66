import Base
import Configuration
import Metrics
import Net

/// What a loop does about an overload of the process.
extension Worker {
    /// Whether a connection whose first request this is goes on after its answer.
    @inline(__always)
    func keeps(newAfter requests: Int) -> Bool { overloadStage == 0 || requests > 1 }

    /// Looks at the stage that the process is in, and tells how late this loop is.
    func lookAtOverload() {
        metrics.lag.set(loop.takeLag())
        let (stage, cause) = group.overload.present
        (overloadStage, overloadCause) = (stage, cause)
        shedding.look(isShort: stage >= 2)
        // A loop that is late gains nothing by handshakes that follow.
        guard stage >= 1, cause != .lag else { return }
        if loop.now >= idleEnded + Self.idlePeriod {
            idleEnded = loop.now
            endIdle()
        }
    }

    private static let idlePeriod: UInt64 = 500_000_000

    /// Ends a part of the connections that wait for their next request, those first that have waited longest.
    private func endIdle() {
        var idle: [(until: UInt64, client: any ClientConnection)] = []
        forEachClient { client in if let until = client.idleUntil { idle.append((until, client)) } }
        idle.sort { $0.until < $1.until }
        for (_, client) in idle.prefix(max(16, idle.count / 8)) {
            metrics.unattributed.shed(.idle)
            client.retire()
        }
    }

    /// Whether a connection of that address may begin, and what it is counted under.
    func admit(_ peer: SocketAddress, _ listener: Listener) -> AddressAdmission {
        if snapshot.trusts(peer) { return .uncounted }
        let place = group.addresses.place(of: peer)
        let isOurs = peer.isLoopback
        if listener.state.tls != nil, let rate = limits.addressHandshakes ?? (isOurs ? nil : LimitSettings.defaultAddressHandshakes),
            !group.addresses.mayShakeHands(place, rate: rate.count, in: rate.time, now: loop.now)
        {
            metrics.unattributed.shed(.addressHandshakes)
            clientFaults.note(peer, listener.state.label, .addressHandshakes, within: group.clientFaults, now: loop.now)
            return .refused
        }
        guard let most = limits.addressConnections ?? (isOurs ? nil : LimitSettings.defaultAddressConnections) else { return .uncounted }
        guard group.addresses.take(place, upTo: most) else {
            metrics.unattributed.shed(.addressConnections)
            clientFaults.note(peer, listener.state.label, .addressConnections, within: group.clientFaults, now: loop.now)
            return .refused
        }
        return .counted(place)
    }

    enum AddressAdmission: Equatable {
        case counted(AddressLimits.Place)
        /// One of the trusted proxies: behind it are many.
        case uncounted
        case refused
    }
}

/// A loop's look at the overload, ten times a second.
final class OverloadLook: Source {
    private let worker: Worker
    private static let period: UInt64 = 100_000_000

    init(worker: Worker) {
        self.worker = worker
        super.init(loop: worker.loop, fd: -1, flow: worker.loop.commonFlow)
    }

    func begin() { loop.schedule(self, at: loop.now + Self.period) }

    override func expired() {
        worker.lookAtOverload()
        loop.schedule(self, at: loop.now + Self.period)
    }
}
