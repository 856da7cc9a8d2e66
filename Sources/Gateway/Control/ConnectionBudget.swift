import Base
import Configuration
import Glibc
import Net

/// Whether this process may have the descriptors for all the connections that a configuration allows. Each is two: one to
/// the client, one to its upstream.
enum ConnectionBudget {
    static func workers(_ settings: HotSettings) -> Int {
        settings.workers ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }

    /// Takes `max_connections` down to what can be had, with a warning where it stands. The default is nobody's mistake.
    static func clamp(_ settings: inout Settings, into diagnostics: inout [Diagnostic]) {
        let workers = workers(settings.hot)
        let limit = Descriptors.raiseLimit()
        let kept = Descriptors.kept(of: limit, workers: workers) + settings.hot.listeners.count * workers
        let wanted = settings.hot.limits.maxConnections
        let most = max(1, (limit - kept) / 2)
        guard wanted > most else { return }
        (settings.hot.limits.maxConnections, settings.hot.limits.writtenMaxConnections) = (most, wanted)
        guard let location = settings.hot.limits.maxConnectionsLocation else { return }
        diagnostics.append(
            Diagnostic(
                .warning, at: location, length: String(wanted).count,
                "max_connections \(wanted) takes \(2 * wanted + kept) descriptors, and this process may have \(limit): "
                    + "it is \(most) then",
                suggestion: "raise the limit (LimitNOFILE= of a systemd unit, `ulimit -Hn`), or lower max_connections"))
    }

    /// What the log says at a start of a default that was taken down; nil where it was not.
    static func note(_ limits: LimitSettings) -> String? {
        guard let wanted = limits.writtenMaxConnections, limits.maxConnectionsLocation == nil else { return nil }
        return
            "max_connections is \(limits.maxConnections) instead of \(wanted): this process may have no more descriptors "
            + "(LimitNOFILE= of a systemd unit, `ulimit -Hn`)"
    }
}
