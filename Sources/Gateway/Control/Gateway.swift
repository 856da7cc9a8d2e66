import Admin
import Base
import Configuration
import Crypto
import Glibc
import Metrics
import Net
import Proxy
import Quotas
import Storage
import Synchronization
import Tenancy

/// The composition root and the control thread: the only place that sees all modules.
///
///     starting ──► serving ◄──► reloading
///                     └──► draining ──► stopped
///
/// Workers run on threads of their own; this thread has signals, reloads, the admin listener, health checks and names.
public final class Gateway {
    public static let version = "0.1.0"

    enum Mail: Sendable {
        /// A candidate was read, on a thread of its own, and compared with what is in force.
        case candidate(Candidate, ReloadChange?)
        /// All that goes by it was made, on that thread too.
        case prepared(Result<Prepared, ReloadObstacle>, [StartedWorker], sockets: NewSockets, change: ReloadChange)
        /// A worker goes by the new snapshot.
        case adopted
        /// A token names a key that its issuer's set does not have.
        case keysWanted(KeySource)
        case keysFetched(KeySetRefresher.Result)
        /// A worker has clients that can't be served.
        case clientFaults(ClientFaultReport)
        case drained(worker: Int)
        /// A process is ready to take over, or there is none.
        case successor(Result<Successor, Successor.Failure>)
        /// Of this process's lane of the meter table, a worker has nothing any more.
        case moved
        /// The ledger is for who has taken over.
        case ledgerFinished
    }

    private let path: String
    let loop: EventLoop
    /// Signals, and the mail of reloads and of the end: before whatever anybody asks of this thread.
    private let urgent = Flow(weight: 1, isUrgent: true)
    let mailbox: Mailbox<Mail>
    let registry: MetricsRegistry
    private let servers: ServerRegistry
    let meters: MeterTable
    private let meterKeeper: MeterKeeper
    private let time: TimeKeeper
    let ledger: LedgerKeeper
    private let usage: UsageReader
    private var quotaReports: QuotaReports
    let resolver = Resolver()
    let logWriter: AccessLogWriter
    private let certificates: CertificateCache
    private let upstreamTLS: UpstreamTLSCache
    private let keySets: KeySetStore
    private var refresher: KeySetRefresher?
    let notifier = SystemdNotifier()
    let health: HealthChecker
    private let token: [UInt8]
    var settings: Settings
    private var snapshot: Snapshot
    private var oldSnapshots = OldSnapshots()
    private var tenantIDs: [String]
    /// Slots of what is no longer configured are still held, for another process may use them.
    var hasToRetire = false
    private(set) var workers: Workers
    var mailboxes: [Mailbox<WorkerMessage>] { workers.mailboxes }
    private let scrapes: Scrapes
    /// Made with the first address, and there as long as the loop.
    var admin: AdminServer?
    /// Where it listens.
    var adminEndpoint: Endpoint?
    var isReady = false
    var isDraining = false
    /// Workers without a connection, once there are to be none.
    private var drained: Set<Int> = []
    private var exitCode: Int32 = 0
    let reload: Reload
    let upgrade: Upgrade
    var chores: Chores?
    private var serverWatch = ServerWatch()
    private var slowServers = SlowServers()
    private var ejectionWatch = EjectionWatch()
    private var overload: OverloadWatch?

    // MARK: Start

    /// Everything that can fail at a start fails here, with a text for the operator.
    /// - Parameters:
    ///   - program: what may be started to take over from this process; nil where nothing may.
    ///   - beside: a gateway of the same state that is to end may still serve.
    ///   - predecessor: the one that this process takes over from.
    init(
        configuration path: String, program: Program?, beside: Bool, predecessor: Predecessor?
    ) throws(StartFailure) {
        self.path = path
        upgrade = Upgrade(program: program, predecessor: predecessor)
        let (certificates, upstreamTLS) = (CertificateCache(), UpstreamTLSCache())
        do {
            (loop, mailbox, logWriter) = (try EventLoop(), try Mailbox(), try AccessLogWriter())
        } catch { throw StartFailure(description: "gateway: \(error)") }
        let mail = mailbox
        keySets = KeySetStore { mail.post(.keysWanted($0)) }
        let candidate = Candidate.read(path, certificates: certificates, upstreams: upstreamTLS, keySets: keySets)
        guard let settings = candidate.settings else {
            throw StartFailure(description: candidate.render(candidate.diagnostics).joined(separator: "\n"))
        }
        try predecessor?.expect(state: settings.cold.state)
        for text in candidate.render(candidate.warnings) { Console.log(text) }
        if let note = ConnectionBudget.note(settings.hot.limits) { Console.log(note) }
        (self.settings, self.certificates, self.upstreamTLS) = (settings, certificates, upstreamTLS)
        servers = ServerRegistry()
        let prepared: Prepared
        do {
            let folder = try StateFolder.open(settings.cold.state)
            token = try folder.token()
            meters = try MeterTable(path: folder.metersPath)
            prepared = try Prepared(candidate, settings, meters: meters, servers: servers)
        } catch {
            throw StartFailure(description: "gateway: \(error)")
        }
        let count = ConnectionBudget.workers(settings.hot)
        Descriptors.keepSome(workers: count)
        let process = ProcessStatistics.Source(
            file: ProcessFiles.read, openDescriptors: ProcessFiles.openDescriptors,
            ticksPerSecond: ProcessFiles.ticksPerSecond, pageSize: ProcessFiles.pageSize)
        registry = MetricsRegistry(
            workers: count, version: Self.version, tenantBudget: settings.hot.metricsTenants, started: Clock.wall(),
            process: { ProcessStatistics(reading: process) })
        meterKeeper = MeterKeeper(meters, metrics: registry.ledger)
        time = TimeKeeper(meters, metrics: registry.ledger)
        ledger = LedgerKeeper(
            meters: meterKeeper, time: time, state: StateFolder(path: settings.cold.state), settings: settings.hot,
            metrics: registry.ledger)
        (snapshot, quotaReports, tenantIDs) = (prepared.snapshot, prepared.reports, prepared.tenantIDs)
        do throws(SystemError) {
            usage = try UsageReader(StateFolder(path: settings.cold.state), metrics: registry.ledger)
            scrapes = try Scrapes(registry)
            health = try HealthChecker(loop: loop, registry: registry, resolver: resolver)
            workers = Workers(WorkerMaker(
                group: try WorkerGroup(count: 0), registry: registry, resolver: resolver, logWriter: logWriter,
                tellOfClients: { mail.post(.clientFaults($0)) }))
        } catch { throw StartFailure(description: "gateway: \(error)") }
        reload = Reload()
        logWriter.setTarget(settings.hot.accessLog.target)
        let listeners = settings.hot.listeners.map { ($0.endpoint, $0.location) }
        let sockets = try bind(listeners, workers: count, candidate, beside: beside && meters.isShared)
        try openAdmin(settings.hot.admin)
        do throws(SystemError) {
            try ledger.start()
            try startWorkers(sockets)
        } catch {
            // Those that have begun end in order.
            stop()
            throw StartFailure(description: "gateway: \(error)")
        }
        showQuotas()
    }

    private func showQuotas() {
        let reports = quotaReports
        registry.setQuotas { id in
            reports.limits(of: id).map { QuotaReading(policy: $0.policy, limit: $0.limit, used: $0.used) }
        }
        registry.setServers { [snapshot] in snapshot.serverReadings() }
    }

    private func bind(
        _ listeners: [(Endpoint, Location)], workers: Int, _ candidate: Candidate, beside: Bool
    ) throws(StartFailure) -> [[Endpoint: [Int32]]] {
        do throws(ListenerSockets.Failure) {
            if let predecessor = upgrade.predecessor {
                return try predecessor.take { given throws(ListenerSockets.Failure) in
                    let held = listeners.map(\.0).filter(given.has)
                    return try ListenerSockets.bind(listeners, workers: workers, inherited: &given, held: held)
                }
            }
            var inherited = InheritedSockets.take()
            defer { inherited.closeRest() }
            return try ListenerSockets.bind(listeners, workers: workers, inherited: &inherited, beside: beside)
        } catch {
            var text = candidate.loaded.render(Diagnostic(.error, error.location, error.description))
            if meters.isShared, !beside, upgrade.predecessor == nil {
                text += "\ngateway: another gateway uses \(settings.cold.state): end it first, "
                text += "or see `gateway run --help` for --beside"
            }
            throw StartFailure(description: text)
        }
    }

    private func startWorkers(_ sockets: [[Endpoint: [Int32]]]) throws(SystemError) {
        servers.keep(only: snapshot)
        snapshot.tellServers(isStart: true, at: loop.now)
        overload = OverloadWatch(
            loop: loop, flow: urgent, group: workers.maker.group.overload, registry: registry, settings: settings.hot.overload)
        let (started, failure) = workers.maker.start(upTo: sockets.count, snapshot)
        workers.add(started)
        if let failure { throw failure }
        haveAdopted(WorkerSockets(new: sockets, endpoints: settings.hot.listeners.map(\.endpoint), workers.shares))
    }

    /// Has every worker go by the snapshot.
    private func haveAdopted(_ sockets: WorkerSockets) {
        let mail = mailbox
        reload.waitingForWorkers = workers.adopt(snapshot, sockets.new.count, sockets) { mail.post(.adopted) }
    }

    private func openAdmin(_ endpoint: Endpoint?) throws(StartFailure) {
        // One that is handed over is opened once there is something to tell.
        guard let endpoint, upgrade.predecessor?.hasAdmin(endpoint.address) != true else { return }
        do {
            try listenAdmin(endpoint)
        } catch {
            if meters.isShared, error.code == EADDRINUSE {
                Console.log("admin: the gateway that is to end has \(endpoint.label); this one takes it then")
                return
            }
            throw StartFailure(description: "gateway: can't listen on \(endpoint.label) (admin): \(error)")
        }
    }

    private func listenAdmin(_ endpoint: Endpoint) throws(SystemError) {
        serveAdmin(endpoint, on: try openAdminSocket(endpoint))
    }

    private func openAdminSocket(_ endpoint: Endpoint) throws(SystemError) -> Int32 {
        guard let address = endpoint.address else { throw SystemError("listen", EINVAL) }
        return try Socket.listen(address, sharesPort: false, backlog: 128)
    }

    func serveAdmin(_ endpoint: Endpoint, on fd: Int32) {
        let server = admin ?? AdminServer(loop: loop, handler: AdminHandler(adminServices()).respond)
        server.listen(on: fd)
        (admin, adminEndpoint) = (server, endpoint)
    }

    // MARK: Run

    /// Serves until a signal ends it. The exit code.
    public func run() -> Int32 {
        do throws(SystemError) {
            try mailbox.deliver(on: loop, in: urgent) { [unowned self] mail in receive(mail) }
            try usage.deliver(on: loop)
            try scrapes.deliver(on: loop)
            _ = try Signals(loop: loop, flow: urgent) { [unowned self] signal in self.signal(signal) }
        } catch {
            fail("\(error)")
            return exitCode
        }
        health.changed = { upstream, server, healthy, why in
            Console.log("upstream \(upstream): server \(server) is \(healthy ? "healthy" : "out"): \(why)")
        }
        health.adopt(snapshot)
        chores = Chores(
            loop: loop, mailboxes: { [unowned self] in mailboxes }, notifier: notifier, meters: meterKeeper, time: time,
            refreshNames: { [unowned self] in
                for server in servers.all where server.needsResolver { server.refreshIfUsed(with: resolver) }
            },
            tidy: { [unowned self] in
                oldSnapshots.letGo()
                if upgrade.successorID == nil {
                    if time.takeWasSet() { snapshot.quotas.alignWindows() }
                    takeOver()
                } else {
                    tidyLeaving()
                }
                lookAtServers()
                serverWatch.look(at: { servers.all }, news: servers.news, now: loop.now, say: Console.log)
            })
        lookUpNames()
        startRefresher()
        loop.run()
        return exitCode
    }

    /// Ends: without this there is no serving.
    private func fail(_ why: String) {
        if exitCode != 0 { return }
        Console.log("gateway: \(why)")
        exitCode = 1
        upgrade.predecessor?.tell(failure: "gateway: \(why)")
        stop()
    }

    /// What the gateway before this one had, once it has ended.
    private func takeOver() {
        if hasToRetire, !meters.isShared { hasToRetire = !snapshot.quotas.retireOthers() }
        guard adminEndpoint == nil, let endpoint = settings.hot.admin, !isDraining else { return }
        do {
            try listenAdmin(endpoint)
            Console.log("admin: listens on \(endpoint.label)")
            noteRunning()
        } catch {}
    }

    /// For commands, which find it by that.
    func noteRunning() { RunningGateway.note(admin: settings.hot.admin, state: settings.cold.state) }

    /// Ejects those that are slow, and takes back whose time is over.
    private func lookAtServers() {
        slowServers.look(at: snapshot, now: loop.now)
        ejectionWatch.look(at: { servers.all }, news: servers.news, now: loop.now, say: Console.log)
    }

    private func lookUpNames() {
        for upstream in snapshot.upstreams { for server in upstream.servers { server.lookUpAhead(with: resolver) } }
    }

    private func startRefresher() {
        let mail = mailbox
        let refresher = KeySetRefresher(loop: loop, resolver: resolver) { mail.post(.keysFetched($0)) }
        refresher.tellWorkers = { [unowned self] in for worker in mailboxes { worker.post(.keysFetched) } }
        refresher.report = { [registry] issuer, event in
            switch event {
            case .fetched(let keys): registry.fetchedKeys(of: issuer, successfully: true, keys: keys, at: Clock.wall())
            case .failed(let keys): registry.fetchedKeys(of: issuer, successfully: false, keys: keys, at: Clock.wall())
            case .tooOld: registry.keysAreTooOld(of: issuer)
            }
        }
        self.refresher = refresher
        refreshKeys()
    }

    private func refreshKeys() {
        refresher?.adopt(snapshot.directory.issuers, snapshot.settings.issuers)
    }

    private func receive(_ mail: Mail) {
        switch mail {
        case .candidate(let candidate, let change): prepare(candidate, change)
        case .prepared(let prepared, let started, let sockets, let change):
            let known = mailboxes.count
            workers.add(started)
            if isDraining { drainWorkers(from: known) }
            apply(prepared, sockets, change)
        case .adopted:
            reload.waitingForWorkers -= 1
            if reload.waitingForWorkers == 0 { adopted() }
        case .keysWanted(let source): refresher?.want(source)
        case .keysFetched(let result): refresher?.finish(result)
        case .clientFaults(let report): report.lines.forEach(Console.log)
        case .drained(let worker):
            drained.insert(worker)
            endIfDrained()
        case .successor(let result): receive(result)
        case .moved: movedFromLane()
        case .ledgerFinished: ledgerFinished()
        }
    }

    /// Not before who takes over has everything.
    func endIfDrained() {
        guard drained.count == mailboxes.count, !upgrade.isHandingOver else { return }
        if !upgrade.hasCut { Console.log("drained: no request was cut") }
        stop()
    }

    private func signal(_ signal: Int32) {
        switch signal {
        case SIGHUP: reloadBySignal()
        case SIGUSR1: logWriter.reopen()
        case SIGUSR2: startUpgrade { _ in }
        default:
            if isDraining {
                Console.log("stopped at once: \(requestsCut)")
                logWriter.finish()
                exitWith(0)
            }
            drain()
        }
    }

    var summary: String {
        counted(settings.hot.tenants.count, "tenant") + " on " + settings.hot.listeners.map(\.endpoint.label).joined(separator: ", ")
    }

    /// Every worker goes by the snapshot: at the start, and after each reload.
    private func adopted() {
        registry.keepListeners(Set(snapshot.listeners.map(\.label)))
        hasToRetire = !snapshot.quotas.retireOthers()
        snapshot.quotas.alignWindows()
        oldSnapshots.letGo()
        if !isReady {
            isReady = true
            registry.setReady(true)
            Console.log("gateway \(Self.version) serves \(summary) (\(counted(workers.serving, "worker")))")
            if let predecessor = upgrade.predecessor { return takeOver(from: predecessor) }
            noteRunning()
            notifier.ready(summary)
            return
        }
        noteRunning()
        refreshKeys()
        servers.keep(only: snapshot)
        lookUpNames()
        health.adopt(snapshot)
        notifier.ready(summary)
        if let change = reload.change {
            let added = counted(change.added.count, "tenant")
            Console.log("reloaded: \(added) added, \(change.removed.count) removed, \(change.changed.count) changed")
            for line in change.settings { Console.log("reloaded: \(line)") }
            // Those of a file say so themselves.
            for text in change.warnings { Console.log(text.contains(": warning: ") ? text : "warning: \(text)") }
            finishReload(.applied(change))
        }
    }

    // MARK: Reload

    func startReload(_ done: @escaping (ReloadOutcome) -> Void) {
        if let obstacle = upgrade.obstacleToReload { return done(.rejected(errors: ["gateway: \(obstacle)"])) }
        guard reload.join(done) else { return }
        notifier.reloading()
        // Beside the running one, on a thread of its own: health checks, names and the admin listener go on.
        let (path, certificates, upstreams, keySets, mailbox, settings) = (path, certificates, upstreamTLS, keySets, mailbox, settings)
        do throws(SystemError) {
            try Thread("reload", isBackground: true) {
                let candidate = Candidate.read(
                    path, certificates: certificates, upstreams: upstreams, keySets: keySets, isReload: true)
                mailbox.post(.candidate(candidate, candidate.settings.map { ReloadChange(from: settings, to: $0) }))
            }.detach()
        } catch { reject(["gateway: \(error)"]) }
    }

    /// Opens what is new in it; what takes time is made off this thread.
    private func prepare(_ candidate: Candidate, _ change: ReloadChange?) {
        guard var next = candidate.settings, var change else { return reject(candidate.render(candidate.errors)) }
        change.warnings += candidate.render(candidate.warnings)
        change.settings = SettingsChange(from: settings, snapshot, to: next, candidate).lines
        next.cold = settings.cold
        let count = ConnectionBudget.workers(next.hot)
        let known = Set(settings.hot.listeners.map(\.endpoint))
        let fresh = next.hot.listeners.filter { !known.contains($0.endpoint) }.map { ($0.endpoint, $0.location) }
        var sockets: NewSockets
        do {
            var none = InheritedSockets()
            let listeners = try ListenerSockets.bind(
                fresh, workers: count, inherited: &none, held: settings.hot.listeners.map(\.endpoint))
            sockets = NewSockets(
                listeners: WorkerSockets(new: listeners, endpoints: next.hot.listeners.map(\.endpoint), workers.shares))
        } catch {
            return reject([candidate.loaded.render(Diagnostic(.error, error.location, error.description))])
        }
        do throws(SystemError) {
            if let endpoint = next.hot.admin, endpoint != adminEndpoint { sockets.admin = try openAdminSocket(endpoint) }
        } catch {
            sockets.close()
            return reject(["can't listen on \(next.hot.admin?.label ?? "") (admin): \(error)"])
        }
        let (meters, servers, mailbox, maker, snapshot) = (meters, servers, mailbox, workers.maker, snapshot)
        do throws(SystemError) {
            // Workers have the priority of the thread that starts them.
            try Thread("reload", isBackground: maker.group.count >= count) { [next, change, sockets] in
                let (started, failure) = maker.start(upTo: count, snapshot)
                let prepared = Result { () throws(ReloadObstacle) in
                    if let failure { throw ReloadObstacle(description: "gateway: workers \(count): \(failure)") }
                    do throws(StorageFault) {
                        return try Prepared(candidate, next, meters: meters, servers: servers)
                    } catch { throw ReloadObstacle(description: "\(error)") }
                }
                mailbox.post(.prepared(prepared, started, sockets: sockets, change: change))
            }.detach()
        } catch {
            sockets.close()
            reject(["gateway: \(error)"])
        }
    }

    /// From here on it is in force.
    private func apply(
        _ prepared: Result<Prepared, ReloadObstacle>, _ sockets: NewSockets, _ change: ReloadChange
    ) {
        let next: Prepared
        do {
            next = try prepared.get()
        } catch {
            sockets.close()
            return reject([error.description])
        }
        moveAdmin(to: next.settings.hot.admin, sockets.admin)
        oldSnapshots.add(snapshot)
        next.snapshot.tellServers(isStart: false, at: loop.now)
        (settings, snapshot, quotaReports, tenantIDs) = (next.settings, next.snapshot, next.reports, next.tenantIDs)
        showQuotas()
        registry.setTenantBudget(settings.hot.metricsTenants)
        logWriter.setTarget(settings.hot.accessLog.target)
        ledger.adopt(settings.hot)
        overload?.settings = settings.hot.overload
        certificates.keep(only: settings.hot)
        upstreamTLS.keep(only: settings.hot)
        keySets.keep(only: settings.hot.issuers)
        reload.change = change
        haveAdopted(sockets.listeners)
    }

    private func moveAdmin(to endpoint: Endpoint?, _ socket: Int32?) {
        if let endpoint, let socket { return serveAdmin(endpoint, on: socket) }
        guard endpoint == nil else { return }
        admin?.stopListening()
        adminEndpoint = nil
    }

    private func reject(_ errors: [String]) {
        Console.log("reload rejected, the old configuration goes on:\n" + errors.joined(separator: "\n"))
        notifier.rejected(errors.first?.split(separator: "\n").first.map(String.init) ?? "")
        finishReload(.rejected(errors: errors))
    }

    private func finishReload(_ outcome: ReloadOutcome) {
        if case .applied = outcome {
            registry.reloaded(successfully: true, at: Clock.wall())
        } else {
            registry.reloaded(successfully: false, at: Clock.wall())
        }
        if reload.finish(outcome) { startReload { _ in } }
    }

    // MARK: End

    private func drain() {
        isDraining = true
        isReady = false
        registry.setReady(false)
        notifier.stopping()
        Console.log("draining, at most \(settings.hot.shutdownTimeout / 1_000_000_000) s")
        upgrade.giveUp()
        drainWorkers(from: 0)
        limitEnd(to: settings.hot.shutdownTimeout) { [unowned self] in
            Console.log("shutdown_timeout is over: \(requestsCut)")
            stop()
        }
    }

    private func drainWorkers(from first: Int) {
        let mail = mailbox
        for (index, worker) in mailboxes.enumerated().dropFirst(first) { worker.post(.drain { mail.post(.drained(worker: index)) }) }
    }

    /// Calls `action` after that time, in place of an earlier one.
    func limitEnd(to time: UInt64, _ action: @escaping () -> Void) {
        if let deadline { loop.close(deadline) }
        let deadline = Deadline(loop: loop, action: action)
        loop.schedule(deadline, at: loop.now + time)
        self.deadline = deadline
    }
    private var deadline: Deadline?

    /// Those that are under way, as the log tells of their end.
    var requestsCut: String {
        let count = registry.requestsUnderWay
        return "\(counted(count, "request")) \(count == 1 ? "is" : "are") cut"
    }

    private func stop() {
        health.stop()
        workers.stop()
        logWriter.finish()
        ledger.finish()
        RunningGateway.forget(state: settings.cold.state)
        Console.log("stopped")
        loop.stop()
    }

    // MARK: Admin

    private func adminServices() -> AdminServices {
        AdminServices(
            isReady: { [unowned self] in isReady && !isDraining },
            hosts: { [unowned self] in settings.hot.adminHosts },
            metrics: { [scrapes] accept, done in
                let format = TextFormat(accept: accept)
                scrapes.render(format) { done(format.contentType, $0) }
            },
            tenants: { [unowned self] in tenantIDs },
            tenant: { [unowned self] id, json in
                guard let tenant = snapshot.directory.tenant(id: id) else { return false }
                TenantReport(tenant, snapshot, quotaReports).write(to: &json)
                return true
            },
            reload: { [unowned self] done in startReload(done) },
            upgrade: { [unowned self] done in startUpgrade(done) },
            usage: { [unowned self] query, done in usage.read(query, done) },
            token: { [token] in token },
            problemBase: { [unowned self] in settings.hot.problemBase })
    }
}

/// A start that can't be: everything the operator must mend, in one text.
public struct StartFailure: Error, CustomStringConvertible {
    public var description: String
}
