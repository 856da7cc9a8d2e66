import Base
import Storage

extension LedgerDiagnosis {
    /// What of it concerns a question.
    struct Answer {
        var damage: [LedgerDamage] = []
        var mended: [LedgerDamage] = []
        /// Made good, and which of its lines were of that time is not known, or which ids they had.
        var ambiguous: [LedgerDamage] = []
        /// What was used and is in no line, with what is uncertain.
        var records: [UsageRecord] = []
        /// What of it is certain.
        var certain: [UsageRecord] = []
        /// All that is made good.
        var ids = RecordRanges()
    }

    func answer(_ query: UsageQuery) -> Answer {
        var answer = Answer()
        var doubtful = Marks(losses.count)
        for mend in mends where query.overlaps(mend.window) {
            if !query.holds(mend.window) { doubtful.add(mend.losses) }
        }
        let doubts = doubtful.counts
        let isForStrangers = query.tenant.map { !knows($0) } ?? true
        let isBad = losses.indices.map { index in
            !losses[index].isProven || doubts[index] > 0 || isForStrangers && mayBeOfStranger(losses[index])
        }
        for mend in mends where query.covers(mend.record.from) {
            answer.records.append(mend.record)
            if query.holds(mend.window), !mend.losses.contains(where: { isBad[$0] }) {
                answer.certain.append(mend.record)
            }
        }
        for (index, loss) in losses.enumerated() where query.overlaps(loss.window) {
            if isBad[index] {
                answer.damage += loss.names
                continue
            }
            answer.mended += loss.names
            if query.contains(loss.window), let ids = loss.ids {
                answer.ids.insert(ids)
            } else {
                answer.ambiguous += loss.names
            }
        }
        for record in answer.certain { answer.ids.insert(record.range) }
        answer.damage += hopeless.filter { query.overlaps($0.span) }
        answer.mended += harmless.filter { query.overlaps($0.span) }
        answer.damage = Self.once(answer.damage)
        answer.mended = Self.once(answer.mended).filter { !answer.damage.contains($0) }
        return answer
    }

    /// The ids of a loss and of those next to it of which nothing tells whether they are any. Totals say what was used between
    /// two lines, in one of these or another: where an opening ended between the two nobody knows how many lines it had, and
    /// should they be put back they must not count once more.
    /// - Parameters:
    ///   - isReal: whether a loss is known to be one.
    ///   - isTold: whether all that may have been used in one that is not is told.
    func ids(around index: Int, isReal: [Bool], isTold: (Int) -> Bool) -> RecordRanges? {
        let loss = losses[index]
        guard var ids = RecordRanges(node: loss.node, loss.first, loss.last) else { return nil }
        for next in [1, -1] {
            var place = index + next
            while losses.indices.contains(place), !isReal[place], losses[place].node == loss.node,
                lower(losses[place]) == lower(loss)
            {
                guard isTold(place), let more = RecordRanges(node: loss.node, losses[place].first, losses[place].last) else {
                    return nil
                }
                ids.insert(more)
                place += next
            }
        }
        return ids
    }

    private static func once(_ list: [LedgerDamage]) -> [LedgerDamage] {
        var seen: Set<String> = []
        return list.filter { seen.insert($0.description).inserted }
    }
}

extension UsageQuery {
    func overlaps(_ window: ClosedRange<UInt64>) -> Bool {
        window.upperBound >= from ?? 0 && window.lowerBound < to ?? .max
    }

    /// Whether whatever happened in that time is of the query's.
    func contains(_ window: ClosedRange<UInt64>) -> Bool {
        window.lowerBound >= from ?? 0 && to.map { window.upperBound < $0 } ?? true
    }

    /// The same, and of one row.
    func holds(_ window: ClosedRange<UInt64>) -> Bool {
        guard let by else { return contains(window) }
        return contains(window) && by.bounds(of: window.lowerBound).contains(window.upperBound)
    }

    func covers(_ time: UInt64) -> Bool { time >= from ?? 0 && time < to ?? .max }
}
