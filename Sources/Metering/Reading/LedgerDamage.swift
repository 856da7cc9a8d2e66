/// A place at which the ledger is not as it was written.
public struct LedgerDamage: Sendable, Equatable, CustomStringConvertible {
    /// From the ledger's folder.
    public var file: String
    /// The day or month that it is of.
    public var span: Range<UInt64>
    /// From 1; nil where it is not a line's.
    public var line: Int?
    /// How many lines are concerned.
    public var lines: Int
    public var what: String

    public var description: String { file + (line.map { ":\($0)" } ?? "") + ": " + what }
}
