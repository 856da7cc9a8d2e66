import Configuration
import Crypto
import Testing

@testable import Tenancy

/// Two tenants that want credentials, one that wants none, one without a host; keys and tokens signed with a secret.
private let configuration = """
    listen 80;
    shared_host api.test;
    upstream app { server 10.0.0.1:80; }
    defaults { upstream app; }
    jwt idp { issuer idp; audience gateway; keys env:SECRET; algorithms HS256; tenant_claim tenant; claim_header sub X-User; }
    tenant a { host a.test *.a.test; authenticate api_key jwt; jwt idp; key sha256:\(digest("key-a")) name=ka; key sha256:\(digest("old-a")) expires=2020-01-01; }
    tenant b { host b.test; authenticate api_key; key sha256:\(digest("key-b")); }
    tenant c { host c.test; key sha256:\(digest("key-c")); }
    tenant d { authenticate jwt; jwt idp; key sha256:\(digest("key-d")); }
    """

private func digest(_ key: String) -> String { SHA256.digest(Array(key.utf8)).hexadecimal }

private let secret = String(repeating: "s", count: 32)

private func makeDirectory(
    _ text: String = configuration, authorities: [CertificateIssuer: Set<Digest256>] = [:],
    keys: (IssuerSettings) -> KeySource? = { _ in nil }
) throws -> Directory {
    let source = ConfigurationSource(
        read: { _ in .success(Array(text.utf8)) }, environment: { $0 == "SECRET" ? secret : nil })
    let loaded = ConfigurationLoader.load("gateway.conf", from: source)
    let hot = try #require(loaded.settings, "\(loaded.renderAll())").hot
    let issuers = try hot.issuers.map {
        let own = KeySource(try KeySet(secret: Array(secret.utf8), algorithms: $0.signatureAlgorithms))
        return TokenIssuer($0, keys: keys($0) ?? own)
    }
    return Directory(hot.tenants, sharedHosts: hot.sharedHosts, issuers: issuers, authorities: authorities) { index, _ in index }
}

private func encode(_ text: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var made: [UInt8] = []
    var (word, bits) = (0, 0)
    for byte in text {
        (word, bits) = ((word << 8 | Int(byte)) & 0xFFFFF, bits + 8)
        while bits >= 6 {
            bits -= 6
            made.append(alphabet[word >> bits & 63])
        }
    }
    if bits > 0 { made.append(alphabet[word << (6 - bits) & 63]) }
    return String(decoding: made, as: UTF8.self)
}

private let now: Int64 = 1_700_000_000

private func token(_ tenant: String, expires: Int64 = now + 100, more: String = "") -> String {
    let header = encode(Array("{\"alg\":\"HS256\"}".utf8))
    let claims = "{\"iss\":\"idp\",\"aud\":\"gateway\",\"sub\":\"u\",\"exp\":\(expires),\"tenant\":\"\(tenant)\"\(more)}"
    let signed = header + "." + encode(Array(claims.utf8))
    return signed + "." + encode(HMACForTests.sign(signed, secret))
}

private enum Outcome: Equatable { case tenant(String), refused(IdentityFault), other }

private func resolve(
    _ directory: Directory, _ resolver: IdentityResolver = IdentityResolver(), host: String, key: String? = nil,
    bearer: String? = nil, server: String? = nil, certificate: ClientCertificate? = nil, at time: Int64 = now
) -> Outcome {
    let owner = Array(host.utf8).withUnsafeBytes { directory.owner(host: $0) }
    var tenant: Tenant?
    if case .tenant(let found) = owner { tenant = found }
    let keyBytes = Array((key ?? "").utf8)
    let bearerBytes = Array((bearer ?? "").utf8)
    return keyBytes.withUnsafeBytes { keyBytes in
        bearerBytes.withUnsafeBytes { bearerBytes in
            var presented = PresentedCredentials()
            if key != nil { presented.key = keyBytes }
            if bearer != nil { presented.bearer = bearerBytes }
            presented.certificate = certificate
            let named = server.flatMap(directory.tenant(id:))
            switch resolver.resolve(host: tenant, server: named, &presented, in: directory, now: time) {
            case .identified(let identity):
                let methods = identity.tenant.fallback?.methods ?? []
                if let fault = IdentityResolver.fault(of: identity, for: methods) { return .refused(fault) }
                return .tenant(identity.tenant.id)
            case .refused(let fault): return .refused(fault)
            case .unknownKey: return .other
            }
        }
    }
}

@Suite struct ResolverTests {
    @Test("all identities name one tenant, or the request is refused")
    func pairs() throws {
        let directory = try makeDirectory()
        // Every pair of a host, a key, a token and a server name, of every two tenants: the tenant if all agree.
        let hosts = ["a": "a.test", "b": "b.test", "c": "c.test", "*": "api.test"]
        let keys = ["a": "key-a", "b": "key-b", "c": "key-c", "d": "key-d"]
        for (owner, host) in hosts {
            for (keyOwner, key) in keys {
                for tokenOwner in [nil, "a", "d"] {
                    for server in [nil, "a", "b"] as [String?] where owner == "*" || server == nil {
                        let outcome = resolve(
                            directory, host: host, key: key, bearer: tokenOwner.map { token($0) }, server: server)
                        var named = Set([keyOwner])
                        if let tokenOwner { named.insert(tokenOwner) }
                        if let server { named.insert(server) }
                        if owner != "*" { named.insert(owner) }
                        let what = Comment("host \(owner) key \(keyOwner) token \(tokenOwner ?? "-") server \(server ?? "-")")
                        if named.count > 1 {
                            #expect(outcome == .refused(.mismatch), what)
                        } else if named == ["d"], tokenOwner == nil {
                            #expect(outcome == .refused(.required), what)
                        } else {
                            #expect(outcome == .tenant(keyOwner), what)
                        }
                    }
                }
            }
        }
    }

    @Test("of two blocks for one issuer, the one that has the token's key decides")
    func twoBlocks() throws {
        // The first one's keys are fetched from an address, and were not, or are others.
        let first = KeySource(.empty, url: "https://id.test/keys")
        let text = configuration.replacing("jwt idp {", with: "jwt other { issuer idp; keys env:SECRET; algorithms HS256; tenant_claim tenant; }\n jwt idp {")
            .replacing("jwt idp; key", with: "jwt other idp; key")
        let directory = try makeDirectory(text) { $0.name == "other" ? first : nil }
        #expect(resolve(directory, host: "a.test", bearer: token("a")) == .tenant("a"))
        #expect(resolve(directory, host: "a.test", bearer: token("d")) == .refused(.mismatch))
        // Nobody's: it may still come from the address.
        let stranger = token("a").split(separator: ".").dropLast().joined(separator: ".") + ".AAAA"
        #expect(resolve(directory, host: "a.test", bearer: stranger) == .other)
        // Somebody's, and no fetch would make it better.
        #expect(resolve(directory, host: "a.test", bearer: token("a"), at: now + 200) == .refused(.invalidToken(.expired)))
    }

    @Test("a token is verified once and then remembered, until it expires")
    func cache() throws {
        let directory = try makeDirectory()
        let resolver = IdentityResolver()
        let text = token("a")
        for time in [now, now + 50, now + 129] {
            #expect(resolve(directory, resolver, host: "a.test", bearer: text, at: time) == .tenant("a"))
        }
        #expect(resolve(directory, resolver, host: "a.test", bearer: text, at: now + 130) == .refused(.invalidToken(.expired)))
        // Another directory forgets it.
        let other = try makeDirectory()
        #expect(resolve(other, resolver, host: "a.test", bearer: text) == .tenant("a"))
    }

    @Test("a key set that was replaced is used from then on, and what it no longer has is refused")
    func replaced() throws {
        let directory = try makeDirectory()
        let resolver = IdentityResolver()
        let text = token("a")
        #expect(resolve(directory, resolver, host: "a.test", bearer: text) == .tenant("a"))
        let source = directory.issuers[0].keys
        #expect(source.fetched(try KeySet(secret: Array(repeating: 1, count: 32), algorithms: [.hs256]), quietUntil: 0))
        #expect(resolve(directory, resolver, host: "a.test", bearer: text) == .refused(.invalidToken(.signature)))
    }

    @Test("a subject is its authority's: the nearest one's that a tenant trusts with it")
    func subjects() throws {
        let text = """
            listen 443 tls { certificate a b; client_ca c; }
            shared_host api.test;
            upstream app { server 10.0.0.1:80; }
            defaults { upstream app; }
            tenant a { host a.test; client_certificate subject="CN=x" issuer="CN=Root"; }
            tenant b { host b.test; client_certificate subject="CN=x" ca=staff; }
            tenant c { host c.test; client_certificate subject="CN=c" issuer="CN=Nobody"; }
            tenant d { host d.test; client_certificate any; client_certificate subject="CN=d"; }
            """
        let root = Digest256(words: (1, 0, 0, 0)), staff = Digest256(words: (2, 0, 0, 0)), other = Digest256(words: (3, 0, 0, 0))
        let directory = try makeDirectory(text, authorities: [.named("CN=Root"): [root], .file("staff"): [staff]])
        func outcome(_ subject: String, _ authorities: [Digest256], _ host: String = "api.test") -> Outcome {
            let certificate = ClientCertificate(
                fingerprint: Digest256(), subject: Array(subject.utf8), authorities: authorities, expires: .max)
            return resolve(directory, host: host, certificate: certificate)
        }
        #expect(outcome("CN=x", [root]) == .tenant("a"))
        #expect(outcome("CN=x", [other, root]) == .tenant("a"))
        #expect(outcome("CN=x", [staff, root]) == .tenant("b"))
        #expect(outcome("CN=x", [other, staff, root]) == .tenant("b"))
        #expect(outcome("CN=x", [staff, root], "a.test") == .refused(.mismatch))
        #expect(outcome("CN=x", [other]) == .refused(.required))
        #expect(outcome("CN=x", [other], "a.test") == .refused(.invalidCertificate))
        #expect(outcome("CN=x", []) == .refused(.required))
        #expect(outcome("CN=y", [root], "a.test") == .refused(.invalidCertificate))
        // An issuer that was not found vouches for nobody.
        #expect(outcome("CN=c", [root, other], "c.test") == .refused(.invalidCertificate))
        #expect(outcome("CN=y", [other], "d.test") == .tenant("d"))
        #expect(outcome("CN=d", [other]) == .tenant("d"))
        #expect(outcome("CN=x", [root], "d.test") == .refused(.mismatch))
    }

    @Test("the cache of tokens stays within its bounds")
    func bounded() throws {
        let cache = TokenCache()
        var kept: [Weak] = []
        for number in 0..<40_000 {
            let details = TokenDetails(boundTo: nil, fields: [], subject: [], roles: [], scopes: [])
            let made = VerifiedToken(tenant: 0, expires: Int64(number), issuer: 0, details: details)
            cache.insert(SHA256.digest(Array("\(number)".utf8)), made, version: 1)
            kept.append(Weak(details))
        }
        let alive = kept.count { $0.details != nil }
        #expect(alive <= TokenCache.sets * TokenCache.ways)
        #expect(alive > 25_000)
        #expect(cache.find(SHA256.digest(Array("39999".utf8)))?.token.expires == 39_999)
        cache.removeAll()
        #expect(kept.allSatisfy { $0.details == nil })
    }

    @Test("credentials that are good for nobody")
    func invalid() throws {
        let directory = try makeDirectory()
        #expect(resolve(directory, host: "a.test") == .refused(.required))
        #expect(resolve(directory, host: "api.test") == .refused(.required))
        #expect(resolve(directory, host: "api.test", server: "a") == .refused(.required))
        #expect(resolve(directory, host: "a.test", key: "old-a") == .refused(.expiredKey))
        #expect(resolve(directory, host: "api.test", key: "old-a") == .refused(.expiredKey))
        for key in ["", "x", "key-a ", "gw_" + String(repeating: "0", count: 33)] {
            #expect(resolve(directory, host: "a.test", key: key) == .refused(.invalidKey))
            #expect(resolve(directory, host: "api.test", key: key) == .refused(.invalidKey))
        }
        #expect(resolve(directory, host: "a.test", key: "key-a", bearer: token("a", expires: now - 100)) == .refused(.invalidToken(.expired)))
        #expect(resolve(directory, host: "b.test", bearer: token("b")) == .refused(.required), "b names no issuer")
        #expect(resolve(directory, host: "a.test", bearer: token("b")) == .refused(.invalidToken(.tenant)))
        #expect(resolve(directory, host: "a.test", bearer: token("a", more: ",\"tenant\":\"d\"")) == .refused(.invalidToken(.malformed)))
    }
}

private final class Weak {
    weak var details: TokenDetails?
    init(_ details: TokenDetails) { self.details = details }
}
