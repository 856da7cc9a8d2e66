/// Counts by key, read from one table or from many.
struct KeyedTotals {
    private(set) var counts: [(key: UInt16, count: UInt64)] = []

    mutating func add<let size: Int>(_ counter: borrowing KeyedCounter<size>) {
        counter.forEach { key, count in
            if let place = counts.firstIndex(where: { $0.key == key }) {
                counts[place].count &+= count
            } else {
                counts.append((key, count))
            }
        }
    }

    /// Ascending by key.
    mutating func sort() { counts.sort { $0.key < $1.key } }
}

/// The sum over the workers of one tenant, or over all tenants that share a label.
struct TenantTotals {
    let labels: Labels
    var codes = KeyedTotals()
    var refusals = KeyedTotals()
    var calls = KeyedTotals()
    var sheds = KeyedTotals()
    var decisions = KeyedTotals()
    var openBreakers = 0
    var duration = HistogramTotals()
    var requestBytes: UInt64 = 0
    var responseBytes: UInt64 = 0

    init(_ labels: Labels, _ members: [TenantMetrics]) {
        self.labels = labels
        for member in members {
            codes.add(member.codes)
            refusals.add(member.refusals)
            calls.add(member.calls)
            sheds.add(member.sheds)
            decisions.add(member.decisions)
            openBreakers += member.openBreakers.value
            duration.add(member.duration)
            requestBytes &+= member.requestBytes.value
            responseBytes &+= member.responseBytes.value
        }
        codes.sort()
        refusals.sort()
        calls.sort()
        sheds.sort()
        decisions.sort()
    }
}
