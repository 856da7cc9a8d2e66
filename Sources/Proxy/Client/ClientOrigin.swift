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
    /// Of TLS, as the access log calls it; nil without it, and in the handshake.
    private(set) var tlsVersion: StaticString?
    /// Without TLS, and where the client has named nobody, empty.
    private var serverName = ""
    /// What the client presented in its TLS handshake.
    private var presented: PresentedCertificate?

    /// The configuration that these are of, by its number.
    private var looked = -1
    private var named: String?
    private var trusted = false

    init(peer: SocketAddress, listener: ListenerState) {
        (self.peer, self.listener) = (peer, listener)
        peerText = AddressText(peer)
    }

    /// The handshake is done.
    func secured(by tls: TLSSession) {
        tlsVersion = tls.version
        serverName = tls.serverName
        presented = tls.clientCertificate.map { PresentedCertificate($0, on: listener.endpoint) }
    }

    /// The connection is over: nothing secret stays with what may still hold this.
    func forget() { presented = nil }

    /// The listener's address, for logs.
    var listenerLabel: String { listener.label }

    func writePeer(to writer: inout ByteWriter) { peerText.write(to: &writer) }

    var isSecure: Bool { tlsVersion != nil }

    @inline(__always)
    private func look(_ view: WorkerView) {
        if looked != view.number { lookAnew(view) }
    }

    private func lookAnew(_ view: WorkerView) {
        looked = view.number
        named = serverName.isEmpty ? nil : view.directory.tenant(host: serverName)?.id
        trusted = view.snapshot.trusts(peer)
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
    func isTrusted(in view: WorkerView) -> Bool {
        look(view)
        return trusted
    }

    /// What it has presented, while that is good.
    /// - Parameter now: seconds since 1970.
    func certificate(in view: WorkerView, now: UInt64) -> ClientCertificate? { presented?.current(in: view, now: now) }

    /// It was good once: a new handshake may bring another.
    func hasLapsedCertificate(in view: WorkerView, now: UInt64) -> Bool {
        presented != nil && certificate(in: view, now: now) == nil
    }
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
