import Configuration
import Crypto

/// Whom the tenants' `client_certificate subject=...` lines trust: the ids of the authorities that their `issuer=` and
/// `ca=` mean. Says where a line means several that could each issue what the other one does, or nobody, or the same
/// certificate as another tenant's.
struct SubjectAuthorities {
    private(set) var ids: [CertificateIssuer: Set<Digest256>] = [:]
    private let settings: Settings
    /// Of all listeners: every tenant can be reached on every one of them.
    private let known: [AuthorityCertificate]
    private let isOne: Bool
    private var claims: [String: [(issuer: CertificateIssuer, tenant: String, location: Location)]] = [:]

    /// - Parameter known: the certificates of every `client_ca`.
    init(_ settings: Settings, known: [AuthorityCertificate], into diagnostics: inout [Diagnostic]) {
        (self.settings, self.known) = (settings, known)
        isOne = AuthorityLine.isOne(known)
        for tenant in settings.hot.tenants {
            for certificate in tenant.clientCertificates {
                guard case .subject(let subject, let issuer) = certificate.wanted else { continue }
                if let fault = fault(of: issuer) ?? conflict(subject, issuer, tenant.id, certificate.location) {
                    diagnostics.append(
                        Diagnostic(
                            .error, at: certificate.location, length: "client_certificate".count, fault.text,
                            suggestion: fault.suggestion))
                }
            }
        }
    }

    private struct Fault {
        var text: String
        var suggestion: String?
    }

    /// Looks the issuer up, the first time.
    private mutating func fault(of issuer: CertificateIssuer) -> Fault? {
        if issuer == .sole { return isOne ? nil : several }
        if ids[issuer] != nil { return nil }
        switch issuer {
        case .sole: return nil
        case .named(let name):
            let found = Set(known.filter { $0.name.elementsEqual(name.utf8) }.map(\.id))
            if found.isEmpty { return nobody(called: name) }
            if found.count > 1 {
                return Fault(
                    text: "\(found.count) authorities are called `\(name)`, with a key each", suggestion: "write `ca=FILE`")
            }
            ids[issuer] = found
        case .file(let path):
            do throws(OpenSSLError) {
                ids[issuer] = Set(try AuthorityCertificate.read(path).map(\.id))
            } catch { return Fault(text: error.description) }
        }
        return nil
    }

    private var names: [String] { Set(known.map { String(decoding: $0.name, as: UTF8.self) }).sorted() }

    /// The first of them, in back quotes.
    private var list: String {
        let shown = names.prefix(4).map { "`\($0)`" }.joined(separator: ", ")
        return names.count > 4 ? shown + ", ..." : shown
    }

    private var several: Fault {
        Fault(
            text: "`subject=` alone takes the word of any authority of any `client_ca`, and there are several: \(list)",
            suggestion: "add `issuer=\"\(names.first ?? "CN=NAME")\"` or `ca=FILE`")
    }

    private func nobody(called name: String) -> Fault {
        let near = Suggestion.nearest(to: name, among: names)
        return Fault(
            text: "no `client_ca` has an authority `\(name)`",
            suggestion: near.map { "did you mean `\($0)`?" } ?? (known.isEmpty ? nil : "there is \(list)"))
    }

    /// Of two tenants with the same subject, no authority may stand for both.
    private mutating func conflict(
        _ subject: String, _ issuer: CertificateIssuer, _ tenant: String, _ location: Location
    ) -> Fault? {
        let mine = ids[issuer]
        let others = claims[subject, default: []]
        claims[subject, default: []].append((issuer, tenant, location))
        let other = others.first { other in
            guard other.tenant != tenant else { return false }
            guard let mine, let theirs = ids[other.issuer] else { return true }
            return !mine.isDisjoint(with: theirs)
        }
        return other.map { other in
            let place = "\(settings.files[other.location.file]):\(other.location.line)"
            return Fault(text: "this certificate belongs to tenant `\(other.tenant)` already (\(place))")
        }
    }
}
