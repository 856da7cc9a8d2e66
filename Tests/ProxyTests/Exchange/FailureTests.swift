import Configuration
import Metrics
import Testing

@testable import HTTP
@testable import Net
@testable import Proxy

@Suite("Exchanges: failures at every phase")
struct FailureTests {
    // MARK: The table

    @Test("what becomes of a request follows from one table, for all circumstances")
    func table() {
        let flags = [false, true]
        for failure in [UpstreamFailure.stale, .cut, .malformed, .timedOut] {
            for hasAnswer in flags {
                for sendings in 1...3 {
                    for isKept in flags {
                        for isRepeatable in flags {
                            for hasBody in flags {
                                let now = UpstreamFailure.Circumstances(
                                    hasAnswer: hasAnswer, sendings: sendings, isKept: isKept, isRepeatable: isRepeatable,
                                    hasBody: hasBody)
                                let mayGoAgain = isKept && isRepeatable
                                let expected: UpstreamFailure.Consequence =
                                    if hasAnswer {
                                        .breakOff
                                    } else if failure == .stale, mayGoAgain {
                                        .sendAfresh
                                    } else if failure == .cut, mayGoAgain, sendings == 1, !hasBody {
                                        .retry
                                    } else {
                                        .refuse
                                    }
                                #expect(failure.consequence(now) == expected)
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("retry's words say what goes again, which methods, which bodies, and how often")
    func policies() {
        var retry = RetrySettings()
        (retry.tries, retry.causes, retry.hasBodies) = (3, [.reset, .status(503)], true)
        var now = UpstreamFailure.Circumstances(
            hasAnswer: false, sendings: 2, isKept: true, isRepeatable: true, hasBody: true, retry: retry, isWhole: true)
        #expect(UpstreamFailure.cut.consequence(now) == .retry && UpstreamFailure.timedOut.consequence(now) == .refuse)
        #expect(now.maySendAgain(for: .status(503)) && !now.maySendAgain(for: .status(500)))
        now.sendings = 3
        #expect(UpstreamFailure.cut.consequence(now) == .refuse && UpstreamFailure.stale.consequence(now) == .sendAfresh)
        now.sendings = 1
        now.retry.causes = .timeout
        #expect(UpstreamFailure.cut.consequence(now) == .refuse && UpstreamFailure.timedOut.consequence(now) == .retry)
        now.isRepeatable = false
        #expect(UpstreamFailure.timedOut.consequence(now) == .refuse)
        now.retry.causes = [.timeout, .reset, .nonIdempotent]
        #expect(UpstreamFailure.timedOut.consequence(now) == .retry && UpstreamFailure.stale.consequence(now) == .retry)
        now.isWhole = false
        #expect(UpstreamFailure.timedOut.consequence(now) == .refuse)
        now.isWhole = true
        now.retry.hasBodies = false
        #expect(UpstreamFailure.timedOut.consequence(now) == .refuse)
        #expect(UpstreamFailure.malformed.consequence(now) == .refuse)
    }

    @Test("a pause is the half to the whole of the backoff, and doubles up to a bound")
    func pauses() {
        var retry = RetrySettings()
        #expect(retry.pause(before: 1, random: 7) == 0)
        retry.backoff = 100
        for (round, whole) in [(1, 100), (2, 200), (3, 400)] {
            let all = (0..<1000).map { retry.pause(before: round, random: UInt64($0)) }
            #expect(all.min()! >= UInt64(whole / 2) && all.max()! <= UInt64(whole) && Set(all).count > 40)
        }
        retry.backoff = 4_000_000_000
        #expect(retry.pause(before: 9, random: 0) == 5_000_000_000)
        retry.backoff = 60_000_000_000
        #expect(retry.pause(before: 9, random: 0) == 60_000_000_000)
    }

    @Test("the clock alone ends a pause, and a client that leaves or is late in one leaves nothing behind")
    func pausing() throws {
        let servers = "server 10.0.0.1:80; server 10.0.0.2:80; retry tries=2 on=503,reset backoff=100ms;"
        let gateway = try ScriptedWorker("upstream app { \(servers) }")
        let client = gateway.client().ask("PUT", fields: "Content-Length: 4\r\n", first: "body")
        let first = gateway.last
        first.connect()
        first.answer(503, "no", isLast: true)
        #expect(client.heard == [] && first.pool.inFlight == 0 && gateway.underWay() == 1)
        gateway.step(45)
        #expect(gateway.dialed.count == 1)
        gateway.step(60)
        try #require(gateway.dialed.count == 2)
        #expect(gateway.last.pool !== first.pool)
        gateway.last.connect()
        #expect(gateway.last.body == Array("body".utf8))
        gateway.last.answer(503, "again", isLast: true)
        #expect(client.status == 503 && client.body == Array("again".utf8) && client.isOver && gateway.underWay() == 0)
        let leaves = gateway.client().ask()
        gateway.last.connect()
        gateway.last.fail(.cut)
        leaves.leave()
        let count = gateway.dialed.count
        gateway.step(1000)
        #expect(gateway.dialed.count == count && gateway.underWay() == 0)
    }

    // MARK: Every event at every phase

    enum Moment: String, CaseIterable {
        case waitingForName, waitingForPlace, connecting, sending, sent, answering, tunnel
    }

    enum Event: String, CaseIterable {
        case clientLeaves, clientIsLate, stale, cut, malformed, timedOut, unreachable
    }

    /// A request brought to that moment.
    private func bring(to moment: Moment) throws -> (ScriptedWorker, ScriptedClient, ScriptedUpstream?) {
        let servers =
            switch moment {
            case .waitingForName: "server app.test:80;"
            case .waitingForPlace: "server 10.0.0.1:80; max_connections 1;"
            default: "server 10.0.0.1:80;"
            }
        let gateway = try ScriptedWorker("upstream app { \(servers) }")
        if moment == .waitingForPlace { _ = gateway.client().ask() }
        let client = gateway.client()
        switch moment {
        case .waitingForName, .waitingForPlace: client.ask()
        case .connecting: client.ask()
        case .sending:
            client.ask("POST", fields: "Content-Length: 100\r\n", first: "part", isLast: false)
            gateway.last.connect()
        case .sent:
            client.ask()
            gateway.last.connect()
        case .answering:
            client.ask()
            gateway.last.connect()
            gateway.last.answer(200, "half")
        case .tunnel:
            client.ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
            gateway.last.connect()
            gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        }
        let waits = moment == .waitingForName || moment == .waitingForPlace
        return (gateway, client, waits ? nil : gateway.last)
    }

    /// What the client then hears in the end; nil where the event can't be, or changes nothing.
    private func ending(_ moment: Moment, _ event: Event) -> Heard? {
        switch (moment, event) {
        case (_, .clientLeaves): nil
        case (.waitingForName, .clientIsLate), (.waitingForPlace, .clientIsLate): .answered(503)
        case (.connecting, .clientIsLate): .answered(502)
        case (.sending, .clientIsLate): .answered(408)
        case (.answering, .unreachable), (.tunnel, .unreachable): nil
        case (.answering, _), (.tunnel, _): .brokenOff
        case (_, .clientIsLate): nil
        case (.waitingForName, _), (.waitingForPlace, _): nil
        case (.connecting, .unreachable): .answered(502)
        case (.connecting, _), (_, .unreachable): nil
        case (.sent, .cut), (.sent, .stale): nil  // sent again
        case (_, .timedOut): .answered(504)
        default: .answered(502)
        }
    }

    @Test("each event at each phase ends it once, lets go of all, and counts it once", arguments: Moment.allCases)
    func each(moment: Moment) throws {
        for event in Event.allCases {
            let (gateway, client, upstream) = try bring(to: moment)
            let exchange = try #require(client.exchange)
            let others: UInt64 = moment == .waitingForPlace ? 1 : 0
            #expect(gateway.underWay() == 1 + others)
            switch event {
            case .clientLeaves: client.leave()
            case .clientIsLate: client.expire()
            case .stale: upstream?.fail(.stale)
            case .cut: upstream?.fail(.cut)
            case .malformed: upstream?.fail(.malformed)
            case .timedOut: upstream?.fail(.timedOut)
            case .unreachable: upstream?.refuse()
            }
            gateway.step()
            let what: Comment = "\(event.rawValue) while \(moment.rawValue): \(client.heard)"
            if event == .clientLeaves {
                #expect(client.isOver && gateway.underWay() == others, what)
                #expect(!client.heard.contains(.finished), what)
            } else if let expected = ending(moment, event) {
                #expect(client.heard.contains(expected) && client.isOver && gateway.underWay() == others, what)
            } else {
                #expect(!client.isOver && gateway.underWay() == 1 + others, what)
                continue
            }
            #expect(gateway.counted() == 1, what)
            #expect(exchange.resolution.view == nil && exchange.attempts.pool == nil && exchange.upstream == nil, what)
            // Whatever still comes from the other side is heard by nobody.
            let before = client.heard
            if let upstream {
                #expect(upstream.state == .cancelled && upstream.pool.inFlight == Int(others), what)
                upstream.send("late", isLast: true)
                upstream.fail(.cut)
            }
            gateway.found("app.test", at: "10.0.0.7")
            client.leave()
            gateway.step(120_000)
            #expect(client.heard == before, what)
        }
    }

    @Test("who can't be reached is passed over for another server; then nobody is left")
    func unreachable() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; server 10.0.0.2:80; }")
        let client = gateway.client().ask("POST", first: "body", isLast: true)
        gateway.last.refuse()
        #expect(gateway.dialed.count == 2)
        gateway.last.connect()
        #expect(gateway.last.body == Array("body".utf8))
        gateway.last.answer(200, "yes", isLast: true)
        #expect(client.status == 200)
        gateway.dials { _ in .refused }
        #expect(gateway.client().ask().status == 502)
    }

    @Test(
        "what is not idempotent, has a body or asks for another protocol is sent once",
        arguments: [
            ("POST", ""), ("PATCH", ""), ("PUT", "Content-Length: 4\r\n"), ("GET", "Connection: upgrade\r\nUpgrade: chat\r\n"),
        ])
    func once(method: String, fields: String) throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; server 10.0.0.2:80; }")
        let client = gateway.client().ask(method, fields: fields, first: method == "PUT" ? "body" : nil)
        gateway.last.connect()
        gateway.last.fail(.cut)
        #expect(client.status == 502 && gateway.dialed.count == 1)
    }

    @Test("a lack of our own is told as such and rests no server")
    func lack() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        gateway.dials { _ in .lack }
        #expect(gateway.client().ask().status == 502)
        gateway.dials { _ in .connecting }
        let client = gateway.client().ask()
        gateway.last.connect()
        gateway.last.answer(200, "", isLast: true)
        #expect(client.status == 200)
    }

    @Test("retries are a share of requests: a service that fails is not asked twice as often")
    func budget() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; server 10.0.0.2:80; }")
        for _ in 0..<1000 {
            let client = gateway.client().ask()
            while !client.isOver {
                gateway.last.connect()
                gateway.last.fail(.cut)
            }
        }
        #expect(gateway.dialed.count > 1100 && gateway.dialed.count < 1400)
        #expect(gateway.underWay() == 0)
    }
}
