import Base
import Storage

/// One line of the ledger: what an account used in one closed interval.
public struct UsageRecord: Sendable, Equatable {
    public var id: RecordID
    public var account: Account
    /// Wall times in nanoseconds; the interval is over before `to`.
    public var from: UInt64
    public var to: UInt64
    public var usage: Usage
    /// Requests admitted and not settled when it was closed.
    public var inFlight: UInt64
    /// The lifetime counters when it was closed. What a crash left half done is finished by these, and the sum of the
    /// lines so far can be checked against them.
    public var totals: UsageCounters
    /// Of a day's first line, and of the first after a clock went back to it: the day of the line before it. Should that be
    /// lost, it is known of which day it was.
    public var dayBefore: UInt64?
    /// Of the first line of an opening of the ledger: the last line before it. Within an opening ids follow each other, and
    /// so it is known of every line which one comes before it.
    public var before: RecordID?
    /// Of a line that others were rolled up into: how many, from the first to the last of them.
    public var rolledUp: RolledUp?

    public struct RolledUp: Sendable, Equatable {
        public var lines: UInt64
        public var first: RecordID
        public var last: RecordID
        /// What it is the sum of. A file of such lines ends with a seal; before there were seals it was not written.
        public var level: Period?
        public init(lines: UInt64, first: RecordID, last: RecordID, level: Period? = nil) {
            (self.lines, self.first, self.last, self.level) = (lines, first, last, level)
        }
    }

    public init(
        id: RecordID, account: Account, from: UInt64, to: UInt64, usage: Usage, inFlight: UInt64, totals: UsageCounters,
        dayBefore: UInt64? = nil, before: RecordID? = nil, rolledUp: RolledUp? = nil
    ) {
        (self.id, self.account, self.from, self.to, self.usage) = (id, account, from, to, usage)
        (self.inFlight, self.totals, self.dayBefore) = (inFlight, totals, dayBefore)
        (self.before, self.rolledUp) = (before, rolledUp)
    }
}

extension UsageRecord {
    /// Appends it as a checked line.
    public func write(to lines: inout [UInt8]) {
        // Numbers of twenty digits, and two names whose bytes are all escaped.
        let most = 2048 + JSONText.room(for: account.tenant.utf8.count + (account.key?.utf8.count ?? 0))
        CheckedLine.append(to: &lines, room: most, write)
    }

    private func write(to line: inout ByteWriter) {
        line.append("{\"id\":\"")
        line.append(id)
        line.append("\",\"tenant\":")
        line.append(json: account.tenant)
        if let key = account.key {
            line.append(",\"key\":")
            line.append(json: key)
        }
        line.append(",\"from\":\"")
        line.append(rfc3339: from)
        line.append("\",\"to\":\"")
        line.append(rfc3339: to)
        line.append("\"")
        if let dayBefore {
            line.append(",\"day_before\":\"")
            line.append(String(Timestamp.dayText(dayBefore)))
            line.append("\"")
        }
        if let before {
            line.append(",\"before\":\"")
            line.append(before)
            line.append("\"")
        }
        line.append(",\"admitted\":")
        line.append(decimal: usage.admitted)
        line.append(",\"settled\":")
        line.append(decimal: usage.settled)
        line.append(",\"in_flight\":")
        line.append(decimal: inFlight)
        line.append(",\"refused\":{")
        var isFirst = true
        for index in usage.refused.indices where usage.refused[index] > 0 {
            line.append(isFirst ? "\"" : ",\"")
            line.append(Usage.reasons[index])
            line.append("\":")
            line.append(decimal: usage.refused[index])
            isFirst = false
        }
        line.append("}")
        if usage.shadowRefused > 0 {
            line.append(",\"shadow_refused\":")
            line.append(decimal: usage.shadowRefused)
        }
        if usage.uncharged > 0 {
            line.append(",\"uncharged\":")
            line.append(decimal: usage.uncharged)
        }
        line.append(",\"status\":[")
        for index in usage.status.indices {
            if index > 0 { line.append(",") }
            line.append(decimal: usage.status[index])
        }
        line.append("],\"request_bytes\":")
        line.append(decimal: usage.requestBytes)
        line.append(",\"response_bytes\":")
        line.append(decimal: usage.responseBytes)
        line.append(",\"upstream_ms\":")
        line.append(decimal: usage.upstreamMilliseconds)
        line.append(",\"cost\":")
        if usage.cost < 0 { line.append("-") }
        line.append(decimal: usage.cost.magnitude)
        if let rolledUp {
            line.append(",\"lines\":")
            line.append(decimal: rolledUp.lines)
            line.append(",\"first\":\"")
            line.append(rolledUp.first)
            line.append("\",\"last\":\"")
            line.append(rolledUp.last)
            line.append("\"")
            if let level = rolledUp.level {
                line.append(",\"level\":\"")
                line.append(level.rawValue)
                line.append("\"")
            }
        }
        line.append(",\"totals\":[")
        for index in totals.words.indices {
            if index > 0 { line.append(",") }
            line.append(decimal: totals.words[index])
        }
        line.append("]")
    }
}

extension ByteWriter {
    fileprivate mutating func append(_ id: RecordID) {
        append(hex: UInt64(id.node), width: 8)
        append(byte: 0x2D)
        append(decimal: id.epoch)
        append(byte: 0x2D)
        append(decimal: id.sequence)
    }

    fileprivate mutating func append(json text: String) {
        var text = text
        text.withUTF8 { append(jsonString: UnsafeRawBufferPointer($0)) }
    }
}
