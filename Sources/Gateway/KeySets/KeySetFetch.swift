import Base
import Client
import Configuration
import Crypto
import HTTP
import Net
import Tenancy

/// Gets a key set by https, on a thread that may wait.
enum KeySetFetch {
    struct Answer: Sendable {
        var json: [UInt8]
        /// Seconds for which the server lets it be kept; nil where it does not say.
        var maxAge: UInt64?
    }

    enum Failure: Error, Sendable, CustomStringConvertible {
        case notAnAddress
        case unanswered(ClientFailure)
        /// The authorities that are to vouch for the server can't be read.
        case unsafe(OpenSSLError)
        case refused(status: Int)

        var description: String {
            switch self {
            case .notAnAddress: "not an address"
            case .unanswered(let failure): failure.description
            case .unsafe(let error): error.description
            case .refused(let status): "the server answered \(status)"
            }
        }
    }

    static func get(_ url: String, with resolver: Resolver) throws(Failure) -> Answer {
        guard let address = WebAddress(url), address.isSecure else { throw .notAnAddress }
        let deadline = Clock.monotonic() + Limits.keySetFetchNanoseconds
        let authorities: ServerAuthorities
        do throws(OpenSSLError) { authorities = try ServerAuthorities() } catch { throw .unsafe(error) }
        let destination = Destination(host: address.host, port: address.port, authorities: authorities)
        let request = HTTPClient.Request(
            "GET", address.target, authority: address.authority,
            fields: [HTTPClient.Field("Accept", "application/jwk-set+json, application/json")])
        let answer: HTTPClient.Answer
        do throws(ClientFailure) {
            answer = try HTTPClient.wait(
                for: request, at: destination, by: deadline, limits: AnswerLimits(body: UInt64(KeySet.sizeMax)), resolver: resolver)
        } catch { throw .unanswered(error) }
        guard answer.status == 200 else { throw .refused(status: answer.status) }
        return Answer(json: answer.body, maxAge: answer.head.first("cache-control").flatMap(maxAge))
    }

    /// `max-age` of `Cache-Control` (RFC 9111 section 5.2.2.1); zero where it says that nothing may be kept.
    private static func maxAge(_ field: String) -> UInt64? {
        var field = field
        return field.withUTF8 { bytes in
            var directives = QuotedList(UnsafeRawBufferPointer(bytes))
            while let directive = directives.next() {
                let parts = directive.split(separator: UInt8(ascii: "="), maxSplits: 1).map {
                    UnsafeRawBufferPointer(rebasing: $0).trimmed
                }
                guard let name = parts.first else { continue }
                if ASCII.equalsIgnoringCase(name, "no-store") || ASCII.equalsIgnoringCase(name, "no-cache") { return 0 }
                if parts.count == 2, ASCII.equalsIgnoringCase(name, "max-age") { return parts[1].unquoted.flatMap(ASCII.decimal) }
            }
            return nil
        }
    }
}
