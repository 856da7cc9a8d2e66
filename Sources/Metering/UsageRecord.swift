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
    /// Of a line that others were rolled up into: how many, from the first to the last of them.
    public var rolledUp: RolledUp?

    public struct RolledUp: Sendable, Equatable {
        public var lines: UInt64
        public var first: RecordID
        public var last: RecordID
        public init(lines: UInt64, first: RecordID, last: RecordID) {
            (self.lines, self.first, self.last) = (lines, first, last)
        }
    }

    public init(
        id: RecordID, account: Account, from: UInt64, to: UInt64, usage: Usage, inFlight: UInt64, totals: UsageCounters,
        rolledUp: RolledUp? = nil
    ) {
        (self.id, self.account, self.from, self.to, self.usage) = (id, account, from, to, usage)
        (self.inFlight, self.totals, self.rolledUp) = (inFlight, totals, rolledUp)
    }
}

extension UsageRecord {
    /// Appends it as a checked line.
    public func write(to lines: inout [UInt8]) {
        let start = lines.count
        lines.put("{\"id\":\"")
        lines.put(id)
        lines.put("\",\"tenant\":")
        lines.put(json: account.tenant)
        if let key = account.key {
            lines.put(",\"key\":")
            lines.put(json: key)
        }
        lines.put(",\"from\":\"")
        lines.put(time: from)
        lines.put("\",\"to\":\"")
        lines.put(time: to)
        lines.put("\",\"admitted\":")
        lines.put(usage.admitted)
        lines.put(",\"settled\":")
        lines.put(usage.settled)
        lines.put(",\"in_flight\":")
        lines.put(inFlight)
        lines.put(",\"refused\":{")
        var isFirst = true
        for index in usage.refused.indices where usage.refused[index] > 0 {
            lines.put(isFirst ? "\"" : ",\"")
            lines.put(Usage.reasons[index])
            lines.put("\":")
            lines.put(usage.refused[index])
            isFirst = false
        }
        lines.put("}")
        if usage.shadowRefused > 0 {
            lines.put(",\"shadow_refused\":")
            lines.put(usage.shadowRefused)
        }
        lines.put(",\"status\":[")
        for index in usage.status.indices {
            if index > 0 { lines.put(",") }
            lines.put(usage.status[index])
        }
        lines.put("],\"request_bytes\":")
        lines.put(usage.requestBytes)
        lines.put(",\"response_bytes\":")
        lines.put(usage.responseBytes)
        lines.put(",\"upstream_ms\":")
        lines.put(usage.upstreamMilliseconds)
        lines.put(",\"cost\":")
        if usage.cost < 0 { lines.put("-") }
        lines.put(usage.cost.magnitude)
        if let rolledUp {
            lines.put(",\"lines\":")
            lines.put(rolledUp.lines)
            lines.put(",\"first\":\"")
            lines.put(rolledUp.first)
            lines.put("\",\"last\":\"")
            lines.put(rolledUp.last)
            lines.put("\"")
        }
        lines.put(",\"totals\":[")
        for index in totals.words.indices {
            if index > 0 { lines.put(",") }
            lines.put(totals.words[index])
        }
        lines.put("]")
        CheckedLine.seal(&lines, from: start)
    }
}

extension [UInt8] {
    @inline(__always)
    fileprivate mutating func put(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    fileprivate mutating func put(_ value: UInt64) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.append(decimal: value)
            append(contentsOf: writer.written)
        }
    }

    fileprivate mutating func put(_ id: RecordID) {
        withUnsafeTemporaryAllocation(byteCount: 48, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.append(hex: UInt64(id.node), width: 8)
            writer.append(byte: 0x2D)
            writer.append(decimal: id.epoch)
            writer.append(byte: 0x2D)
            writer.append(decimal: id.sequence)
            append(contentsOf: writer.written)
        }
    }

    fileprivate mutating func put(time: UInt64) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.append(rfc3339: time)
            append(contentsOf: writer.written)
        }
    }

    fileprivate mutating func put(json text: String) {
        var text = text
        text.withUTF8 { text in
            withUnsafeTemporaryAllocation(byteCount: JSONText.room(for: text.count) + 2, alignment: 8) { room in
                var writer = ByteWriter(room)
                writer.append(jsonString: UnsafeRawBufferPointer(text))
                append(contentsOf: writer.written)
            }
        }
    }
}
