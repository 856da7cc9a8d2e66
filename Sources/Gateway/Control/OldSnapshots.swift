import Net
import Proxy

/// Configurations that are no longer in force. Whoever lets go of one last has to free it, which takes a hundred
/// thousand tenants' time: so they are held here until nobody else has them, and freed on a thread of their own.
struct OldSnapshots {
    private var held: [Snapshot] = []

    mutating func add(_ snapshot: Snapshot) { held.append(snapshot) }

    /// Frees those that nobody uses any more. Called now and then.
    mutating func letGo() {
        var unused: [Snapshot] = []
        for place in held.indices.reversed() where isKnownUniquelyReferenced(&held[place]) {
            unused.append(held.remove(at: place))
        }
        if unused.isEmpty { return }
        let bin = Handover(unused)
        unused = []
        do throws(SystemError) {
            try Thread("release", isBackground: true) { _ = bin.take() }.detach()
        } catch { held += bin.take() ?? [] }
    }
}
