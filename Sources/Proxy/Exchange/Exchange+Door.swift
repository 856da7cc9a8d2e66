import Base
import HTTP
import Metrics
import Net
import Tenancy

/// What is looked at before credentials are: the client's address, and whether a browser asks who may read answers.
extension Exchange {
    /// Refuses a request by its address, answers a preflight, and finds out what the answer says to browsers.
    func passDoor(of tenant: Tenant, _ head: borrowing RequestHead, in view: WorkerView) throws(Halt) {
        attribute(to: tenant, in: view)
        if let asked = unsafe preflight(head) {
            // The route is that of the request to come.
            let door = unsafe door(head, of: tenant, asking: asked)
            if let cors = door?.cors {
                try checkAddress(door)
                let grant = grant(cors, head)
                resolution.granted = grant
                throw answerPreflight(grant, head)
            }
        }
        let door = unsafe door(head, of: tenant, asking: nil)
        // First of all: a page may read why it was refused.
        if let cors = door?.cors { resolution.granted = grant(cors, head) }
        try checkAddress(door)
    }

    private func door(_ head: borrowing RequestHead, of tenant: Tenant, asking method: UnsafeRawBufferPointer?) -> Door? {
        unsafe (lookUp(head, of: tenant, asking: method).route ?? tenant.unmatched).door
    }

    private func checkAddress(_ door: Door?) throws(Halt) {
        guard let rules = door?.addresses else { return }
        let address = clientAddress
        if !rules.allow(high: address.high, low: address.low) { throw refuse(.addressDenied, "not from this address") }
    }

    private func grant(_ cors: CORS, _ head: borrowing RequestHead) -> CORS.Grant {
        let origin = head.fields.repeated.contains(.origin) ? nil : head.fields.first(.origin)
        return unsafe cors.grant(origin.map { unsafe head[$0.value] })
    }

    /// The method that a page would like to use (the Fetch standard, "CORS preflight fetch"); nil where this asks for no leave.
    private func preflight(_ head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        guard head.method == .options, head.fields.present.contains(.origin) else { return nil }
        return unsafe head.value(of: "access-control-request-method")
    }

    /// Without credentials, which a browser sends none of, and without taking anything of the tenant's: but an address has no
    /// more of them than it could have of handshakes.
    private func answerPreflight(_ grant: CORS.Grant, _ head: borrowing RequestHead) -> Halt {
        guard mayAskAgain else {
            return unsafe refuse(.rateLimited, "too many preflights from this address", realm: head[head.host])
        }
        // What an answer says is another thing.
        resolution.granted = nil
        return unsafe answerItself(204, nil) { out in
            unsafe out.append(grant.preflight)
            if grant.variesByOrigin { out.append("Vary: Origin\r\n") }
        }
    }

    /// Behind a trusted proxy that does not say who its clients are there are many.
    private var mayAskAgain: Bool {
        if request.provenance?.client == nil, let view = resolution.view, client.origin.isTrusted(in: view) { return true }
        let place = worker.group.addresses.place(of: clientAddress)
        return worker.group.preflights.mayCome(place, rate: Limits.preflightsPerSecond, in: 1_000_000_000, now: worker.loop.now)
    }

    // MARK: What answers say

    /// In an answer of the gateway's own.
    func writeGranted(to out: inout ByteWriter) {
        guard let grant = resolution.granted else { return }
        unsafe out.append(grant.answer)
        if grant.variesByOrigin { out.append("Vary: Origin\r\n") }
    }

    /// Beside the fields of an upstream's answer, which has lost what it says to browsers, and its `Vary` where that is to have
    /// `Origin` in it.
    func writeGranted(beside head: borrowing ResponseHead, to out: inout ByteWriter) {
        guard let grant = resolution.granted else { return }
        unsafe out.append(grant.answer)
        guard grant.variesByOrigin else { return }
        out.append("Vary: ")
        for i in 0..<head.fields.count where unsafe Self.isVary(head[head.fields[i].name]) {
            if unsafe resolution.route?.responseEdits.removes(head[head.fields[i].name]) == true { continue }
            unsafe out.append(head[head.fields[i].value])
            out.append(", ")
        }
        out.append("Origin\r\n")
    }

    /// Whether a field of an upstream's answer is the gateway's to write.
    func isReplacedByGrant(_ name: UnsafeRawBufferPointer) -> Bool {
        if unsafe Self.isVary(name) { return resolution.granted?.variesByOrigin == true }
        let prefix: StaticString = "access-control-"
        guard name.count > prefix.utf8CodeUnitCount else { return false }
        return unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: name[..<prefix.utf8CodeUnitCount]), prefix)
    }

    private static func isVary(_ name: UnsafeRawBufferPointer) -> Bool { unsafe ASCII.equalsIgnoringCase(name, "vary") }
}
