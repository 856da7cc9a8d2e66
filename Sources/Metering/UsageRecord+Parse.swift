import Base

extension UsageRecord {
    /// From a line without its line end; nil where a member that it must have is missing or is not what it should be.
    public init?(_ line: UnsafeRawBufferPointer) {
        var id: RecordID?
        var tenant: String?
        var key: String?
        var (from, to): (UInt64?, UInt64?)
        var usage = Usage()
        var inFlight: UInt64 = 0
        var totals = UsageCounters()
        var lines: UInt64?
        var (first, last): (RecordID?, RecordID?)
        var scanner = JSONScanner(line)
        let isRead = scanner.object { name, scanner in
            func number(_ value: inout UInt64) -> Bool {
                guard let read = scanner.unsigned() else { return false }
                value = read
                return true
            }
            if name.isName("id") {
                id = scanner.rawString().flatMap { RecordID($0) }
                return id != nil
            }
            if name.isName("tenant") {
                tenant = scanner.string()
                return tenant != nil
            }
            if name.isName("key") {
                key = scanner.string()
                return key != nil
            }
            if name.isName("from") {
                from = scanner.rawString().flatMap { Timestamp.parse($0) }
                return from != nil
            }
            if name.isName("to") {
                to = scanner.rawString().flatMap { Timestamp.parse($0) }
                return to != nil
            }
            if name.isName("admitted") { return number(&usage.admitted) }
            if name.isName("in_flight") { return number(&inFlight) }
            if name.isName("shadow_refused") { return number(&usage.shadowRefused) }
            if name.isName("request_bytes") { return number(&usage.requestBytes) }
            if name.isName("response_bytes") { return number(&usage.responseBytes) }
            if name.isName("upstream_ms") { return number(&usage.upstreamMilliseconds) }
            if name.isName("cost") {
                guard let cost = scanner.signed() else { return false }
                usage.cost = cost
                return true
            }
            if name.isName("refused") {
                return scanner.object { reason, scanner in
                    guard let count = scanner.unsigned() else { return false }
                    // A reason of another version counts as "other".
                    let index = Usage.reasons.firstIndex { reason.isName($0) } ?? Usage.reasons.count - 1
                    usage.refused[index] &+= count
                    return true
                }
            }
            if name.isName("status") {
                var index = 0
                return scanner.list { scanner in
                    guard index < 5, let count = scanner.unsigned() else { return false }
                    usage.status[index] = count
                    index += 1
                    return true
                }
            }
            if name.isName("totals") {
                var index = 0
                return scanner.list { scanner in
                    guard index < UsageCounters.count, let count = scanner.unsigned() else { return false }
                    totals.words[index] = count
                    index += 1
                    return true
                }
            }
            if name.isName("lines") {
                lines = scanner.unsigned()
                return lines != nil
            }
            if name.isName("first") {
                first = scanner.rawString().flatMap { RecordID($0) }
                return first != nil
            }
            if name.isName("last") {
                last = scanner.rawString().flatMap { RecordID($0) }
                return last != nil
            }
            return scanner.skip()
        }
        guard isRead, scanner.isAtEnd, let id, let tenant, let from, let to, to >= from else { return nil }
        var rolledUp: RolledUp?
        if let lines, let first, let last { rolledUp = RolledUp(lines: lines, first: first, last: last) }
        self.init(
            id: id, account: Account(tenant: tenant, key: key), from: from, to: to, usage: usage, inFlight: inFlight,
            totals: totals, rolledUp: rolledUp)
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    fileprivate func isName(_ name: StaticString) -> Bool {
        guard count == name.utf8CodeUnitCount else { return false }
        for index in 0..<count where self[index] != name.utf8Start[index] { return false }
        return true
    }
}
