import Configuration
import Proxy

/// From how many sockets of each listener each worker accepts. The kernel brings every socket the same number of connections:
/// so the workers have the same number of sockets.
///
/// A socket that is closed takes with it the connections that are being made to it. None is closed while its listener is
/// there: a worker that is to rest gives its sockets away.
struct SocketShares: Sendable {
    /// By worker.
    private var counts: [Endpoint: [Int]] = [:]

    /// What has to be done so that a number of workers have equal parts of what is there.
    struct Change: Sendable {
        /// What each worker gives to others.
        fileprivate(set) var gifts: [Int: [WorkerPart.Gift]] = [:]
        /// Who is to have a new socket.
        fileprivate(set) var wanted: [(Endpoint, worker: Int)] = []
    }

    /// Goes by these listeners, each with a socket or more of each of its workers.
    /// - Parameter sockets: those that are new, by worker.
    mutating func adopt(_ endpoints: [Endpoint], new sockets: [[Endpoint: [Int32]]]) {
        let known = Set(endpoints)
        counts = counts.filter { known.contains($0.key) }
        for (worker, those) in sockets.enumerated() {
            for (endpoint, list) in those {
                var found = counts[endpoint] ?? []
                found += repeatElement(0, count: max(0, worker + 1 - found.count))
                found[worker] += list.count
                counts[endpoint] = found
            }
        }
    }

    /// What follows where so many workers serve from now on. It has been done as far as this value is concerned: new sockets
    /// are told by `adopt`.
    /// - Parameter endpoints: the listeners that stay.
    mutating func spread(over workers: Int, _ endpoints: [Endpoint]) -> Change {
        var change = Change()
        for endpoint in endpoints {
            guard let before = counts[endpoint] else { continue }
            let (after, moves, wanted) = Self.even(before, over: workers)
            counts[endpoint] = after
            for move in moves { change.gifts[move.from, default: []].append(WorkerPart.Gift(endpoint, to: move.to)) }
            change.wanted += wanted.map { (endpoint, $0) }
        }
        return change
    }

    /// A socket that could not be had is shared by one who has one.
    mutating func share(_ endpoint: Endpoint, with worker: Int) -> (from: Int, WorkerPart.Gift)? {
        guard var those = counts[endpoint], let from = those.indices.first(where: { $0 != worker && those[$0] > 0 }) else { return nil }
        those[worker] += 1
        counts[endpoint] = those
        return (from, WorkerPart.Gift(endpoint, to: worker, isShared: true))
    }

    /// Where one worker has four and another one three, nothing is gained by another socket.
    private static let countMax = 4

    /// Who gives how many to whom, and who needs another one, so that the first workers have equally many.
    /// - Parameter counts: by worker.
    static func even(
        _ counts: [Int], over workers: Int
    ) -> (counts: [Int], moves: [(from: Int, to: Int)], wanted: [Int]) {
        var counts = counts + repeatElement(0, count: max(0, workers - counts.count))
        var moves: [(from: Int, to: Int)] = []
        let first = 0..<workers
        func move(from: Int, to: Int) {
            counts[from] -= 1
            counts[to] += 1
            moves.append((from, to))
        }
        while true {
            let least = first.min { counts[$0] < counts[$1] }!
            if let from = counts.indices.dropFirst(workers).first(where: { counts[$0] > 0 }) {
                move(from: from, to: least)
                continue
            }
            let most = first.max { counts[$0] < counts[$1] }!
            if counts[most] - counts[least] < 2 { break }
            move(from: most, to: least)
        }
        let most = counts.max()!
        return (counts, moves, most <= countMax ? first.filter { counts[$0] < most } : [])
    }
}
