import Base
import Foundation
import Testing

@Suite("a moment in UTC, taken apart")
struct CivilTimeTests {
    private func text(_ write: (inout ByteWriter) -> Void) -> String {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { region in
            var writer = ByteWriter(region)
            write(&writer)
            return String(decoding: writer.written, as: UTF8.self)
        }
    }

    @Test("dates from 1583 to 2600 are those of Foundation's calendar, odd seconds included")
    func calendar() {
        // Before that, Foundation's calendar is the Julian one.
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 0)!
        var seconds = -12_212_553_600 + 1
        while seconds < 19_880_899_200 {
            let time = CivilTime(secondsSince1970: seconds)
            let parts = calendar.dateComponents(
                [.year, .month, .day, .hour, .minute, .second, .weekday], from: Date(timeIntervalSince1970: Double(seconds)))
            #expect(time.year == parts.year && time.month == parts.month && time.day == parts.day, "\(seconds)")
            #expect(time.hour == parts.hour && time.minute == parts.minute && time.second == parts.second, "\(seconds)")
            #expect(time.weekday == parts.weekday! - 1, "\(seconds)")
            seconds += 86400 * 37 + 12_345
        }
    }

    @Test(
        "RFC 3339 to the millisecond",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (999_999, "1970-01-01T00:00:00.000Z"),
            (1_795_435_199_999_999_999, "2026-11-23T11:59:59.999Z"), (951_782_400_001_000_000, "2000-02-29T00:00:00.001Z"),
            (UInt64.max, "2554-07-21T23:34:33.709Z"),
        ])
    func rfc3339(_ wall: UInt64, _ expected: String) {
        #expect(text { $0.append(rfc3339: wall) } == expected)
    }

    @Test("the HTTP date of RFC 9110's example")
    func httpDate() {
        #expect(text { $0.append(httpDate: 784_111_777) } == "Sun, 06 Nov 1994 08:49:37 GMT")
    }

    @Test("extremes do not trap", arguments: [Int.min, Int.max, -1])
    func extremes(_ seconds: Int) {
        #expect((0...6).contains(CivilTime(secondsSince1970: seconds).weekday))
    }
}
