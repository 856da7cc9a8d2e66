import Base
import Foundation
import TestSupport
import Testing

@Suite("JSON, read")
struct JSONReaderTests {
    /// Why it can't be read, or nil.
    private func fault(_ bytes: [UInt8]) -> JSONReader.Fault? {
        do throws(JSONReader.Fault) { _ = try JSONValue(json: bytes) } catch { return error }
        return nil
    }

    /// The same of what only passes over it.
    private func skipFault(_ bytes: [UInt8]) -> JSONReader.Fault? {
        do throws(JSONReader.Fault) {
            try JSONReader.read(bytes) { json throws(JSONReader.Fault) in try json.skip() }
        } catch { return error }
        return nil
    }

    private func read<Value>(
        _ text: String, _ value: (inout JSONReader) throws(JSONReader.Fault) -> Value
    ) -> Result<Value, JSONReader.Fault> {
        Result { () throws(JSONReader.Fault) in try JSONReader.read(Array(text.utf8), value) }
    }

    // MARK: The public suite

    @Test("what must be accepted is", arguments: JSONCase.good + JSONCase.rounded)
    func accepts(_ item: JSONCase) {
        #expect(fault(item.bytes) == nil)
        #expect(skipFault(item.bytes) == nil)
    }

    @Test("what must be refused is, kept and passed over alike", arguments: JSONCase.bad)
    func refuses(_ item: JSONCase) {
        #expect(fault(item.bytes) == .malformed)
        #expect(skipFault(item.bytes) == .malformed)
    }

    @Test("what a parser may accept is refused where it can be read two ways", arguments: JSONCase.doubtful)
    func refusesDoubtful(_ item: JSONCase) {
        #expect(fault(item.bytes) == (item.name.hasPrefix("i_number") ? .tooLarge : .malformed))
    }

    @Test("a name twice is only for whoever looks at every member", arguments: JSONCase.twice)
    func twice(_ item: JSONCase) {
        #expect(fault(item.bytes) == .duplicateName)
        #expect(skipFault(item.bytes) == nil)
    }

    @Test("the suite is as large as it should be")
    func size() { #expect(JSONCase.good.count + JSONCase.twice.count >= 93 && JSONCase.bad.count >= 185) }

    @Test("values are what another parser makes of them", arguments: JSONCase.good)
    func values(_ item: JSONCase) throws {
        let other = try JSONSerialization.jsonObject(with: Data(item.bytes), options: .fragmentsAllowed)
        #expect(isSame(try JSONValue(json: item.bytes), other))
    }

    private func isSame(_ value: JSONValue, _ other: Any) -> Bool {
        switch value {
        case .null: other is NSNull
        case .bool(let flag): other as? Bool == flag
        case .integer(let number): (other as? NSNumber)?.int64Value == number
        // The other parser goes by way of a decimal and loses the last digit of some.
        case .number(let number): (other as? NSNumber).map { abs($0.doubleValue - number) <= 8 * number.ulp } ?? false
        case .string(let text): (other as? String).map { Array($0.utf8) } == text
        case .array(let list):
            (other as? [Any]).map { $0.count == list.count && zip(list, $0).allSatisfy { isSame($0, $1) } } ?? false
        case .object(let object):
            (other as? [String: Any]).map { others in
                others.count == object.members.count
                    && object.members.allSatisfy { member in
                        others[String(decoding: member.name, as: UTF8.self)].map { isSame(member.value, $0) } ?? false
                    }
            } ?? false
        }
    }

    // MARK: Bounds

    @Test("depth and number of values are bounded")
    func bounds() {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        #expect(fault(nested(16)) == nil)
        #expect(fault(nested(17)) == .tooDeep)
        // i_structure_500_nested_arrays, n_structure_100000_opening_arrays, n_structure_open_array_object
        for bytes in [nested(500), nested(1_000_000), Array(String(repeating: "[{\"\":", count: 50_000).utf8)] {
            #expect(fault(bytes) == .tooDeep)
            #expect(skipFault(bytes) == .tooDeep)
        }
        // How deep it is counts, not how many there are.
        #expect(fault(Array("[[],[{}],{\"a\":[]},[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]".utf8)) == nil)
        let many = "[" + String(repeating: "1,", count: 4094) + "1"
        #expect(fault(Array((many + "]").utf8)) == nil)
        #expect(fault(Array((many + ",1]").utf8)) == .tooLarge)
    }

    @Test("no byte is read before or behind the text, and no part of a text is one")
    func cuts() {
        let text = Array(
            #"{"a":[1,-2.5e1,true,false,null],"b\n":"\ud83d\ude00é","long enough for words":"and more","u":18446744073709551615}"#
                .utf8)
        #expect(skipFault(text) == nil)
        for size in text.indices {
            // A region of its own, for the address sanitizer.
            let region = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
            defer { region.deallocate() }
            region.copyBytes(from: text[..<size])
            #expect(throws: JSONReader.Fault.malformed) {
                try JSONReader.read(UnsafeRawBufferPointer(region)) { json throws(JSONReader.Fault) in try json.skip() }
            }
        }
    }

    // MARK: Single values

    @Test("whole numbers are exact up to their last")
    func numbers() {
        func unsigned(_ text: String) -> Result<UInt64, JSONReader.Fault> {
            read(text) { json throws(JSONReader.Fault) in try json.unsigned() }
        }
        func integer(_ text: String) -> Result<Int64, JSONReader.Fault> {
            read(text) { json throws(JSONReader.Fault) in try json.integer() }
        }
        for value in [
            0, 1, 9, 10, 9_007_199_254_740_993, 9_999_999_999_999_999_999, 10_000_000_000_000_000_000, UInt64.max - 1,
            .max,
        ] {
            #expect(unsigned("\(value)") == .success(value))
        }
        for text in ["18446744073709551616", "18446744073709551620", "99999999999999999999", "100000000000000000000"] {
            #expect(unsigned(text) == .failure(.tooLarge))
        }
        for text in ["", "-1", "-0", "+1", "01", "00", "1.0", "1e1", "x", "1x", "\"1\""] {
            #expect(unsigned(text) == .failure(.malformed))
        }
        for value in [0, -1, 1, Int64.min, .min + 1, .max] { #expect(integer("\(value)") == .success(value)) }
        #expect(integer("-0") == .success(0))
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999"] {
            #expect(integer(text) == .failure(.tooLarge))
        }
        for text in ["1.0", "1e1", "-", "--1", "-01"] { #expect(integer(text) == .failure(.malformed)) }
        #expect(fault(Array("1e999".utf8)) == .tooLarge)
        #expect(try! JSONValue(json: Array("9223372036854775808".utf8)) == .number(9_223_372_036_854_775_808))
    }

    @Test("what is kept is what the text says")
    func kept() throws {
        let text = " { \"a\" : [ 1 , -2.5e1, true, false, null ], \"\\u0062\\n\" : \"\\ud83d\\ude00\\/\" } "
        let object = try #require(try JSONValue(json: Array(text.utf8)).object)
        #expect(object["a"] == .array([.integer(1), .number(-25), .bool(true), .bool(false), .null]))
        #expect(object["b\n"] == .string(Array("😀/".utf8)))
        // Two names that a reader of Unicode takes for one are two here; and one name in two spellings is one.
        #expect(fault(Array("{\"\u{e9}\":1,\"e\u{301}\":2}".utf8)) == nil)
        #expect(fault(Array("{\"a\":1,\"\\u0061\":2}".utf8)) == .duplicateName)
        #expect(fault(Array("{\"x\":{\"a\":1,\"a\":1}}".utf8)) == .duplicateName)
    }

    @Test("a string is compared by what it says, and its bytes stand there where nothing is escaped")
    func strings() {
        let text = #"{"id":"plain","\u0069d":"a\u00e9\"","idx":"","":"x"}"#
        var found: [String] = []
        let outcome = read(text) { json throws(JSONReader.Fault) in
            try json.object { name, json throws(JSONReader.Fault) in
                let value = try json.string()
                switch name {
                case "id": found.append("id=\(value.text) \(value.plain == nil)")
                case "": found.append("=\(value.text)")
                default: found.append("other")
                }
            }
        }
        guard case .success = outcome else { return #expect(Bool(false), "\(outcome)") }
        #expect(found == ["id=plain false", "id=aé\" true", "other", "=x"])
    }

    @Test("what was written is what is read, whatever the bytes are")
    func roundTrip() throws {
        var random = SeededGenerator(state: 11)
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            var json = JSONWriter()
            json.object { $0.member(text, text) }
            #expect(try JSONValue(json: json.bytes).object?[Array(text.utf8)] == .string(Array(text.utf8)))
        }
    }
}
