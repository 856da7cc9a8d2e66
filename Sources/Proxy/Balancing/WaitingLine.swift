/// Who waits for the same thing, first come, first served. Joining, leaving and calling the next one cost the same however
/// many wait.
///
///     places   nil  nil   C   nil   E    F
///                         ▲ head            the ticket of `places[i]` is `base + i`
///
/// Who leaves from the middle leaves a hole, which goes when those in front have gone: nobody waits for longer than its
/// deadline, and neither does a hole.
struct WaitingLine<Element> {
    /// A place in one line, never given twice, nor by another line.
    struct Ticket: Equatable {
        fileprivate let line: UInt64
        fileprivate let number: UInt64
    }

    private let id: UInt64

    private var places: [Element?] = []
    /// The ticket number of `places[0]`.
    private var base: UInt64 = 0
    /// The first place that somebody may stand at.
    private var head = 0
    private(set) var count = 0

    /// - Parameter id: no other line has it.
    init(id: UInt64) { self.id = id }

    var isEmpty: Bool { count == 0 }

    mutating func join(_ element: Element) -> Ticket {
        let ticket = Ticket(line: id, number: base + UInt64(places.count))
        places.append(element)
        count += 1
        return ticket
    }

    /// The one who has waited longest, who leaves with that.
    mutating func next() -> (element: Element, ticket: Ticket)? {
        if isEmpty { return nil }
        // `tidy` leaves somebody at the head of a line that is not empty.
        let ticket = Ticket(line: id, number: base + UInt64(head))
        return leave(ticket).map { ($0, ticket) }
    }

    /// Nil where nobody stands at that place any more.
    @discardableResult
    mutating func leave(_ ticket: Ticket) -> Element? {
        guard ticket.line == id, ticket.number >= base, ticket.number - base < UInt64(places.count) else { return nil }
        let at = Int(ticket.number - base)
        guard let element = places[at] else { return nil }
        places[at] = nil
        count -= 1
        tidy()
        return element
    }

    /// Lets go of places in front and behind at which nobody stands.
    private mutating func tidy() {
        if count == 0 {
            base += UInt64(places.count)
            places.removeAll(keepingCapacity: places.count <= 64)
            head = 0
            return
        }
        while places[head] == nil { head += 1 }
        guard head > 32, head > places.count / 2 else { return }
        places.removeFirst(head)
        base += UInt64(head)
        head = 0
    }
}
