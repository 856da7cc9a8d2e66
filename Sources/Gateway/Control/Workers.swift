import Base
import Configuration
import Metrics
import Net
import Proxy
import Synchronization

/// The workers and their threads. There are ever more of them: one that has nothing to do under a configuration rests, and a
/// later one that wants more workers has it serve again.
struct Workers {
    let maker: WorkerMaker
    private(set) var mailboxes: [Mailbox<WorkerMessage>] = []
    private var threads: [Thread] = []
    /// How many of them serve: the first ones.
    private(set) var serving = 0
    var shares = SocketShares()

    init(_ maker: WorkerMaker) { self.maker = maker }

    /// Those that were started.
    mutating func add(_ started: [StartedWorker]) {
        mailboxes += started.map(\.mailbox)
        threads += started.map(\.thread)
    }

    /// Has them go by a configuration.
    /// - Parameters:
    ///   - count: how many serve from now on.
    ///   - plan: the sockets that each has or gets.
    ///   - done: called as often as it returns, each time on a worker's thread.
    mutating func adopt(_ snapshot: Snapshot, _ count: Int, _ plan: WorkerSockets, done: @escaping @Sendable () -> Void) -> Int {
        (serving, shares) = (count, plan.shares)
        maker.group.setServing(count)
        var calls = 0
        for (index, mailbox) in mailboxes.enumerated() {
            let part = WorkerPart(
                serves: index < count, sockets: index < plan.new.count ? plan.new[index] : [:], gifts: plan.gifts[index] ?? [])
            calls += 1 + part.gifts.count
            mailbox.post(.adopt(snapshot, part, done: done))
        }
        return calls
    }

    /// Waits until all have ended.
    mutating func stop() {
        for worker in mailboxes { worker.post(.stop) }
        for thread in threads { thread.join() }
        threads = []
    }
}

struct StartedWorker: Sendable {
    let mailbox: Mailbox<WorkerMessage>
    let thread: Thread
}

/// What workers are made with.
struct WorkerMaker: Sendable {
    let group: WorkerGroup
    let registry: MetricsRegistry
    let resolver: Resolver
    let logWriter: AccessLogWriter
    let tellOfClients: @Sendable (ClientFaultReport) -> Void

    /// Starts as many as are missing. Called by one thread at a time.
    /// - Parameter snapshot: any configuration; the worker waits for its part of one.
    /// - Returns: those that have begun, all of them or with why there are no more.
    func start(upTo count: Int, _ snapshot: Snapshot) -> (started: [StartedWorker], failure: SystemError?) {
        var started: [StartedWorker] = []
        do throws(SystemError) {
            while group.count < count { started.append(try start(snapshot)) }
            return (started, nil)
        } catch { return (started, error) }
    }

    /// Starts the next one, and waits until it runs.
    private func start(_ snapshot: Snapshot) throws(SystemError) -> StartedWorker {
        let index = group.count
        let mailbox = try group.join()
        registry.makeRoom(forWorkers: index + 1)
        let (first, beginning) = (Handover(snapshot), Beginning())
        do throws(SystemError) {
            let thread = try Thread("worker-\(index)") { [self] in
                do throws(SystemError) {
                    let worker = try Worker(
                        index: index, of: group, snapshot: first.take()!, registry: registry, resolver: resolver,
                        logWriter: logWriter)
                    worker.tellOfClients = tellOfClients
                    beginning.tell(nil)
                    worker.run()
                } catch { beginning.tell(error) }
            }
            if let failure = beginning.wait() {
                thread.join()
                throw failure
            }
            return StartedWorker(mailbox: mailbox, thread: thread)
        } catch {
            group.leave()
            throw error
        }
    }

    /// Whether a thread has what it needs.
    private final class Beginning: Sendable {
        private let bell = Bell()
        private let failure = Mutex<SystemError?>(nil)

        func tell(_ failure: SystemError?) {
            self.failure.withLock { $0 = failure }
            bell.ring()
        }

        func wait() -> SystemError? {
            bell.wait()
            return failure.withLock { $0 }
        }
    }
}

/// The sockets of all workers under a configuration: what is new, what goes from one to another, and what each has then.
struct WorkerSockets: Sendable {
    /// By worker.
    private(set) var new: [[Endpoint: [Int32]]]
    private(set) var gifts: [Int: [WorkerPart.Gift]] = [:]
    private(set) var shares: SocketShares

    /// - Parameters:
    ///   - new: of new listeners, for each worker that serves.
    ///   - endpoints: all listeners.
    ///   - shares: as of the configuration before.
    init(new: [[Endpoint: [Int32]]], endpoints: [Endpoint], _ shares: SocketShares) {
        (self.new, self.shares) = (new, shares)
        let change = self.shares.spread(over: new.count, endpoints)
        gifts = change.gifts
        for (endpoint, worker) in change.wanted {
            // Not where systemd has bound it for itself alone.
            if let fd = endpoint.address.flatMap({ try? Socket.listen($0, sharesPort: true) }) {
                self.new[worker][endpoint, default: []].append(fd)
            } else if let (from, gift) = self.shares.share(endpoint, with: worker) {
                // Before it gives the last one away.
                gifts[from, default: []].insert(gift, at: 0)
            }
        }
        self.shares.adopt(endpoints, new: self.new)
    }

    func close() { ListenerSockets.close(new) }
}
