/// Who waits at an upstream on one loop: a line a tenant, and tenants in turns by weight (`TenantParts`). Within a tenant it
/// is first come, first served. Joining, leaving and calling cost the logarithm of how many tenants wait.
struct FairLine<Element> {
    /// A tenant that waits here, or has.
    private final class Member {
        let part: TenantPart
        var weight: Int64 = 1
        /// Per cent of all connections, while others want them.
        var share = 100
        var line: WaitingLine<Element>
        /// Its place in the heap while it waits, what it had paid when it was put there, and who came before.
        var place: Int?
        var paid: Int64 = 0
        var order: UInt64 = 0

        init(_ part: TenantPart, _ line: WaitingLine<Element>) { (self.part, self.line) = (part, line) }

        func isBefore(_ other: Member) -> Bool { paid == other.paid ? order < other.order : paid < other.paid }
    }

    typealias Ticket = WaitingLine<Element>.Ticket

    private let parts: TenantParts
    private var members: [ObjectIdentifier: Member] = [:]
    /// Those that wait, who has paid least in front.
    private var heap: [Member] = []
    private var orders: UInt64 = 0
    private(set) var count = 0

    init(_ parts: TenantParts) { self.parts = parts }

    var isEmpty: Bool { count == 0 }

    /// What the tenant has, over all loops.
    /// - Parameters:
    ///   - owner: who the tenant is, on this loop.
    ///   - make: for one that is new here: its part, and a line that no other has the number of.
    mutating func part(of owner: ObjectIdentifier, make: () -> (TenantPart, WaitingLine<Element>)) -> TenantPart {
        if let known = members[owner] { return known.part }
        // Who has not waited for long has nothing here that it could lose.
        if members.count > 2 * heap.count + 4096 { members = members.filter { $0.value.place != nil } }
        let (part, line) = make()
        members[owner] = Member(part, line)
        return part
    }

    /// For a tenant whose part was asked for.
    mutating func join(_ element: Element, of owner: ObjectIdentifier, weight: Int64, share: Int = 100) -> Ticket {
        guard let member = members[owner] else { preconditionFailure("a tenant without a part waits") }
        (member.weight, member.share) = (weight, share)
        parts.joined(member.part, weight: weight)
        count += 1
        let ticket = member.line.join(element)
        if member.place == nil {
            parts.begins(member.part)
            orders += 1
            (member.order, member.paid, member.place) = (orders, member.part.paid.load(ordering: .relaxed), heap.count)
            heap.append(member)
            rise(heap.count - 1)
        }
        return ticket
    }

    /// Nil where nobody stands at that place any more.
    @discardableResult
    mutating func leave(_ ticket: Ticket, of owner: ObjectIdentifier) -> Element? {
        guard let member = members[owner], let element = member.line.leave(ticket) else { return nil }
        left(member)
        return element
    }

    /// The next one, whose turn begins.
    /// - Parameter now: monotonic nanoseconds.
    mutating func next(now: UInt64) -> (element: Element, ticket: Ticket, turn: FairTurn)? {
        while let first = heap.first {
            // Other loops have served it meanwhile.
            let paid = first.part.paid.load(ordering: .relaxed)
            if paid != first.paid {
                first.paid = paid
                sink(0)
                if heap[0] !== first { continue }
            }
            return serve(heap.count > 1 && parts.hasShare(first.part, first.share) ? other(than: first) : first, now: now)
        }
        return nil
    }

    /// The one that has paid least of those that have not as many connections as is their share; or else that one.
    private func other(than first: Member) -> Member {
        var found: Member?
        for member in heap where found.map(member.isBefore) ?? true {
            if !parts.hasShare(member.part, member.share) { found = member }
        }
        return found ?? first
    }

    private mutating func serve(_ member: Member, now: UInt64) -> (element: Element, ticket: Ticket, turn: FairTurn) {
        guard let place = member.place, let (element, ticket) = member.line.next() else {
            preconditionFailure("a tenant waits with nobody")
        }
        let turn = parts.serve(member.part, weight: member.weight, now: now)
        member.paid = member.part.paid.load(ordering: .relaxed)
        // Equals take turns.
        orders += 1
        member.order = orders
        sink(place)
        left(member)
        return (element, ticket, turn)
    }

    /// The turn of one of this line's is over.
    mutating func ended(_ turn: FairTurn, of owner: ObjectIdentifier, now: UInt64) {
        parts.ended(turn, now: now)
        guard let member = members[owner], let place = member.place else { return }
        member.paid = member.part.paid.load(ordering: .relaxed)
        rise(place)
        sink(member.place!)
    }

    /// The line is longer than `size`, over all loops: the tenant that is furthest above its part of it, of those that are
    /// above it and wait here, loses the one of its requests that has waited longest. It is the one that had the least of its
    /// time left.
    mutating func shorten(to size: Int) -> (element: Element, ticket: Ticket)? {
        var found: (member: Member, excess: Int)?
        for member in heap {
            guard let excess = parts.excess(of: member.part, weight: member.weight, size: size) else { continue }
            if found == nil || excess > found!.excess { found = (member, excess) }
        }
        guard let member = found?.member, let last = member.line.next() else { return nil }
        left(member)
        return last
    }

    private mutating func left(_ member: Member) {
        count -= 1
        parts.left(member.part)
        guard member.line.isEmpty, let place = member.place else { return }
        member.place = nil
        let last = heap.removeLast()
        if last === member { return }
        heap[place] = last
        last.place = place
        rise(place)
        sink(last.place!)
    }

    // MARK: The heap

    private mutating func rise(_ start: Int) {
        var place = start
        while place > 0, heap[place].isBefore(heap[(place - 1) / 2]) {
            swapPlaces(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var first = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count && heap[child].isBefore(heap[first]) {
                first = child
            }
            if first == place { return }
            swapPlaces(place, first)
            place = first
        }
    }

    private mutating func swapPlaces(_ one: Int, _ other: Int) {
        heap.swapAt(one, other)
        (heap[one].place, heap[other].place) = (one, other)
    }
}
