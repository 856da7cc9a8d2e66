/// A queue in an array: what was taken leaves its place empty until half of them are.
struct Fifo<Element> {
    private var elements: [Element?] = []
    private var taken = 0

    var isEmpty: Bool { taken == elements.count }
    var first: Element? { isEmpty ? nil : elements[taken] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        if isEmpty { return nil }
        defer {
            elements[taken] = nil
            taken += 1
            if taken > 32, 2 * taken > elements.count {
                elements.removeFirst(taken)
                taken = 0
            }
        }
        return elements[taken]
    }
}
