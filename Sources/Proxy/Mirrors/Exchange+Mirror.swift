import Base
import HTTP
import Metrics
import Tenancy

/// Copies of requests, for an upstream whose answers nobody waits for.
extension Exchange {
    // MARK: Of the request

    /// Whether this request is one of those that are copied. The head stands.
    func drawLots(_ mirror: MirrorRule, _ head: borrowing RequestHead, _ tenant: Tenant) {
        // Streams are not held up to be looked at.
        guard request.grpc == nil, !request.wantsUpgrade, mirror.draws(worker.random.next()), let view = resolution.view else { return }
        detour.flags.insert(.mirror)
        guard let key = worker.balancer(forUpstream: mirror.upstream, in: view).follow({ $0.key }) else { return }
        let own = request.affinity
        findKey(key, head, tenant)
        (detour.affinity, request.affinity) = (request.affinity, own)
    }

    /// Begins a copy with what has come: the head stands in the room for heads.
    func beginCopy(_ first: BodyPart) {
        detour.flags.remove(.mirror)
        guard let mirror = resolution.route?.acts?.mirror, let view = resolution.view else { return }
        let balancer = worker.balancer(forUpstream: mirror.upstream, in: view).counted
        guard balancer.copies < Limits.mirrorsMax else { return balancer.metrics.follow { $0.mirrored(.dropped) } }
        balancer.copies += 1
        let copy = unsafe MirrorCopy(of: self, head: worker.rooms.bytes(of: request.written), to: balancer, bodyMax: mirror.body)
        detour.copy = copy
        detour.flags.insert(.copying)
        copy.take(first)
    }

    /// More of the body has come.
    func copy(_ part: BodyPart) { detour.copy?.take(part) }

    // MARK: Of the copy

    /// Sends it, in the turn of the copy.
    func begin(_ copy: MirrorCopy, _ request: Request, _ resolution: Resolution, _ affinity: UInt64, to balancer: Balancer) {
        (self.request, self.resolution) = (request, resolution)
        self.request.affinity = affinity
        (self.request.isDone, self.request.isRepeatable, self.request.bytes) = (true, false, 0)
        self.request.started = worker.loop.now
        (self.resolution.identity, self.resolution.rules, self.resolution.granted) = (nil, nil, nil)
        // The view keeps it.
        self.resolution.balancer = unsafe Uncounted(balancer)
        bill.isFree = true
        let (head, part) = copy.write()
        self.request.written = head
        phase = .forwarding
        let result = balancer.acquire(for: self)
        switch result {
        case .connection:
            keep(part)
            upstream!.send(self.request.written, part)
            sent()
        case .later:
            keep(part)
            leaveLine()
        case .refused, .unreachable: goOn(result)
        }
    }

    /// Copies wait for connections that are made for them, and never in line with requests that somebody waits for.
    func leaveLine() {
        guard case .place? = line else { return }
        stopWaiting()
        refuse(.overloaded, "copies do not wait in line")
    }
}
