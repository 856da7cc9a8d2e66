import Base
import Proxy

/// Takes ejected servers back when their time is over, and tells the log of both: a line when one is ejected, a line when
/// it is back. Of thousands at once only some.
struct EjectionWatch {
    private var told: Set<ObjectIdentifier> = []

    /// - Parameters:
    ///   - servers: all there are; asked for only where some are ejected.
    ///   - now: monotonic nanoseconds.
    mutating func look(at servers: () -> [Server], news: ServerNews, now: UInt64, say: (String) -> Void) {
        guard news.takeEjections() || !told.isEmpty else { return }
        var (lines, more) = (0, 0)
        var next: Set<ObjectIdentifier> = []
        for server in servers() {
            server.takeBackIfDue(at: now)
            let id = ObjectIdentifier(server)
            let ejection = server.ejection(at: now)
            if ejection != nil { next.insert(id) }
            if (ejection != nil) == told.contains(id) { continue }
            lines += 1
            if lines > Limits.serverLinesMax {
                more += 1
                continue
            }
            say("upstream \(server.upstream): server \(server.label) is " + (ejection.map { "ejected \($0)" } ?? "back"))
        }
        told = next
        if more > 0 { say("upstreams: \(more) more servers are ejected or back") }
    }
}
