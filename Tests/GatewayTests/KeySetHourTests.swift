import Base
import Configuration
import Crypto
import Testing

@testable import Gateway
@testable import Tenancy

/// An issuer over hours of a clock that the test moves: its address, what stands there, and how long a fetch takes. The
/// schedule, the source, the sets and the verification are the real ones.
private final class Issuer {
    static let second: UInt64 = 1_000_000_000
    let source: KeySource
    let directory: Directory
    var schedule = KeySetSchedule()
    var now: UInt64 = 1_000 * Issuer.second
    /// What a fetch brings; nil while the issuer is down.
    var published: KeySet?
    private(set) var fetches = 0
    private var end: UInt64?
    private var began = Moment(monotonic: 0, wall: 0)
    /// What somebody does to the wall clock.
    var wallOffset: UInt64 = 1_800_000_000 * Issuer.second
    var moment: Moment { Moment(monotonic: now, wall: now &+ wallOffset) }

    init() throws {
        let source = KeySource(.empty, url: "https://id.test/keys")
        self.source = source
        let text = """
            listen 80;
            upstream app { server 10.0.0.1:80; }
            jwt idp { issuer https://id.test; audience api.test; keys https://id.test/keys; algorithms EdDSA; tenant_claim tenant; }
            tenant acme { host acme.test; upstream app; authenticate jwt; jwt idp; }
            """
        let loaded = ConfigurationLoader.load(
            "gateway.conf", from: ConfigurationSource(read: { _ in .success(Array(text.utf8)) }))
        let hot = try #require(loaded.settings, "\(loaded.renderAll())").hot
        directory = Directory(hot.tenants, issuers: [TokenIssuer(hot.issuers[0], keys: source)]) { index, _ in index }
    }

    /// A second passes. A fetch takes one when it succeeds and five when it fails.
    func tick() {
        now += Self.second
        if schedule.ages(now: moment) { source.forget() }
        if let end, end <= now {
            self.end = nil
            let changed = source.fetched(published, quietUntil: now + schedule.coolDown)
            if published != nil {
                schedule.succeed(now: now, began: began, maxAge: 300, changed: changed)
            } else {
                schedule.fail(now: now)
            }
        }
        if schedule.next <= now, schedule.isAskedFor || source.begin() {
            schedule.begin()
            fetches += 1
            began = moment
            end = now + (published == nil ? 5 : 1) * Self.second
        }
    }

    /// What a loop does with a request that carries the token.
    func isAccepted(_ token: String, by verifier: TokenVerifier) -> Bool {
        let outcome = Array(token.utf8).withUnsafeBytes {
            verifier.verify($0, in: directory, now: 1_800_000_000 + Int64(now / Self.second))
        }
        switch outcome {
        case .valid: return true
        case .invalid: return false
        case .unknownKey:
            if source.begin() { schedule.ask(quietEnd: source.quietEnd) }
            return false
        }
    }
}

private let one = #"{"kty":"OKP","crv":"Ed25519","kid":"one","x":"wry0BSt6ZkVOtRA3veEFui4u4t275FA_01giOSeAoqc"}"#
private let two = #"{"kty":"OKP","crv":"Ed25519","kid":"two","x":"Ve4Ll-gV1t02jETmjjHEoW4C36-iW21Ct0lML_l4dE0"}"#
private let claims =
    "eyJpc3MiOiAiaHR0cHM6Ly9pZC50ZXN0IiwgImF1ZCI6ICJhcGkudGVzdCIsICJzdWIiOiAidXNlci0xIiwgImV4cCI6IDQxMDI0NDQ4MDAsICJ0ZW5hbnQiOiAiYWNtZSJ9"
private let tokenOfOne =
    "eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCIsICJraWQiOiAib25lIn0." + claims
    + ".D5VQ4UPsDylZx5065UzjRSRT56L0iw5LAbIaC-PzN66yjM8wl9NHEc9nxHRZy5P6GpS91kH7JlKgwfxWeEj8DQ"
private let tokenOfTwo =
    "eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCIsICJraWQiOiAidHdvIn0." + claims
    + ".WAUE1ukPGePgqwQpv57RoPXpPXHb0MmSiXufFpMsxy-lNhulKzX5IGW2DlPC5beWx8xzOrHCMb9g8BYzAsrgCw"

private func keySet(_ keys: String...) throws -> KeySet {
    try KeySet(json: Array("{\"keys\":[\(keys.joined(separator: ","))]}".utf8), algorithms: [.edDSA])
}

@Suite("key sets over hours") struct KeySetHourTests {
    /// `each` second of the time, for which a request comes to a loop that has met the token before, and one to a loop that
    /// has not.
    private func pass(_ seconds: Int, _ issuer: Issuer, _ warm: TokenVerifier, _ token: String) -> Int {
        var refused = 0
        for second in 0..<seconds {
            issuer.tick()
            if !issuer.isAccepted(token, by: warm) { refused += 1 }
            if second % 10 == 0, !issuer.isAccepted(token, by: TokenVerifier()) { refused += 1 }
        }
        return refused
    }

    @Test("an issuer that is down for hours costs no known key a single request, and is asked about once a minute")
    func down() throws {
        let issuer = try Issuer()
        let warm = TokenVerifier()
        issuer.published = try keySet(one)
        for _ in 0..<3 { issuer.tick() }
        #expect(pass(600, issuer, warm, tokenOfOne) == 0)
        let before = issuer.fetches
        issuer.published = nil
        #expect(pass(3 * 3600, issuer, warm, tokenOfOne) == 0)
        let asked = issuer.fetches - before
        #expect(asked >= 3 * 55 && asked <= 3 * 60, "\(asked) fetches in three hours")
        // It comes back with another key: a minute later that one is known too, without a token that asks for it.
        issuer.published = try keySet(one, two)
        for _ in 0..<70 { issuer.tick() }
        #expect(issuer.isAccepted(tokenOfTwo, by: TokenVerifier()))
        #expect(issuer.isAccepted(tokenOfOne, by: warm))
        // Taken back, it is refused.
        issuer.published = try keySet(two)
        for _ in 0..<300 { issuer.tick() }
        #expect(!issuer.isAccepted(tokenOfOne, by: warm))
    }

    @Test("nor do tokens with invented keys, which do not make anybody ask more often than every few seconds")
    func downAndAttacked() throws {
        let issuer = try Issuer()
        let warm = TokenVerifier()
        issuer.published = try keySet(one)
        for _ in 0..<3 { issuer.tick() }
        issuer.published = nil
        let before = issuer.fetches
        var refused = 0
        for _ in 0..<3600 {
            issuer.tick()
            #expect(!issuer.isAccepted(tokenOfTwo, by: TokenVerifier()))
            if !issuer.isAccepted(tokenOfOne, by: warm) { refused += 1 }
        }
        #expect(refused == 0)
        // Five seconds for a fetch that fails, four to cool down.
        #expect(issuer.fetches - before <= 3600 / 9 + 5)
    }

    @Test("a new key is found within the cool-down after invented ones, however long they have been tried")
    func newKeyAmongInvented() throws {
        let issuer = try Issuer()
        issuer.published = try keySet(one)
        for _ in 0..<3 { issuer.tick() }
        // Every second somebody asks for a key that is not there.
        for _ in 0..<60 {
            issuer.tick()
            #expect(!issuer.isAccepted(tokenOfTwo, by: TokenVerifier()))
        }
        issuer.published = try keySet(one, two)
        var waited = 0
        while !issuer.isAccepted(tokenOfTwo, by: TokenVerifier()), waited < 100 {
            issuer.tick()
            waited += 1
        }
        // One fetch that began before the key was there, one cool-down, one fetch.
        #expect(waited <= 6, "\(waited) s")
    }

    /// One whose key was fetched, and is good for an hour.
    private func believed(by warm: TokenVerifier) throws -> Issuer {
        let issuer = try Issuer()
        issuer.schedule.keysMaxAge = 3600 * Issuer.second
        issuer.published = try keySet(one)
        for _ in 0..<3 { issuer.tick() }
        #expect(issuer.isAccepted(tokenOfOne, by: warm))
        return issuer
    }

    @Test("keys that can't be refreshed are believed for their time, then no longer, and again when they are")
    func tooOld() throws {
        let warm = TokenVerifier()
        let issuer = try believed(by: warm)
        issuer.published = nil
        // It began a second before it ended.
        #expect(pass(3590, issuer, warm, tokenOfOne) == 0)
        for _ in 0..<10 { issuer.tick() }
        #expect(issuer.schedule.isStale)
        #expect(!issuer.isAccepted(tokenOfOne, by: warm), "a token that was verified before")
        #expect(!issuer.isAccepted(tokenOfOne, by: TokenVerifier()))
        issuer.published = try keySet(one)
        for _ in 0..<70 { issuer.tick() }
        #expect(!issuer.schedule.isStale)
        #expect(issuer.isAccepted(tokenOfOne, by: warm))
    }

    @Test("no clock that is set, and no sleep, makes keys younger")
    func clocks() throws {
        for jump in [-86_400, 86_400] {
            let warm = TokenVerifier()
            let issuer = try believed(by: warm)
            issuer.published = nil
            issuer.wallOffset &+= UInt64(bitPattern: Int64(jump)) &* Issuer.second
            // A machine that slept for a day has only its wall clock to know it by; one whose clock was set back has not.
            for _ in 0..<(jump > 0 ? 1 : 3600) { issuer.tick() }
            #expect(issuer.schedule.isStale, "\(jump)")
            #expect(!issuer.isAccepted(tokenOfOne, by: warm), "\(jump)")
        }
    }

    @Test("keys that are old soon are fetched anew before they are")
    func shortLived() throws {
        let issuer = try Issuer()
        issuer.schedule.keysMaxAge = 20 * Issuer.second
        issuer.published = try keySet(one)
        for _ in 0..<3 { issuer.tick() }
        #expect(pass(600, issuer, TokenVerifier(), tokenOfOne) == 0)
        #expect(issuer.fetches >= 30)
    }

    @Test("a set without a key that can be used takes the keys away that were known")
    func emptied() throws {
        for json in ["{\"keys\":[]}", "{\"keys\":[{\"kty\":\"unknown\"}]}"] {
            let warm = TokenVerifier()
            let issuer = try believed(by: warm)
            issuer.published = try KeySet(json: Array(json.utf8), algorithms: [.edDSA])
            for _ in 0..<300 { issuer.tick() }
            #expect(!issuer.isAccepted(tokenOfOne, by: warm))
            #expect(!issuer.isAccepted(tokenOfOne, by: TokenVerifier()))
        }
    }

    @Test("when a fetch is due")
    func schedule() {
        let second = Issuer.second
        let start = Moment(monotonic: 0, wall: 0)
        var schedule = KeySetSchedule()
        #expect(schedule.next == 0)
        schedule.begin()
        #expect(schedule.next == .max)
        // The server's word, within bounds.
        for (maxAge, due) in [(nil, 240), (1000, 800), (0, 48), (1 << 60, 69_120)] as [(UInt64?, UInt64)] {
            schedule.succeed(now: 7 * second, began: start, maxAge: maxAge, changed: false)
            #expect(schedule.next == (7 + due) * second)
        }
        var waits: [UInt64] = []
        for _ in 0..<7 {
            schedule.begin()
            schedule.fail(now: 0)
            waits.append(schedule.next / second)
        }
        #expect(waits == [5, 10, 20, 40, 60, 60, 60])
        #expect(schedule.coolDown == second)
        // Cool-downs grow with what tokens have asked for in vain, and with nothing else.
        var coolDowns: [UInt64] = []
        for _ in 0..<4 {
            schedule.ask(quietEnd: second)
            #expect(schedule.next <= second)
            schedule.begin()
            schedule.succeed(now: 0, began: start, maxAge: nil, changed: false)
            coolDowns.append(schedule.coolDown / second)
        }
        #expect(coolDowns == [2, 4, 4, 4])
        schedule.ask(quietEnd: second)
        schedule.begin()
        schedule.succeed(now: 0, began: start, maxAge: nil, changed: true)
        #expect(schedule.coolDown == second)
        schedule.postpone(now: 5 * second)
        #expect(schedule.next == 6 * second)
    }
}
