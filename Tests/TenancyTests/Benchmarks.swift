import Configuration
import Crypto
import Foundation
import Testing

@testable import Tenancy

/// Figures, not verdicts: `GATEWAY_BENCHMARKS=1 swift test -c release -Xswiftc -enable-testing --filter Benchmark`.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["GATEWAY_BENCHMARKS"] != nil))
struct Benchmarks {
    @Test("a million keys: memory, and the time of a digest with its look-up")
    func keys() {
        let count = 1_000_000
        let before = resident()
        let table = KeyTable(
            count: count, (0..<count).lazy.map { (SHA256.digest(Array("k\($0)".utf8)), Int32($0 % 10_000), .max) })
        print("1,000,000 keys: \((resident() - before) >> 20) MiB")
        let asked = (0..<4096).map { Array("k\($0 &* 7919 % count)".utf8) }
        for (name, look) in [("a digest alone", false), ("a digest and a look-up", true)] {
            var found = 0
            let time = nanoseconds(200_000) { turn in
                let digest = asked[turn & 4095].withUnsafeBytes { SHA256.digest($0) }
                if look { found += table.find(digest) == nil ? 0 : 1 } else { found &+= Int(digest.words.0 & 1) }
            }
            print("\(name): \(time) ns (\(found))")
        }
        let digests = (0..<65_536).map { number in SHA256.digest(asked[number & 4095] + [UInt8(number >> 12)]) }
        let known = (0..<65_536).map { SHA256.digest(Array("k\($0 &* 7919 % count)".utf8)) }
        for (name, list) in [("found", known), ("not found", digests)] {
            var found = 0
            let time = nanoseconds(1_000_000) { turn in found += table.find(list[turn & 65_535]) == nil ? 0 : 1 }
            print("a look-up, \(name): \(time) ns (\(found))")
        }
    }

    @Test("a token: remembered, and verified")
    func tokens() throws {
        guard let file = ProcessInfo.processInfo.environment["GATEWAY_TOKENS"] else { return }
        // Lines: the JWKS first, then ES256 tokens.
        let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init)
        let text = """
            listen 80; upstream app { server 10.0.0.1:80; }
            jwt idp { issuer https://id.test; audience api.test; keys x; algorithms ES256; tenant_claim tenant; }
            tenant acme { host acme.test; upstream app; authenticate jwt; jwt idp; }
            """
        let hot = try #require(ConfigurationLoader.load("x", from: ConfigurationSource { _ in .success(Array(text.utf8)) }).settings).hot
        let keys = try KeySet(json: Array(lines[0].utf8), algorithms: [.es256])
        let directory = Directory(hot.tenants, issuers: [TokenIssuer(hot.issuers[0], keys: KeySource(keys))]) { index, _ in index }
        let tokens = lines.dropFirst().map { Array($0.utf8) }
        let verifier = TokenVerifier()
        let now = Int64(Date().timeIntervalSince1970)
        var good = 0
        func verify(_ token: [UInt8]) {
            token.withUnsafeBytes { if case .valid = verifier.verify($0, in: directory, now: now) { good += 1 } }
        }
        let began = cpu()
        for token in tokens { verify(token) }
        print("an ES256 token, verified: \((cpu() - began) / UInt64(tokens.count)) ns (\(good) of \(tokens.count))")
        let time = nanoseconds(300_000) { turn in verify(tokens[turn % 1000]) }
        print("a token of \(tokens[0].count) bytes, remembered: \(time) ns")
    }

    private func nanoseconds(_ turns: Int, _ body: (Int) -> Void) -> UInt64 {
        let began = cpu()
        for turn in 0..<turns { body(turn) }
        return (cpu() - began) / UInt64(turns)
    }

    /// Nanoseconds of processor time of this thread: what else runs on the machine does not count.
    private func cpu() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private func resident() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
        return (Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0) << 10
    }
}
