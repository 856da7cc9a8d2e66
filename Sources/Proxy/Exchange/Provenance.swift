import Base
import Configuration
import HTTP
import Net

/// Whom trusted proxies speak for, how and where to it came: one decision, which all forwarding fields are written from.
///
/// The client is the rightmost address that no trusted proxy has, of `X-Forwarded-For`, else of `Forwarded`; the leftmost
/// when all are trusted. What is no address can't be believed, nor anything to the left of it. A proxy speaks one family,
/// or both alike; what it lets pass of the other is its client's word, so `trusted_fields` says which one is looked at.
@safe struct Provenance {
    /// Nil where nothing is said of it: it is the peer.
    private(set) var client: SocketAddress?
    /// Nil where nothing is said of it, as for the host: it is the connection's own.
    private(set) var isSecure: Bool?
    /// With its port, if it has one; in the head, while that stands.
    private(set) var host: UnsafeRawBufferPointer?
    /// The list that the client is from, and where in it.
    private let list: FieldName
    private var place = ListField.Place()
    /// Elements behind the client: proxies, all of them trusted.
    private var behind = 0

    private static let oldFamily = FieldSet(.xForwardedFor) | .xForwardedProto | .xForwardedHost | .forwardedScheme

    /// Nil where the head says nothing that is looked at.
    init?(_ head: borrowing RequestHead, believes family: TrustedFields, trusts: (SocketAddress) -> Bool) {
        let (readsOld, readsNew) = (family != .forwarded, family != .xForwarded)
        let present = head.fields.present
        guard readsOld && present.intersects(Self.oldFamily) || readsNew && present.contains(.forwarded) else { return nil }
        list = readsOld && (present.contains(.xForwardedFor) || !readsNew) ? .xForwardedFor : .forwarded
        var (proto, name): (UnsafeRawBufferPointer?, UnsafeRawBufferPointer?) = (nil, nil)
        var (elements, count) = (ListField(list, in: head), 0)
        while let element = unsafe elements.next(head) {
            let forwarded = unsafe list == .forwarded ? ForwardedElement(element) : nil
            let address = unsafe address(of: element, forwarded)
            // The element that the peer itself has written may tell of scheme and host alone.
            if address != nil || count == 0 {
                (client, place, behind) = (address, elements.place, count)
                unsafe (proto, name) = unsafe (forwarded?.proto, forwarded?.host)
            }
            count += 1
            guard let address, trusts(address) else { break }
        }
        if readsOld {
            unsafe proto = unsafe proto ?? ListField.element(of: .xForwardedProto, before: behind, in: head)?.unquoted
            unsafe name = unsafe name ?? ListField.element(of: .xForwardedHost, before: behind, in: head)?.unquoted
        }
        isSecure = unsafe proto.flatMap(Self.isSecure) ?? (readsOld ? Self.switchedOn(head) : nil)
        unsafe host = unsafe name.flatMap { unsafe RequestHead.isHost($0) ? $0 : nil }
    }

    private func address(of element: UnsafeRawBufferPointer, _ forwarded: ForwardedElement?) -> SocketAddress? {
        let node = unsafe list == .forwarded ? forwarded?.node : element.unquoted
        return unsafe node.flatMap { unsafe SocketAddress(node: $0) }
    }

    private static func isSecure(_ proto: UnsafeRawBufferPointer) -> Bool? {
        if unsafe ASCII.equalsIgnoringCase(proto, "https") || ASCII.equalsIgnoringCase(proto, "wss") { return true }
        return unsafe ASCII.equalsIgnoringCase(proto, "http") || ASCII.equalsIgnoringCase(proto, "ws") ? false : nil
    }

    /// What `X-Forwarded-Ssl: on` and its like say, where that is all.
    private static func switchedOn(_ head: borrowing RequestHead) -> Bool? {
        guard let field = head.fields.first(.forwardedScheme), !head.fields.repeated.contains(.forwardedScheme) else { return nil }
        return unsafe scheme(said: head[field.value])
    }

    /// `on` or a scheme.
    static func scheme(said value: UnsafeRawBufferPointer) -> Bool? {
        if unsafe ASCII.equalsIgnoringCase(value, "on") { return true }
        return unsafe ASCII.equalsIgnoringCase(value, "off") ? false : isSecure(value)
    }

    /// The client and the trusted proxies behind it, but for the peer, in the order of the list.
    func eachHop(_ head: borrowing RequestHead, _ body: (SocketAddress) -> Void) {
        guard client != nil else { return }
        unsafe ListField(list, in: head).each(from: place, in: head) { element in
            if let address = unsafe address(of: element, list == .forwarded ? ForwardedElement(element) : nil) { body(address) }
        }
    }
}
