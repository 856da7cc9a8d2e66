import Base

extension UsageRecord {
    /// From a line without its line end; nil where a member that it must have is missing or is not what it should be.
    /// Members that it does not know are passed over, so that an older gateway reads what a newer one wrote.
    public init?(_ line: UnsafeRawBufferPointer) {
        do throws(JSONReader.Fault) {
            self = try JSONReader.read(line) { json throws(JSONReader.Fault) in try UsageRecord(&json) }
        } catch {
            return nil
        }
    }

    private init(_ json: inout JSONReader) throws(JSONReader.Fault) {
        var id: RecordID?
        var tenant: String?
        var key: String?
        var (from, to): (UInt64?, UInt64?)
        var usage = Usage()
        var inFlight: UInt64 = 0
        var totals = UsageCounters()
        var lines: UInt64?
        var (first, last): (RecordID?, RecordID?)
        var level: Period?
        var dayBefore: UInt64?
        var before: RecordID?
        try json.object { name, json throws(JSONReader.Fault) in
            switch name {
            case "id": id = try json.recordID()
            case "tenant": tenant = try json.string().text
            case "key": key = try json.string().text
            case "from": from = try json.timestamp()
            case "to": to = try json.timestamp()
            case "day_before": dayBefore = try json.timestamp()
            case "before": before = try json.recordID()
            case "admitted": usage.admitted = try json.unsigned()
            case "in_flight": inFlight = try json.unsigned()
            case "shadow_refused": usage.shadowRefused = try json.unsigned()
            case "uncharged": usage.uncharged = try json.unsigned()
            case "request_bytes": usage.requestBytes = try json.unsigned()
            case "response_bytes": usage.responseBytes = try json.unsigned()
            case "upstream_ms": usage.upstreamMilliseconds = try json.unsigned()
            case "cost": usage.cost = try json.integer()
            case "refused":
                try json.object { reason, json throws(JSONReader.Fault) in
                    // A reason of another version counts as "other".
                    let index = Usage.reasons.firstIndex { $0 ~= reason } ?? Usage.reasons.count - 1
                    usage.refused[index].addClamped(try json.unsigned())
                }
            case "status":
                var index = 0
                try json.array { json throws(JSONReader.Fault) in
                    guard index < usage.status.count else { throw .malformed }
                    usage.status[index] = try json.unsigned()
                    index += 1
                }
            case "totals":
                var index = 0
                try json.array { json throws(JSONReader.Fault) in
                    guard index < UsageCounters.count else { throw .malformed }
                    totals.words[index] = try json.unsigned()
                    index += 1
                }
            case "lines": lines = try json.unsigned()
            case "first": first = try json.recordID()
            case "last": last = try json.recordID()
            case "level":
                guard let period = Period(rawValue: try json.string().text) else { throw .malformed }
                level = period
            default: try json.skip()
            }
        }
        guard let id, let tenant, let from, let to, to >= from else { throw .malformed }
        var rolledUp: RolledUp?
        if let lines, let first, let last { rolledUp = RolledUp(lines: lines, first: first, last: last, level: level) }
        self.init(
            id: id, account: Account(tenant: tenant, key: key), from: from, to: to, usage: usage, inFlight: inFlight,
            totals: totals, dayBefore: dayBefore, before: before, rolledUp: rolledUp)
    }
}

extension JSONReader {
    fileprivate mutating func recordID() throws(Fault) -> RecordID {
        guard let text = try string().plain, let id = RecordID(text) else { throw .malformed }
        return id
    }

    fileprivate mutating func timestamp() throws(Fault) -> UInt64 {
        guard let text = try string().plain, let time = Timestamp.parse(text) else { throw .malformed }
        return time
    }
}
