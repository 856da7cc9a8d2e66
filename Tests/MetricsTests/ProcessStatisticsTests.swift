import Testing

@testable import Metrics

@Suite("process statistics")
struct ProcessStatisticsTests {
    private func source(_ files: [String: String], descriptors: Int? = nil) -> ProcessStatistics.Source {
        let bytes = files.mapValues { Array($0.utf8) }
        return ProcessStatistics.Source(
            file: { bytes[$0] }, openDescriptors: { descriptors }, ticksPerSecond: 100, pageSize: 4096)
    }

    @Test("the fields are found behind a command whose name looks like fields")
    func realistic() {
        let stat = """
            4242 (gate) way (x) S 1 4242 4242 0 -1 4194560 1111 0 7 0 250 125 0 0 20 0 5 0 3000 123456789 2500 \
            18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n
            """
        let limits = """
            Limit                     Soft Limit           Hard Limit           Units
            Max cpu time              unlimited            unlimited            seconds
            Max open files            1024                 1048576              files
            """
        let statistics = ProcessStatistics(
            reading: source(
                ["/proc/self/stat": stat, "/proc/self/limits": limits, "/proc/stat": "cpu 1 2 3\nbtime 1700000000\nx 1\n"],
                descriptors: 17))
        var expected = ProcessStatistics()
        expected.cpuTime = 3_750_000_000
        expected.threads = 5
        expected.startTime = 1_700_000_030_000_000_000
        expected.virtualMemory = 123_456_789
        expected.residentMemory = 2500 * 4096
        expected.maxDescriptors = 1024
        expected.openDescriptors = 17
        #expect(statistics == expected)
    }

    @Test(
        "what cannot be read or understood is left out, and nothing traps",
        arguments: [
            [:], ["/proc/self/stat": ""], ["/proc/self/stat": ")"], ["/proc/self/stat": "1 (x) S 1 2 3"],
            ["/proc/self/limits": "Max open files            unlimited            unlimited            files"],
            ["/proc/self/limits": "Max open files"], ["/proc/stat": "btime"],
            ["/proc/self/stat": "1 (x) S" + String(repeating: " -1", count: 40), "/proc/stat": "btime x"],
        ] as [[String: String]])
    func unreadable(_ files: [String: String]) {
        #expect(ProcessStatistics(reading: source(files)) == ProcessStatistics())
    }
}
