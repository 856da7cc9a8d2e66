import Admin
import Base
import CLinux
import Configuration
import Glibc
import Metrics
import Net
import Proxy

/// Looks ten times a second at what there is too little of, and tells the workers the stage that follows.
final class OverloadWatch: Source {
    private let group: Overload
    private let registry: MetricsRegistry
    /// As the configuration in force has it.
    var settings: OverloadSettings
    private var stages = OverloadStages()
    /// Kept open: there may be no descriptor left when it counts.
    private let statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    private let pageSize = Double(max(4096, sysconf(Int32(_SC_PAGESIZE))))
    private let machine = MemoryBounds.ofMachine()
    private var trimmed: UInt64 = 0
    private static let period: UInt64 = 100_000_000
    private static let trimPeriod: UInt64 = 5_000_000_000

    init(loop: EventLoop, flow: Flow, group: Overload, registry: MetricsRegistry, settings: OverloadSettings) {
        (self.group, self.registry, self.settings) = (group, registry, settings)
        super.init(loop: loop, fd: -1, flow: flow)
        loop.schedule(self, at: loop.now + Self.period)
    }

    deinit { if statm >= 0 { Glibc.close(statm) } }

    override func expired() {
        loop.schedule(self, at: loop.now + Self.period)
        let levels = [memory, descriptors, lag].compactMap { $0 }
        let before = (stages.stage, stages.cause)
        stages.look(at: levels, now: loop.now)
        if stages.stage != before.0 || stages.cause != before.1 {
            group.set(stage: stages.stage, cause: stages.cause)
            registry.overload.set(UInt64(stages.stage))
        }
        if stages.stage != before.0 { tell(levels) }
        // What was freed lies about in small pieces: the process would be called large for ever.
        if stages.stage > 0, stages.cause == .memory, loop.now >= trimmed + Self.trimPeriod {
            trimmed = loop.now
            malloc_trim(0)
        }
    }

    private func tell(_ levels: [OverloadStages.Level]) {
        if stages.stage == 0 { return Console.log("overload: over") }
        guard let level = levels.first(where: { $0.cause == stages.cause }) else { return }
        Console.log("overload: stage \(stages.stage) (\(Self.text(level)))")
    }

    private static func text(_ level: OverloadStages.Level) -> String {
        switch level.cause {
        case .memory: "memory: \(Int(level.value) >> 20) MiB, bound \(Int(level.bounds.0) >> 20) MiB"
        case .descriptors: "descriptors: \(Int(level.value)) open, bound \(Int(level.bounds.0))"
        case .lag: "lag: work waits \(Int(level.value) / 1_000_000) ms for its turn, bound \(Int(level.bounds.0) / 1_000_000) ms"
        }
    }

    // MARK: Levels

    /// Of this process alone: files that it maps can be had again.
    private var memory: OverloadStages.Level? {
        var text = [CChar](repeating: 0, count: 128)
        guard pread(statm, &text, text.count - 1, 0) > 0 else { return nil }
        let fields = text.split(separator: 0x20).map { field in field.reduce(0.0) { $0 * 10 + Double($1 - 0x30) } }
        guard fields.count > 2 else { return nil }
        let bound = Double(settings.memory ?? machine)
        return .init(.memory, (fields[1] - fields[2]) * pageSize, bounds: (bound, bound * 1.1, bound * 1.2))
    }

    private var descriptors: OverloadStages.Level? {
        var status = stat()
        // How many there are, where the kernel tells (Linux 6.2). Without it clients that find none left wait by themselves.
        guard stat("/proc/self/fd", &status) == 0, status.st_size > 0 else { return nil }
        let most = Double(Descriptors.limit)
        let bound = most * Double(settings.descriptors) / 100
        return .init(.descriptors, Double(status.st_size), bounds: (bound, (bound + most) / 2, (bound + 3 * most) / 4))
    }

    private var lag: OverloadStages.Level? {
        let bound = Double(settings.lag)
        return .init(.lag, Double(registry.lag), bounds: (bound, 2 * bound, 4 * bound))
    }
}

/// How much memory there is.
enum MemoryBounds {
    /// Four fifths of what the machine has, or the control group where that has less: bytes.
    static func ofMachine() -> UInt64 {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let size = sysconf(Int32(_SC_PAGESIZE))
        // Where it isn't told there is no bound.
        var least = pages > 0 && size > 0 ? UInt64(pages) * UInt64(size) : UInt64.max
        for path in groupFiles() {
            let text = ConfigurationSource.disk.text(path).split(whereSeparator: \.isWhitespace).first
            if let bound = text.flatMap({ UInt64($0) }), bound > 0 { least = min(least, bound) }
        }
        return least / 5 * 4
    }

    /// Those of the process's control group, and of all that it is in (cgroups(7), version 2).
    private static func groupFiles() -> [String] {
        let line = ConfigurationSource.disk.text("/proc/self/cgroup").split(separator: "\n").first { $0.hasPrefix("0::/") }
        var parts = (line?.dropFirst(4) ?? "").split(separator: "/")
        var files: [String] = []
        while true {
            files.append("/sys/fs/cgroup/" + parts.map { $0 + "/" }.joined() + "memory.max")
            if parts.popLast() == nil { return files }
        }
    }
}
