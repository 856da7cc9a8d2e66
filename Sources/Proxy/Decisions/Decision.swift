import Base
import Client
import Tenancy

/// What a service has said of a request. Immutable: it is handed to all who have asked the same.
final class Decision {
    /// 2xx is a yes, 401 and 403 are a no.
    let status: UInt16
    /// Lines that the upstream gets, each with its line end.
    let toUpstream: [UInt8]
    /// Lines that the client gets; of a no those that it is told with.
    let toClient: [UInt8]
    /// Of a no: what the client gets.
    let body: [UInt8]
    /// Good for the same question until then: monotonic nanoseconds.
    let until: UInt64

    init(status: UInt16, toUpstream: [UInt8] = [], toClient: [UInt8] = [], body: [UInt8] = [], until: UInt64 = 0) {
        (self.status, self.toUpstream, self.toClient, self.body, self.until) = (status, toUpstream, toClient, body, until)
    }

    var passes: Bool { status < 300 }

    /// Bytes of memory that it takes.
    var size: Int { Self.sizeMin + toUpstream.count + toClient.count + body.count }

    /// The object, four arrays' heads, and its place where it is kept.
    private static let sizeMin = 320

    /// Whether a status is an answer to the question, and not a sign of something else.
    static func isAnswer(_ status: Int) -> Bool { (200..<300).contains(status) || status == 401 || status == 403 }

    /// What an answer says. One with a cookie is not kept: a session that was begun for one client must not become another's.
    /// - Parameter now: monotonic nanoseconds.
    convenience init(_ head: HTTPClient.Head, body: [UInt8], by rule: DecisionRule, now: UInt64) {
        var (toUpstream, toClient): ([UInt8], [UInt8]) = ([], [])
        let passes = head.status < 300
        var isForOne = false
        for field in head.fields where !field.isOfConnection {
            let goes = rule.handsOn(field.name)
            if goes.toUpstream, passes { Self.add(field, to: &toUpstream) }
            if goes.toClient, field.name == "set-cookie" { isForOne = true }
            if goes.toClient || !passes && Self.tells(field.name, ofBody: !body.isEmpty) { Self.add(field, to: &toClient) }
        }
        self.init(
            status: UInt16(head.status), toUpstream: toUpstream, toClient: toClient, body: passes ? [] : body,
            until: isForOne ? now : now &+ rule.keepsFor)
    }

    /// What a no needs to be understood.
    private static func tells(_ name: String, ofBody hasBody: Bool) -> Bool {
        name == "www-authenticate" || hasBody && (name == "content-type" || name == "content-encoding" || name == "content-language")
    }

    /// As it was received: nothing is made of bytes that are no UTF-8.
    private static func add(_ field: HTTPClient.Field, to lines: inout [UInt8]) {
        lines += Array(field.name.utf8) + [0x3A, ASCII.space] + field.octets + [ASCII.cr, ASCII.lf]
    }
}
