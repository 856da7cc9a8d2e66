import Base
import Configuration
import Glibc
import Net

/// Whether this process may have the descriptors for all the connections that a configuration allows. Each is two: one to
/// the client, one to its upstream.
enum ConnectionBudget {
    static func workers(_ settings: ColdSettings) -> Int {
        settings.workers ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }

    /// Takes `max_connections` down to what can be had, with a warning where it stands.
    static func clamp(_ settings: inout Settings, into diagnostics: inout [Diagnostic]) {
        let workers = workers(settings.cold)
        let limit = Descriptors.raiseLimit()
        let kept = Descriptors.kept(of: limit, workers: workers) + settings.hot.listeners.count * workers
        let wanted = settings.hot.limits.maxConnections
        let most = max(1, (limit - kept) / 2)
        guard wanted > most else { return }
        settings.hot.limits.maxConnections = most
        diagnostics.append(
            Diagnostic(
                .warning,
                at: settings.hot.limits.maxConnectionsLocation ?? settings.hot.listeners.first?.location
                    ?? Location(file: 0, line: 1, column: 1),
                length: String(wanted).count,
                "max_connections \(wanted) takes \(2 * wanted + kept) descriptors, and this process may have \(limit): "
                    + "it is \(most) then",
                suggestion: "raise the limit (LimitNOFILE= of a systemd unit, `ulimit -Hn`), or lower max_connections"))
    }
}
