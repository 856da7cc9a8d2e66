import Base

extension AdminHandler {
    /// Nil where the request carries the token; the refusal otherwise (RFC 6750 section 3).
    func refuse(_ request: AdminRequest) -> AdminResponse? {
        let credentials = request.values("authorization")
        if credentials.isEmpty {
            return problem(.credentialsRequired, fields: [("WWW-Authenticate", "Bearer realm=\"gateway admin\"")])
        }
        // Of two, it would be a guess which one counts.
        if credentials.count == 1, let token = Self.bearerToken(credentials[0]) {
            let expected = services.token()
            if !expected.isEmpty, Self.isEqual(token, expected) { return nil }
        }
        return problem(
            .credentialsInvalid,
            fields: [("WWW-Authenticate", "Bearer realm=\"gateway admin\", error=\"invalid_token\"")])
    }

    /// What follows the scheme's name and its spaces.
    private static func bearerToken(_ field: String) -> [UInt8]? {
        let bytes = Array(field.utf8)
        let scheme = bytes.prefix { $0 != ASCII.space }
        guard scheme.withUnsafeBytes({ ASCII.equalsIgnoringCase($0, "bearer") }) else { return nil }
        let token = bytes[scheme.endIndex...].drop { $0 == ASCII.space }
        return token.isEmpty || token.contains(ASCII.space) ? nil : Array(token)
    }

    /// Takes as long for a token that is wrong at its first byte as for one that is wrong at its last. Only the length
    /// of what the client sent can be read off the time.
    private static func isEqual(_ token: [UInt8], _ expected: [UInt8]) -> Bool {
        var difference: UInt8 = token.count == expected.count ? 0 : 1
        for i in 0..<token.count { difference |= token[i] ^ expected[i % expected.count] }
        return difference == 0
    }
}
