import Base
import Crypto
import Net

/// Makes one connection: looks the name up and tries its addresses, one beside another that takes its time, until the first
/// is connected and has proved its name by TLS, all before one deadline. What comes of it is told in a later turn, never
/// before `init` has returned.
///
///     waiting ──its turn──► looking up ──► racing ──► over
///        └────(addresses are known)───────┘    └─(next address)
public final class Dialing: Source {
    public typealias Done = (Result<Connection, ClientFailure>) -> Void

    private enum Phase {
        case waiting
        case lookingUp(Int)
        case racing
        case over
    }

    private var phase = Phase.waiting
    private let destination: Destination
    /// For all of it, and then for the connection.
    private let end: UInt64
    private let names: Names
    private var done: Done?
    private var tries = AddressTries([])
    /// Those that are being made.
    private var racers: [(address: SocketAddress, connection: Connection)] = []
    private var failure: ClientFailure

    /// - Parameters:
    ///   - deadline: in monotonic nanoseconds; the connection that comes of it has it too, until it is moved.
    ///   - done: called once. The connection's user is whoever takes it.
    public init(
        to destination: Destination, by deadline: UInt64, names: Names, loop: EventLoop, flow: Flow, done: @escaping Done
    ) {
        (self.destination, end, self.names, self.done) = (destination, deadline, names, done)
        failure = .notFound(destination.host, "no address")
        super.init(loop: loop, fd: -1, flow: flow)
        loop.schedule(self, at: deadline)
        loop.wake(self, [])
    }

    /// `done` is not called any more.
    public func cancel() {
        switch phase {
        case .lookingUp(let number): names.forget(number)
        case .waiting, .racing, .over: break
        }
        for racer in racers { racer.connection.close() }
        racers = []
        (phase, done) = (.over, nil)
        loop.close(self)
    }

    private func finish(_ result: Result<Connection, ClientFailure>) {
        let told = done
        cancel()
        told?(result)
    }

    public override func ready(_ events: Readiness) {
        guard case .waiting = phase else { return }
        if let known = destination.addresses { return start(known) }
        if let literal = SocketAddress(destination.host, port: destination.port) { return start([literal]) }
        do throws(SystemError) {
            let number = try names.lookUp(destination.host, port: destination.port) { [unowned self] in lookedUp($0) }
            phase = .lookingUp(number)
        } catch { finish(.failure(ClientFailure(error))) }
    }

    public override func expired() {
        switch phase {
        case .racing where loop.now < end: tryNext()
        case .racing: finish(.failure(racers.last.map { .at($0.address, .late) } ?? failure))
        case .waiting, .lookingUp: finish(.failure(.notFound(destination.host, ClientFailure.late.description)))
        case .over: break
        }
    }

    private func lookedUp(_ outcome: Resolver.Outcome) {
        switch outcome {
        case .addresses(let found): start(found)
        case .failed(let reason): finish(.failure(.notFound(destination.host, reason)))
        }
    }

    private func start(_ addresses: [SocketAddress]) {
        phase = .racing
        tries = AddressTries(addresses)
        tryNext()
    }

    private func tryNext() {
        while let address = tries.next() {
            do throws(ClientFailure) {
                racers.append((address, try connect(to: address)))
                break
            } catch { failure = .at(address, error) }
        }
        if racers.isEmpty { return finish(.failure(failure)) }
        loop.schedule(self, at: tries.nextLook(now: loop.now, end: end))
    }

    private func connect(to address: SocketAddress) throws(ClientFailure) -> Connection {
        var tls: TLSClient?
        if let authorities = destination.authorities {
            let isAddress = SocketAddress(destination.host, port: 0) != nil
            do throws(OpenSSLError) {
                tls = try TLSClient(authorities, host: destination.host, isAddress: isAddress, offers: destination.offers)
            } catch { throw .unsafe(error.description) }
        }
        let connection: Connection
        do throws(SystemError) {
            connection = try Connection(
                to: address, tls: tls, preamble: destination.preamble, isForClients: destination.isForClients, user: self, loop: loop,
                flow: flow)
        } catch { throw ClientFailure(error) }
        guard loop.add(connection) else {
            let error = SystemError("can't watch a connection")
            connection.close()
            // Whatever the kernel calls it: the server has no part in it.
            throw .lack(error)
        }
        return connection
    }
}

extension Dialing: ConnectionUser {
    public func connected(_ connection: Connection) {
        loop.schedule(connection, at: end)
        // It is the user's from here on.
        racers.removeAll { $0.connection === connection }
        finish(.success(connection))
    }

    public func received(_ bytes: UnsafeMutableRawBufferPointer, by connection: Connection) {}
    public func sent(by connection: Connection) {}

    public func ended(_ connection: Connection, _ ended: ClientFailure?) {
        guard let place = racers.firstIndex(where: { $0.connection === connection }) else { return }
        failure = .at(racers.remove(at: place).address, ended ?? .cutShort)
        tryNext()
    }
}
