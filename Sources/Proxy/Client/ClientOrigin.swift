import Base
import Crypto
import HTTP
import Net

/// What is true of a client's whole connection, whatever protocol it speaks. A reload may change what some of it means: that
/// is found out once for each configuration.
final class ClientOrigin {
    let peer: SocketAddress
    /// The same as text, written once.
    private let peerText: AddressText
    private let listener: ListenerState
    /// What a proxy has said that the client connected to.
    private let told: SocketAddress?
    /// The client's connection, as long as it is there.
    private let fd: Int32
    /// Of TLS, as the access log calls it; nil without it, and in the handshake.
    private(set) var tlsVersion: StaticString?
    /// Without TLS, and where the client has named nobody, empty.
    private var serverName = ""
    /// What the client presented in its TLS handshake.
    private var presented: PresentedCertificate?

    /// What its connection is counted under, by its address.
    var place: AddressLimits.Place?

    /// The configuration that these are of, by its number.
    private var looked = -1
    private var named: String?
    private var known = ClientStanding()
    private var port: UInt16 = 443
    /// It is one of that tenant's `max_connections`.
    private var holder: TenantUse?

    /// - Parameter told: what a proxy has said that the client connected to.
    init(peer: SocketAddress, listener: ListenerState, fd: Int32 = -1, told: SocketAddress? = nil) {
        (self.peer, self.listener, self.fd, self.told) = (peer, listener, fd, told)
        peerText = AddressText(peer)
    }

    /// The same for what outlives the connection.
    func detached() -> ClientOrigin { ClientOrigin(peer: peer, listener: listener, told: local) }

    /// The handshake is done.
    func secured(by tls: TLSSession) {
        tlsVersion = tls.version
        serverName = tls.serverName
        presented = tls.clientCertificate.map { PresentedCertificate($0, on: listener.endpoint) }
    }

    /// The connection is over: nothing secret stays with what may still hold this.
    func forget() {
        presented = nil
        isNobodys()
    }

    /// It counts as no tenant's from now on.
    func isNobodys() {
        holder?.connections.giveBack()
        holder = nil
    }

    /// Whether it counts as that tenant's.
    /// - Parameter keepsFirst: a connection of many tenants at a time is the first one's.
    func isHeld(of use: TenantUse, keepsFirst: Bool) -> Bool { holder === use || (keepsFirst && holder != nil) }

    /// It counts as that tenant's from now on, if that may have another one.
    func hold(of use: TenantUse, upTo most: Int) -> Bool {
        guard use.connections.take(upTo: most) else { return false }
        holder?.connections.giveBack()
        holder = use
        return true
    }

    /// The listener's address, for logs.
    var listenerLabel: String { listener.label }

    /// What the client has connected to.
    var local: SocketAddress { told ?? Socket.localAddress(fd) ?? listener.endpoint.address ?? .any(port: listener.endpoint.port) }

    func writePeer(to writer: inout ByteWriter) { peerText.write(to: &writer) }

    var isSecure: Bool { tlsVersion != nil }

    @inline(__always)
    private func look(_ view: WorkerView) {
        if looked != view.number { lookAnew(view) }
    }

    private func lookAnew(_ view: WorkerView) {
        looked = view.number
        named = serverName.isEmpty ? nil : view.directory.tenant(host: serverName)?.id
        known = view.snapshot.trusts(peer) ? .trusted : []
        // A reload may have changed what the listener does with connections that it has taken.
        let current = view.snapshot.listeners.first { $0.endpoint == listener.endpoint } ?? listener
        guard let httpsPort = current.httpsPort else { return }
        port = httpsPort
        known.insert(.onPlainListener)
    }

    /// The tenant that the TLS server name names; nil without TLS or when nobody has that name.
    func namedTenant(in view: WorkerView) -> String? {
        look(view)
        return named
    }

    /// Whether the certificates that it was shown are those for this host. A client of HTTP/2 may come for others
    /// on the same connection, where these are for them too (RFC 9113 section 9.1.1).
    func covers(_ host: UnsafeRawBufferPointer) -> Bool {
        guard isSecure, let tls = listener.tls, unsafe !serverName.utf8.elementsEqual(host) else { return true }
        return tls.presentsSame(serverName, HostName.normal(unsafe String(decoding: host, as: UTF8.self)))
    }

    /// Whether what it says of others is believed: it is one of the `trusted_proxies`.
    func isTrusted(in view: WorkerView) -> Bool { standing(in: view).contains(.trusted) }

    func standing(in view: WorkerView) -> ClientStanding {
        look(view)
        return known
    }

    /// Where https is served.
    func httpsPort(in view: WorkerView) -> UInt16 {
        look(view)
        return port
    }

    /// What it has presented, while that is good.
    /// - Parameter now: seconds since 1970.
    func certificate(in view: WorkerView, now: UInt64) -> ClientCertificate? { presented?.current(in: view, now: now) }

    /// It was good once: a new handshake may bring another.
    func hasLapsedCertificate(in view: WorkerView, now: UInt64) -> Bool {
        presented != nil && certificate(in: view, now: now) == nil
    }
}

/// What is true of a client's connection under one configuration.
struct ClientStanding: OptionSet {
    let rawValue: UInt8
    /// It is one of the `trusted_proxies`.
    static let trusted = ClientStanding(rawValue: 1)
    /// Its listener sends everybody to https.
    static let onPlainListener = ClientStanding(rawValue: 2)
}

/// A numeric address as text, at hand for every request.
struct AddressText {
    private var bytes = InlineArray<48, UInt8>(repeating: 0)
    private var count = 0

    init(_ address: SocketAddress) {
        // As large as the array, and the writer stays inside of it.
        unsafe withUnsafeTemporaryAllocation(byteCount: 48, alignment: 1) { room in
            var writer = unsafe ByteWriter(room)
            address.writeHost(to: &writer)
            for i in 0..<writer.count { bytes[i] = unsafe room[i] }
            count = writer.count
        }
    }

    func write(to writer: inout ByteWriter) {
        unsafe bytes.span.withUnsafeBytes { unsafe writer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
