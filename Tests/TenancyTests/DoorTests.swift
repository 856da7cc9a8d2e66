import Base
import Configuration
import Testing

@testable import Tenancy

private func block(_ address: UInt128, _ prefix: Int) -> AddressBlock {
    let start = prefix == 0 ? 0 : address & ~(prefix == 128 ? 0 : UInt128.max >> UInt128(prefix))
    return AddressBlock(high: UInt64(truncatingIfNeeded: start >> 64), low: UInt64(truncatingIfNeeded: start), prefix: prefix)
}

private func allows(_ rules: [AddressRule], _ address: UInt128) -> Bool {
    let memory = RecordMemory()
    return withExtendedLifetime(memory) {
        AddressRules(record: AddressRules.make(rules, in: memory))
            .allow(high: UInt64(truncatingIfNeeded: address >> 64), low: UInt64(truncatingIfNeeded: address))
    }
}

@Suite struct AddressRuleTests {
    @Test("whom no line is about may come, and the first line that is about somebody holds")
    func firstHolds() {
        #expect(allows([], 7))
        let inner = AddressRule(block: block(0x10, 124), allows: true)
        let outer = AddressRule(block: block(0, 120), allows: false)
        #expect(allows([inner, outer], 0x15) && !allows([inner, outer], 0x25) && allows([inner, outer], 0x100))
        #expect(!allows([outer, inner], 0x15), "the larger block stands in front")
        let all = AddressRule(block: .all, allows: false)
        #expect(!allows([inner, all], 0) && !allows([inner, all], .max) && allows([inner, all], 0x1F))
        #expect(allows([AddressRule(block: .all, allows: true), all], .max))
    }

    @Test("the first and the last address of each block are in it, and their neighbours are not")
    func edges() {
        for prefix in [0, 1, 63, 64, 65, 96, 127, 128] {
            let one = block(0xFFFF_0A00_0000_0000_1234 << 40, prefix)
            let start = UInt128(one.high) << 64 | UInt128(one.low)
            let last = start | (prefix == 0 ? .max : UInt128.max >> UInt128(prefix))
            let rules = [AddressRule(block: one, allows: false)]
            #expect(!allows(rules, start) && !allows(rules, last), "\(prefix)")
            if start > 0 { #expect(allows(rules, start - 1), "\(prefix)") }
            if last < .max { #expect(allows(rules, last + 1), "\(prefix)") }
        }
    }

    @Test("compiled rules say what reading them line by line says")
    func model() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            // Few bits, so that blocks lie in each other, beside each other, and stand twice.
            let rules = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                let prefix = [0, 118, 120, 122, 123, 124, 126, 128].randomElement(using: &random)!
                return AddressRule(block: block(UInt128(UInt16.random(in: 0...1023, using: &random)), prefix), allows: Bool.random())
            }
            let memory = RecordMemory()
            let compiled = AddressRules(record: AddressRules.make(rules, in: memory))
            for low in UInt64(0)...1030 {
                let told = rules.first { $0.block.contains(high: 0, low: low) }?.allows ?? true
                #expect(compiled.allow(high: 0, low: low) == told, "\(low) of \(rules)")
            }
            withExtendedLifetime(memory) {}
        }
    }
}

@Suite struct CORSTests {
    private func lines(_ settings: CORSSettings, _ origin: String?) -> (answer: String, preflight: String, varies: Bool) {
        let memory = RecordMemory()
        return withExtendedLifetime(memory) {
            let cors = CORS(record: CORS.make(settings, in: memory))
            var origin = origin
            let grant = origin?.withUTF8 { cors.grant(UnsafeRawBufferPointer($0)) } ?? cors.grant(nil)
            func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
            return (text(grant.answer), text(grant.preflight), grant.variesByOrigin)
        }
    }

    @Test("an origin that is named is granted what stands there, another one nothing, and both answers vary")
    func named() {
        var settings = CORSSettings()
        settings.origins = ["https://a.test", "https://b.test:8443"]
        (settings.methods, settings.headers, settings.exposed) = (["GET", "POST"], ["Authorization"], ["X-Request-Id", "X-B"])
        (settings.allowsCredentials, settings.maxAge) = (true, 600_000_000_000)
        let b = lines(settings, "https://b.test:8443")
        #expect(
            b.answer == """
                Access-Control-Allow-Origin: https://b.test:8443\r\nAccess-Control-Allow-Credentials: true\r\n\
                Access-Control-Expose-Headers: X-Request-Id, X-B\r\n
                """)
        #expect(
            b.preflight == """
                Access-Control-Allow-Origin: https://b.test:8443\r\nAccess-Control-Allow-Credentials: true\r\n\
                Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Allow-Headers: Authorization\r\nAccess-Control-Max-Age: 600\r\n
                """)
        #expect(b.varies)
        for other in ["https://b.test", "https://a.test.evil.test", "https://A.test", "null", "", "*"] {
            let none = lines(settings, other)
            #expect(none.answer == "" && none.preflight == "" && none.varies, "\(other)")
        }
        #expect(lines(settings, nil).varies)
    }

    @Test("for every origin the answer is the same one")
    func all() {
        var settings = CORSSettings()
        settings.origins = ["*"]
        for origin in ["https://a.test", nil] {
            let all = lines(settings, origin)
            #expect(all.answer == "Access-Control-Allow-Origin: *\r\n" && !all.varies)
            #expect(all.preflight == "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, HEAD, POST\r\n")
        }
    }
}
