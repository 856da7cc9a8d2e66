/// What the ledger remembers of itself, in the table's header.
enum LedgerState: Int {
    /// Drawn at random when the table was made; bit 32 says that it was.
    case node
    /// Of the last opening of the ledger.
    case epoch
    /// All lines up to this place are in the shadows of their slots.
    case noted
    /// The same, of shadows that are on the disk: what a power cut leaves.
    case checkpoint
    /// The boot in which `noted` was written.
    case boot
    /// End of the last interval that is in the ledger.
    case closed
    /// When the ledger last tried.
    case tried
    /// Place of the first line of the file that was last written to, and the day of that file.
    case fileFirst
    case fileDay
    /// The day of the last line.
    case lastDay
    /// Place of the last line that is in the ledger, whichever opening wrote it.
    case last
    /// How many lines the book of plans and prices has.
    case terms
    /// What the time of `closed` is ahead of the monotonic clock of this boot; zero is not known.
    case offset = 32
    /// Up to here lines may be of accounts whose slots were given away, and of which the table knows nothing.
    case released = 33

    func value(in table: some UsageTable) -> UInt64 { table.headerWord(rawValue) }
    /// The same of what is a day; nil is none.
    func day(in table: some UsageTable) -> UInt64? {
        let day = value(in: table)
        return day > 0 ? day : nil
    }
    /// The same of what is a line's place.
    func id(of node: UInt32, in table: some UsageTable) -> RecordID? {
        let place = value(in: table)
        return place > 0 ? RecordID(node: node, place: place) : nil
    }
    func store(_ value: UInt64, in table: some UsageTable) { table.setHeaderWord(rawValue, to: value) }
}
