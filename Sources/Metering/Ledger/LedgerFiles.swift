/// How the files of a ledger are called.
public enum LedgerFiles {
    /// `2026-11-23.jsonl`: everything that was used on that day, in UTC.
    public static func name(ofDay time: UInt64) -> String { Timestamp.dayText(time) + ".jsonl" }

    /// The start of the day that a file is of; nil where it is another kind of file.
    public static func day(of name: String) -> UInt64? {
        guard name.utf8.count == 16, name.hasSuffix(".jsonl") else { return nil }
        return Timestamp.parse(String(name.dropLast(6)))
    }
}
