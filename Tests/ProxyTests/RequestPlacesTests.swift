import Testing

@testable import Proxy

@Suite("Places for requests")
struct RequestPlacesTests {
    /// Takes as many as it may.
    private func fill(_ places: borrowing RequestPlaces, _ part: TenantPart, _ weight: Int64, _ most: Int, isShared: Bool = true) -> Int {
        var count = 0
        while places.take(for: part, weight: weight, of: most, isShared: isShared) { count += 1 }
        return count
    }

    @Test("who is alone leaves a few to whoever may come, and none where nobody may")
    func alone() {
        for (most, kept) in [(1, 0), (3, 0), (4, 1), (16, 4), (100, 25), (100_000, 64)] {
            let part = TenantPart(mean: 0)
            let shared = RequestPlaces()
            let own = RequestPlaces()
            #expect(fill(shared, part, 1, most) == most - kept)
            #expect(fill(own, part, 1, most, isShared: false) == most)
        }
    }

    @Test("as those of a flood end, others come to their part, and the flood keeps its own")
    func converges() {
        for (weight, other) in [(1, 1), (3, 1), (1, 3)] as [(Int64, Int64)] {
            let (flood, quiet) = (TenantPart(mean: 0), TenantPart(mean: 0))
            let places = RequestPlaces()
            _ = fill(places, flood, weight, 80)
            for _ in 0..<300 {
                _ = fill(places, quiet, other, 80)
                places.giveBack(of: flood)
                _ = fill(places, flood, weight, 80)
            }
            let all = weight + other
            #expect(flood.underWay.count == 80 * Int(weight) / Int(all))
            #expect(quiet.underWay.count == 80 * Int(other) / Int(all))
            // Whoever goes leaves what it had to the other one.
            while quiet.underWay.count > 0 { places.giveBack(of: quiet) }
            _ = fill(places, flood, weight, 80)
            #expect(flood.underWay.count == 60)
        }
    }
}
