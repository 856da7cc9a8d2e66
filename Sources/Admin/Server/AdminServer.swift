import Base
import Glibc
import Net

/// A small HTTP/1.1 server on an event loop: for the admin listener, never for tenants' traffic. One request at a time on a
/// connection and one a turn, bodies read and dropped, answers whole.
///
/// Each connection's turns are in a flow of its own: whoever asks without end waits for everybody else. There are so many
/// connections and no more; for a new one, the one goes that has been silent for the longest. It must live as long as its
/// loop.
public final class AdminServer {
    public typealias Handler = (_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) -> Void

    let loop: EventLoop
    let handler: Handler
    private let connectionsMax: Int
    private var connections: [ObjectIdentifier: AdminConnection] = [:]
    private var farewells = 0
    private var listener: AdminListener?
    private let listenerFlow = Flow(weight: 1)
    /// One for each connection that there may be. They are not counted where they are used, so they stay.
    private let flows: [Flow]
    /// Those that no connection has at present.
    private var unusedFlows: [Flow]

    public convenience init(loop: EventLoop, handler: @escaping Handler) {
        self.init(loop: loop, connectionsMax: Limits.adminConnectionsMax, handler: handler)
    }

    init(loop: EventLoop, connectionsMax: Int, handler: @escaping Handler) {
        (self.loop, self.connectionsMax, self.handler) = (loop, connectionsMax, handler)
        flows = (0..<connectionsMax + Limits.adminFarewellsMax).map { _ in Flow(weight: 1) }
        unusedFlows = flows
    }

    /// Takes connections from this listening socket from now on, and from none before it.
    public func listen(on fd: Int32) {
        stopListening()
        let listener = AdminListener(server: self, fd: fd, flow: listenerFlow)
        self.listener = listener
        listener.open()
    }

    /// Connections that are there stay.
    public func stopListening() {
        if let listener { loop.closeShared(listener) }
        listener = nil
    }

    /// A descriptor of its own for the socket that it listens on; nil where it does not, or there is none to be had.
    public func copyListeningSocket() -> Int32? {
        guard let listener else { return nil }
        let copy = fcntl(listener.fd, F_DUPFD_CLOEXEC, 3)
        return copy >= 0 ? copy : nil
    }

    /// Ends: another process serves who comes from now on. Requests under way are answered.
    public func retire() {
        stopListening()
        for connection in connections.values { connection.retire() }
    }

    // MARK: Connections

    func admit(_ fd: Int32) {
        if connections.count - farewells >= connectionsMax, let oldest = oldestSilent { oldest.end() }
        let isFull = connections.count - farewells >= connectionsMax
        guard !isFull || farewells < Limits.adminFarewellsMax, let flow = unusedFlows.popLast() else {
            close(fd)
            return
        }
        let connection = AdminConnection(server: self, fd: fd, flow: flow)
        connections[ObjectIdentifier(connection)] = connection
        guard loop.add(connection) else { return connection.end() }
        if isFull { connection.refuse() } else { connection.begin() }
    }

    /// Without a request under way. A head that is begun is none: it may never end.
    private var oldestSilent: AdminConnection? {
        let silent = connections.values.compactMap { one in one.silentSince.map { (one, since: $0) } }
        return silent.min { $0.since < $1.since }?.0
    }

    /// Large answers that nobody takes are memory: for a new one, the one goes that has waited for the longest.
    func makeRoomForLargeAnswer() {
        let large = connections.values.compactMap { one in one.largeAnswerSince.map { (one, since: $0) } }
        if large.count >= Limits.adminLargeAnswersMax { large.min { $0.since < $1.since }?.0.end() }
    }

    /// The connection has had its last answer and wants to see its client go. False where too many do.
    func mayTakeLeave() -> Bool {
        guard farewells < Limits.adminFarewellsMax else { return false }
        farewells += 1
        return true
    }

    func forget(_ connection: AdminConnection) {
        connections[ObjectIdentifier(connection)] = nil
        if connection.isLeaving { farewells -= 1 }
        unusedFlows.append(connection.flow)
    }
}
