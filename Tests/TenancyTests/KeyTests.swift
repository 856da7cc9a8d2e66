import Crypto
import Foundation
import Net
import Testing

@testable import Tenancy

@Suite struct KeyTests {
    @Test("a made key has a prefix, 160 random bits and a checksum, and no two are the same")
    func made() {
        var seen: Set<String> = []
        for _ in 0..<1000 {
            let key = APIKey.make()
            #expect(key.hasPrefix("gw_") && key.utf8.count == 36)
            #expect(wellFormed(key))
            #expect(seen.insert(key).inserted)
        }
    }

    @Test("one mistyped character, two swapped ones or a lost one are told apart")
    func typos() {
        let key = Array(APIKey.make().utf8)
        for place in 3..<key.count {
            var typo = key
            typo[place] = key[place] == 0x61 ? 0x62 : 0x61
            #expect(!wellFormed(String(decoding: typo, as: UTF8.self)))
            typo = key
            typo.remove(at: place)
            #expect(!wellFormed(String(decoding: typo, as: UTF8.self)))
            if place + 1 < key.count, key[place] != key[place + 1] {
                typo = key
                typo.swapAt(place, place + 1)
                #expect(!wellFormed(String(decoding: typo, as: UTF8.self)))
            }
        }
        for text in ["", "gw_", "gw_!", "GW_" + String(repeating: "0", count: 33)] { #expect(!wellFormed(text)) }
    }

    @Test("the checksum is the CRC-32 of everything")
    func checksum() {
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32.of($0) } == 0xCBF4_3926)
    }

    @Test("every key is found, and nothing else", arguments: [0, 1, 2, 3, 1000, 50_000])
    func table(_ count: Int) {
        func digest(_ number: Int) -> Digest256 { SHA256.digest(Array("key \(number)".utf8)) }
        let table = KeyTable(
            count: count, (0..<count).map { (digest: digest($0), tenant: Int32($0 % 7), expires: UInt32($0)) })
        for number in 0..<count {
            #expect(table.find(digest(number)) == .init(tenant: Int32(number % 7), expires: UInt32(number), position: number))
        }
        for number in count..<count + 1000 { #expect(table.find(digest(number)) == nil) }
    }

    @Test("digests that differ in one place are told apart, in whichever slot they come to lie")
    func collisions() {
        let base = Digest256(words: (42, 0, 0, 0))
        let all = (0..<64).map { bit in Digest256(words: (42 | 1 << 63, 0, 1 << UInt64(bit), 7)) } + [base]
        let table = KeyTable(count: all.count, all.enumerated().map { ($0.element, Int32($0.offset), 0) })
        for (number, digest) in all.enumerated() { #expect(table.find(digest)?.tenant == Int32(number)) }
        #expect(table.find(Digest256(words: (42, 0, 0, 1))) == nil)
    }

    @Test("guessing is damped after a few failures, by address, and forgotten in time")
    func damping() {
        var damper = GuessDamper()
        func failed(high: UInt64, low: UInt64, tenant: String = "acme", now: UInt64) -> Bool {
            damper.failed(client: SocketAddress(high: high, low: low, port: 0).client, tenant: tenant, now: now)
        }
        var now: UInt64 = 1_000_000_000_000
        let guesser: UInt64 = 0xFFFF << 32 | 0xC000_0201
        for _ in 0..<10 { #expect(!failed(high: 0, low: guesser, now: now)) }
        for _ in 0..<100 { #expect(failed(high: 0, low: guesser, now: now)) }
        #expect(!failed(high: 0, low: guesser + 1, now: now), "another address is not concerned")
        #expect(!failed(high: 0, low: guesser, tenant: "globex", now: now), "nor is another tenant")
        now += 2_000_000_000
        #expect(!failed(high: 0, low: guesser, now: now))
        #expect(failed(high: 0, low: guesser, now: now))
        now += 100_000_000_000
        for _ in 0..<10 { #expect(!failed(high: 0, low: guesser, now: now)) }
        // One network of IPv6 is one client, however many addresses it has.
        for host in 0..<10 { #expect(!failed(high: 0x2001_0DB8 << 32, low: UInt64(host), now: now)) }
        #expect(failed(high: 0x2001_0DB8 << 32, low: 99, now: now))
    }

    @Test("where nobody knows the tenant, ten times as many are allowed: they are those of all tenants")
    func dampingOfUnknown() {
        var damper = GuessDamper()
        let firstDamped = (1...200).first { _ in damper.failed(client: 0xFFFF << 32 | 1, tenant: nil, now: 1_000_000_000_000) }
        #expect(firstDamped == 101)
    }

    @Test("of credentials that nobody asked for a hundred in vain are looked at, and more in time")
    func unasked() {
        var looks = UnaskedLooks()
        var now: UInt64 = 1_000_000_000_000
        var count = 0
        while looks.areLeft(client: 0xFFFF << 32 | 1, now: now), count < 1000 {
            looks.spend(client: 0xFFFF << 32 | 1, now: now)
            count += 1
        }
        #expect(count == 100)
        #expect(looks.areLeft(client: 0xFFFF << 32 | 2, now: now))
        now += 100_000_000
        #expect(looks.areLeft(client: 0xFFFF << 32 | 1, now: now))
        looks.spend(client: 0xFFFF << 32 | 1, now: now)
        #expect(!looks.areLeft(client: 0xFFFF << 32 | 1, now: now))
    }

    @Test("guessing at many tenants is damped after a hundred times as many, and no other address is")
    func dampingOverall() {
        var damper = GuessDamper()
        let now: UInt64 = 1_000_000_000_000
        let guesser: UInt64 = 0xFFFF << 32 | 0xC000_0201
        var firstDamped: Int?
        for tenant in 1...1100
        where damper.failed(client: guesser, tenant: "\(tenant)", now: now) && firstDamped == nil {
            firstDamped = tenant
        }
        #expect(firstDamped == 1001)
        let isDamped = damper.failed(client: guesser, tenant: "new", now: now)
        let isOtherDamped = damper.failed(client: guesser + 1, tenant: "new", now: now)
        #expect(isDamped && !isOtherDamped)
    }
}

private func wellFormed(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { APIKey.isWellFormed($0) } }
