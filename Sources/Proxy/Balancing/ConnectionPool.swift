/// One loop's connections to one server: how many there are, and which of them are unused. Knows nothing of what a
/// connection is.
struct ConnectionPool<Connection: AnyObject> {
    /// Kept alive and unused, the last used one last: it is taken first, and the others age out.
    private(set) var idle: [Connection] = []
    /// Idle, in use and connecting.
    private(set) var open = 0

    var hasIdle: Bool { !idle.isEmpty }

    /// There is another connection, in use.
    mutating func opened() { open += 1 }

    /// It is in use no more, and good for another request.
    mutating func put(_ connection: Connection) {
        assert(
            idle.count < open && !idle.contains { $0 === connection },
            "an unknown connection, or one that is idle already")
        idle.append(connection)
    }

    /// The one that was used last. In use from now on.
    mutating func take() -> Connection? { idle.popLast() }

    /// The same of those that will do.
    mutating func take(where isGood: (Connection) -> Bool) -> Connection? {
        idle.lastIndex(where: isGood).map { idle.remove(at: $0) }
    }

    /// It is closed, whether it was in use or not.
    mutating func closed(_ connection: Connection) {
        assert(open > 0, "more connections closed than opened")
        open -= 1
        if let at = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: at) }
    }

    /// One that was in use is closed.
    mutating func closed() {
        assert(open > idle.count, "more connections closed than opened")
        open -= 1
    }
}
