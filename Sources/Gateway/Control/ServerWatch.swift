import Base
import Proxy

/// Tells the log what requests meet at servers: a line when one begins to fail, a line when it answers again. One that does
/// both all the time is told about now and then, and of thousands at once only some.
struct ServerWatch {
    private struct Told {
        var isFailing: Bool
        /// Monotonic nanoseconds.
        var at: UInt64
    }

    private var told: [ObjectIdentifier: Told] = [:]
    /// Some have changed again too soon to be told.
    private var isOwed = false

    /// - Parameters:
    ///   - servers: all there are; asked for only where there may be something to tell.
    ///   - now: monotonic nanoseconds.
    mutating func look(at servers: () -> [Server], news: ServerNews, now: UInt64, say: (String) -> Void) {
        guard news.take() || isOwed else { return }
        isOwed = false
        var (lines, more) = (0, 0)
        var next: [ObjectIdentifier: Told] = [:]
        for server in servers() {
            let id = ObjectIdentifier(server)
            let before = told[id]
            let trouble = server.trouble
            if let before {
                if (trouble != nil) == before.isFailing {
                    next[id] = before
                    continue
                }
                if now < before.at + Limits.serverLinesNanoseconds {
                    next[id] = before
                    isOwed = true
                    continue
                }
            } else if trouble == nil {
                continue
            }
            next[id] = Told(isFailing: trouble != nil, at: now)
            lines += 1
            if lines > Limits.serverLinesMax {
                more += 1
                continue
            }
            say(
                "upstream \(server.upstream): server \(server.label) "
                    + (trouble.map { "fails: \($0)" } ?? "answers again"))
        }
        told = next
        if more > 0 { say("upstreams: \(more) more servers fail or answer again") }
    }
}
