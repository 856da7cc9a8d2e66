/// Failures in a row at one server, and whose requests they were: a word, so that all loops count in the same one.
///
///     neutral  t12  ...  t1  t0         12 bits, then 4 for each of 13 classes of tenants
///
/// A tenant's requests may fail by its own doing: it asks for what the server answers with 500, or takes its time over. So
/// what one tenant meets says that the server is bad for that tenant; bad for all it is when others meet it, too: beside
/// those of the tenant that has most there must be half as many as it takes, and two, so that the one failure that may
/// happen to anybody helps nobody. Nobody's doing (*neutral*) is that a connection can't be made, and whatever happens at a
/// server that one tenant has to itself.
///
/// Tenants are told apart by a class of their tag: two of one class are taken for one, which errs on the side of leaving the
/// server in.
struct FailureRun: Equatable {
    private(set) var word: UInt64

    init(word: UInt64 = 0) { self.word = word }

    enum Verdict: Equatable { case none, badForTenant, badForAll }

    private static let classes: UInt64 = 13
    private static let mostOfClass: UInt64 = 15
    private static let mostNeutral: UInt64 = 4095

    /// Another request has failed.
    /// - Parameter tenant: its tenant's tag; nil where it was nobody's doing.
    mutating func fail(_ tenant: UInt32?) {
        if let tenant {
            let shift = Self.shift(tenant)
            if word >> shift & 15 < Self.mostOfClass { word += 1 << shift }
        } else if neutral < Self.mostNeutral {
            word += 1 << 52
        }
    }

    /// What `failures` in a row would say of the server, after one of this tenant's.
    func verdict(_ failures: Int, _ tenant: UInt32?) -> Verdict {
        let needed = UInt64(failures)
        if neutral >= needed { return .badForAll }
        var (sum, most) = (neutral, UInt64(0))
        for i in 0..<Self.classes {
            let count = word >> (4 * i) & 15
            (sum, most) = (sum + count, max(most, count))
        }
        if sum >= needed, sum - most >= min(needed, max(needed / 2, 2)) { return .badForAll }
        guard let tenant else { return .none }
        return word >> Self.shift(tenant) & 15 >= min(needed, Self.mostOfClass) ? .badForTenant : .none
    }

    private var neutral: UInt64 { word >> 52 }
    private static func shift(_ tenant: UInt32) -> UInt64 { UInt64(tenant) % classes * 4 }
}
