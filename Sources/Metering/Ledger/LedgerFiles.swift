/// How the files of a ledger are called.
///
///     2026-11-23.jsonl        what was used on that day (UTC), interval by interval
///     2026-11-23.hour.jsonl   the same added up by hour, or by day, once the day is over
public enum LedgerFiles {
    public static func name(ofDay time: UInt64) -> String { Timestamp.dayText(time) + ".jsonl" }
    public static func name(ofDay time: UInt64, by period: Period) -> String {
        Timestamp.dayText(time) + "." + period.rawValue + ".jsonl"
    }

    /// The start of the day that a file of intervals is of; nil where it is another kind of file.
    public static func day(of name: String) -> UInt64? {
        guard let (day, period) = parts(of: name), period == nil else { return nil }
        return day
    }

    /// The day, and what it was added up by; nil where it is no file of the ledger's.
    static func parts(of name: String) -> (day: UInt64, period: Period?)? {
        guard name.hasSuffix(".jsonl"), name.utf8.count >= 16 else { return nil }
        guard let day = Timestamp.parse(String(name.prefix(10))) else { return nil }
        if name.utf8.count == 16 { return (day, nil) }
        for period in [Period.hour, .day] where name == self.name(ofDay: day, by: period) { return (day, period) }
        return nil
    }

    /// One file for each day that the query covers: the shortest that is fine enough, else the finest there is. Whatever
    /// a day has been added up to says the same as its intervals, so that two files of a day are never both read.
    static func selection(of names: [String], for query: UsageQuery) -> [String] {
        var days: [UInt64: [Period?: String]] = [:]
        for name in names {
            guard let (day, period) = parts(of: name) else { continue }
            days[day, default: [:]][period] = name
        }
        return days.keys.sorted().compactMap { day in
            let end = day + Timestamp.day
            if end <= query.from ?? 0 || day >= query.to ?? .max { return nil }
            let files = days[day] ?? [:]
            var wanted: [Period?] = [.day, .hour, nil]
            let isCut = [query.from, query.to].compactMap(\.self).filter { $0 > day && $0 < end }
            if isCut.contains(where: { $0 % Timestamp.hour != 0 }) {
                wanted = [nil, .hour, .day]
            } else if query.by == .hour || !isCut.isEmpty {
                wanted = [.hour, nil, .day]
            }
            return wanted.lazy.compactMap { files[$0] }.first
        }
    }
}
