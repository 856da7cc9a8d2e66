import Base
import HTTP
import Net

/// Whom trusted proxies speak for, how and where to it came: one decision, which all forwarding fields are written from.
///
/// The client is the rightmost address that no trusted proxy has, of `X-Forwarded-For`, else of `Forwarded`; the leftmost
/// when all are trusted. What is no address can't be believed, nor anything to the left of it.
@safe struct Provenance {
    /// Nil where nothing is said of it: it is the peer.
    private(set) var client: SocketAddress?
    /// Nil where nothing is said of it, as for the host: it is the connection's own.
    private(set) var isSecure: Bool?
    /// With its port, if it has one; in the head, while that stands.
    private(set) var host: UnsafeRawBufferPointer?
    /// The list that the client is from: its name, and how many elements stand before it, of which nothing is believed.
    private let list: FieldName
    private var first = 0
    /// Elements behind the client: proxies, all of them trusted.
    private var behind = 0

    /// Nil where the head says nothing.
    init?(_ head: borrowing RequestHead, trusts: (SocketAddress) -> Bool) {
        let present = head.fields.present
        guard present.intersects(FieldSet(.forwarded) | .xForwardedFor | .xForwardedProto | .xForwardedHost) else { return nil }
        list = present.contains(.xForwardedFor) ? .xForwardedFor : .forwarded
        var (proto, name): (UnsafeRawBufferPointer?, UnsafeRawBufferPointer?) = (nil, nil)
        var (elements, count) = (ListField(list), 0)
        while let element = unsafe elements.next(head) {
            let forwarded = unsafe list == .forwarded ? ForwardedElement(element) : nil
            let address = unsafe address(of: element, forwarded)
            if address.map({ client == nil || !trusts($0) }) ?? true {
                (client, first) = (address, count)
                unsafe (proto, name) = unsafe (forwarded?.proto, forwarded?.host)
            }
            count += 1
        }
        behind = max(count - 1 - first, 0)
        unsafe proto = unsafe proto ?? ListField.element(of: .xForwardedProto, before: behind, in: head)?.unquoted
        unsafe name = unsafe name ?? ListField.element(of: .xForwardedHost, before: behind, in: head)?.unquoted
        isSecure = unsafe proto.flatMap(Self.isSecure)
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

    /// The client and the trusted proxies behind it, but for the peer, in the order of the list.
    func eachHop(_ head: borrowing RequestHead, _ body: (SocketAddress) -> Void) {
        guard client != nil else { return }
        var (elements, number) = (ListField(list), 0)
        while let element = unsafe elements.next(head) {
            if number >= first, let address = unsafe address(of: element, list == .forwarded ? ForwardedElement(element) : nil) {
                body(address)
            }
            number += 1
        }
    }
}
