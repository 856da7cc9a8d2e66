import Base
import Configuration
import Storage

/// What clients are told about their limits. The draft still moves: its text is written here and nowhere else.
extension QuotaEnforcer {
    /// How one limit stands.
    struct Standing {
        var size: UInt64
        var left: UInt64
        /// Seconds until there is more of it; nil where only an end of others can tell.
        var reset: UInt64?
    }

    func standing(_ limit: Limit, of limits: Level, ticks: UInt64) -> Standing {
        let word = limits.meter.value(limit.cell)
        switch limit.kind {
        case .rate(let bucket):
            let left = bucket.left(at: ticks, arrival: word)
            let wait = bucket.wait(left + 1, at: ticks, arrival: word)
            let second = 1_000_000_000 * MeterTime.ticksPerNanosecond
            return Standing(size: limit.size, left: left, reset: (wait &+ second &- 1) / second)
        case .quota(let window, let period):
            let resetDay = limits.rules.pointee.resetDay
            let used = QuotaWindow.used(at: calendar.hour, word: word)
            return Standing(
                size: window.limit, left: window.limit > used ? window.limit - used : 0,
                reset: calendar.remaining(word, period, resetDay: resetDay))
        case .concurrency(let most):
            let used = limits.meter.inFlight
            return Standing(size: most, left: most > used ? most - used : 0, reset: nil)
        }
    }

    /// The header lines about the limits that applied: on success the closest one's standing, on a refusal that of all.
    public func writeFields(_ admission: Admission, _ verdict: Verdict, monotonic: UInt64, to out: inout ByteWriter) {
        switch admission.tenant.rules.pointee.fields {
        case .off: return
        case .draft, .legacy: break
        }
        let ticks = time.ticks(monotonic: monotonic)
        var count = 0
        var closest: (level: Int, number: Int, standing: Standing)?
        for level in 0..<3 {
            guard let limits = admission.level(level), limits.hasEnforced else { continue }
            for number in limits.limits.indices where !limits.limits[number].isShadow {
                count += 1
                let standing = standing(limits.limits[number], of: limits, ticks: ticks)
                // Compared by the part that is left.
                if let known = closest?.standing,
                    Double(known.left) * Double(standing.size) <= Double(standing.left) * Double(known.size)
                {
                    continue
                }
                closest = (level, number, standing)
            }
        }
        guard count > 0, let closest else { return }
        if admission.tenant.rules.pointee.fields == .legacy { return writeLegacy(closest.standing, verdict, to: &out) }
        out.append("RateLimit-Policy: ")
        writeEach(admission, to: &out) { limits, number, _, out in
            out.append(limits.limits[number].policy)
            if case .quota(_, .month) = limits.limits[number].kind {
                out.append(decimal: calendar.length(.month, resetDay: limits.rules.pointee.resetDay))
            }
        }
        out.append("\r\nRateLimit: ")
        if verdict.isAdmitted {
            let label = admission.level(closest.level)!.limits[closest.number].label
            write(closest.standing, label: label, hasTime: true, to: &out)
        } else {
            writeEach(admission, to: &out) { limits, number, bit, out in
                // Only what refused says when, or it could say a later time than `Retry-After`.
                let standing = standing(limits.limits[number], of: limits, ticks: ticks)
                write(standing, label: limits.limits[number].label, hasTime: verdict.violated & bit != 0, to: &out)
            }
        }
        out.append("\r\n")
    }

    private func write(_ standing: Standing, label: UnsafeRawBufferPointer, hasTime: Bool, to out: inout ByteWriter) {
        out.append(label)
        out.append(decimal: standing.left)
        guard hasTime, let reset = standing.reset else { return }
        out.append(";t=")
        out.append(decimal: reset)
    }

    /// The enforced limits of all levels, with commas between.
    private func writeEach(
        _ admission: Admission, to out: inout ByteWriter,
        _ body: (_ limits: Level, _ number: Int, _ bit: UInt32, _ out: inout ByteWriter) -> Void
    ) {
        var isFirst = true
        for level in 0..<3 {
            guard let limits = admission.level(level), limits.hasEnforced else { continue }
            for number in limits.limits.indices where !limits.limits[number].isShadow {
                if !isFirst { out.append(", ") }
                isFirst = false
                body(limits, number, 1 << UInt32(level * 8 + number), &out)
            }
        }
    }

    private func writeLegacy(_ standing: Standing, _ verdict: Verdict, to out: inout ByteWriter) {
        out.append("X-RateLimit-Limit: ")
        out.append(decimal: standing.size)
        out.append("\r\nX-RateLimit-Remaining: ")
        out.append(decimal: standing.left)
        out.append("\r\nX-RateLimit-Reset: ")
        out.append(decimal: verdict.isAdmitted ? standing.reset ?? 1 : verdict.retryAfter)
        out.append("\r\n")
    }

    /// `,"violated-policies":["rate-second"]`, for the problem.
    public func writeViolated(_ admission: Admission, _ verdict: Verdict, to out: inout ByteWriter) {
        out.append(",\"violated-policies\":[")
        var isFirst = true
        for level in 0..<3 {
            guard let limits = admission.level(level) else { continue }
            for number in limits.limits.indices where verdict.violated & 1 << UInt32(level * 8 + number) != 0 {
                out.append(isFirst ? "\"" : ",\"")
                isFirst = false
                // A label is the quoted name and `;r=`: names hold nothing that JSON would escape.
                let label = limits.limits[number].label
                // From behind the first quote mark to the second.
                out.append(UnsafeRawBufferPointer(rebasing: label[1..<(label.count - 3)]))
            }
        }
        out.append("]")
    }
}

/// How a limit stands, for operators and metrics.
public struct LimitReport: Sendable, Equatable {
    public var policy: String
    public var limit: UInt64
    public var used: UInt64
    public var left: UInt64
    /// Seconds until there is more of it.
    public var reset: UInt64?
    public var isShadow: Bool
}

extension LimitSet {
    /// How its limits stand now.
    public func report(_ enforcer: QuotaEnforcer, monotonic: UInt64) -> [LimitReport] {
        zip(rules.limits, names).map { limit, name in
            let standing = enforcer.standing(limit, of: level, monotonic: monotonic)
            return LimitReport(
                policy: name, limit: standing.size, used: standing.size &- min(standing.left, standing.size),
                left: standing.left, reset: standing.reset, isShadow: limit.isShadow)
        }
    }
}

extension QuotaEnforcer {
    func standing(_ limit: Limit, of limits: Level, monotonic: UInt64) -> Standing {
        standing(limit, of: limits, ticks: time.ticks(monotonic: monotonic))
    }
}
