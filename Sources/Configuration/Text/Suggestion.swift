/// Finds the name that was probably meant.
final class Suggester {
    /// What a load may spend on all its suggestions: a file with a thousand mistakes against a hundred thousand names
    /// must not take minutes. A name looked at costs 1, one compared letter by letter `comparison`.
    private var budget = 4_000_000
    private static let comparison = 20

    /// "did you mean `rate`?" for the nearest of `candidates` within two edits; nil where none is near.
    func suggestion(for name: String, among candidates: some Sequence<String>) -> String? {
        nearest(to: name, among: candidates).map { "did you mean `\($0)`?" }
    }

    /// Of equally near ones the first in the alphabet, in whichever order they come.
    fileprivate func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
        let wanted = Array(name.utf8)
        guard wanted.count <= 64 else { return nil }
        var best: (distance: Int, name: String)?
        for candidate in candidates {
            guard budget > 0 else { return nil }
            budget -= 1
            guard abs(candidate.utf8.count - wanted.count) <= 2 else { continue }
            budget -= Self.comparison
            let distance = editDistance(wanted, Array(candidate.utf8))
            // Two edits of a word of two letters are another word.
            guard distance <= 2, distance < wanted.count else { continue }
            if let known = best, (known.distance, known.name) < (distance, candidate) { continue }
            best = (distance, candidate)
        }
        return best?.name
    }
}

/// The same for a single name, for whoever reads names from elsewhere than the configuration.
public enum Suggestion {
    /// The nearest of `candidates` within two edits; nil where none is near.
    public static func nearest(to name: String, among candidates: [String]) -> String? {
        Suggester().nearest(to: name, among: candidates)
    }
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words (Damerau-Levenshtein, each place
/// edited once).
func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    var row = last
    for i in 1...a.count {
        row[0] = i
        for j in 1...b.count {
            let cost = a[i - 1] == b[j - 1] ? 0 : 1
            var value = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { value = min(value, beforeLast[j - 2] + 1) }
            row[j] = value
        }
        (beforeLast, last, row) = (last, row, beforeLast)
    }
    return last[b.count]
}
