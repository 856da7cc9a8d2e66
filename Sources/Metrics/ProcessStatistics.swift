import Base

/// What the kernel says about this process, under the names that the Prometheus clients use. A figure that could not be
/// read is nil and is left out.
public struct ProcessStatistics: Sendable, Equatable {
    /// User and system time, nanoseconds.
    public var cpuTime: UInt64?
    /// Bytes.
    public var residentMemory: UInt64?
    /// Bytes.
    public var virtualMemory: UInt64?
    public var openDescriptors: UInt64?
    /// The soft limit; nil where there is none.
    public var maxDescriptors: UInt64?
    /// Nanoseconds since 1970.
    public var startTime: UInt64?
    public var threads: UInt64?

    /// What can be read about a process and its machine. The reading itself is the caller's.
    public struct Source: Sendable {
        /// The whole of a file under `/proc`; nil where it cannot be read.
        public var file: @Sendable (_ path: String) -> [UInt8]?
        /// How many descriptors are open.
        public var openDescriptors: @Sendable () -> Int?
        /// Of `/proc/self/stat`: 100 nearly everywhere.
        public var ticksPerSecond: UInt64
        /// Bytes.
        public var pageSize: UInt64

        public init(
            file: @escaping @Sendable (String) -> [UInt8]?, openDescriptors: @escaping @Sendable () -> Int?,
            ticksPerSecond: UInt64, pageSize: UInt64
        ) {
            (self.file, self.openDescriptors) = (file, openDescriptors)
            (self.ticksPerSecond, self.pageSize) = (max(ticksPerSecond, 1), pageSize)
        }
    }

    public init() {}

    public init(reading source: Source) {
        let tick = 1_000_000_000 / source.ticksPerSecond
        if let stat = source.file("/proc/self/stat") {
            let fields = Self.fieldsAfterCommand(stat)
            if fields.count > 21 {
                if let user = fields[11], let system = fields[12] { cpuTime = (user &+ system) &* tick }
                threads = fields[17]
                if let started = fields[19], let boot = source.file("/proc/stat").flatMap(Self.bootTime) {
                    startTime = boot &* 1_000_000_000 &+ started &* tick
                }
                virtualMemory = fields[20]
                residentMemory = fields[21].map { $0 &* source.pageSize }
            }
        }
        maxDescriptors = source.file("/proc/self/limits").flatMap(Self.openFileLimit)
        openDescriptors = source.openDescriptors().flatMap { UInt64(exactly: $0) }
    }

    /// The numbers after the command's name, from the state (which is none) on. The name may hold spaces and
    /// parentheses: its end is the last parenthesis of the line.
    private static func fieldsAfterCommand(_ stat: [UInt8]) -> [UInt64?] {
        guard let end = stat.lastIndex(of: 0x29) else { return [] }
        return words(stat[(end + 1)...]).map(decimal)
    }

    /// Seconds since 1970, from the line `btime N`.
    private static func bootTime(_ stat: [UInt8]) -> UInt64? {
        line(of: stat, startingWith: "btime ").flatMap { words($0).dropFirst().first }.flatMap(decimal)
    }

    private static func openFileLimit(_ limits: [UInt8]) -> UInt64? {
        line(of: limits, startingWith: "Max open files ").flatMap { words($0).dropFirst(3).first }.flatMap(decimal)
    }

    private static func line(of text: [UInt8], startingWith start: String) -> ArraySlice<UInt8>? {
        text.split(separator: ASCII.lf).first { $0.starts(with: start.utf8) }
    }

    private static func words(_ line: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        line.split { $0 == ASCII.space || $0 == ASCII.lf || $0 == ASCII.tab }
    }

    private static func decimal(_ word: ArraySlice<UInt8>) -> UInt64? {
        word.withUnsafeBytes { ASCII.decimal($0) }
    }
}
