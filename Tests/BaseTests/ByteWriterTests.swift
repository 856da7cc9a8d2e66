import Base
import Testing

@Suite("appending to a fixed region")
struct ByteWriterTests {
    @Test("decimals of every length, and what does not fit is left out whole")
    func decimals() {
        var values: [UInt64] = [0, .max]
        var power: UInt64 = 1
        for _ in 0..<19 {
            power *= 10
            values += [power - 1, power, power + 1]
        }
        for value in values {
            let expected = Array(String(value).utf8)
            for room in 1...21 {
                withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { region in
                    var writer = ByteWriter(region)
                    writer.append(decimal: value)
                    #expect(Array(writer.written) == (room >= expected.count ? expected : []))
                    #expect(writer.overflowed == (room < expected.count))
                }
            }
        }
    }

    @Test("signed decimals", arguments: [Int.min, -1, 0, 1, Int.max])
    func signed(_ value: Int) {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { region in
            var writer = ByteWriter(region)
            writer.append(decimal: value)
            #expect(String(decoding: writer.written, as: UTF8.self) == String(value))
        }
    }
}
