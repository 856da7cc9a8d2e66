import Testing

@testable import Configuration

@Suite struct WebAddressTests {
    @Test(
        "a URL is taken apart",
        arguments: [
            ("http://policy", "policy 80 policy / false"), ("https://policy", "policy 443 policy / true"),
            ("HTTPS://Policy:8443/a?b", "Policy 8443 Policy:8443 /a?b true"), ("http://[::1]:9/x", "::1 9 [::1]:9 /x false"),
            ("http://[::1]?q", "::1 80 [::1] /?q false"), ("http://127.0.0.1:65535/", "127.0.0.1 65535 127.0.0.1:65535 / false"),
            ("http://a/b#c", "a 80 a /b false"),
        ])
    func parts(url: String, expected: String) throws {
        let address = try #require(WebAddress(url))
        let told = "\(address.host) \(address.port) \(address.authority) \(address.target) \(address.isSecure)"
        #expect(told == expected)
    }

    @Test(
        "nobody is sent a password, and nothing else than a port is one",
        arguments: [
            "ftp://a/", "http://", "http:///x", "http://u:p@a/", "http://a:/", "http://a:0/", "http://a:+8/", "http://a:65536/", "http://:80/",
            "policy:80",
        ])
    func refused(url: String) { #expect(WebAddress(url) == nil) }
}
