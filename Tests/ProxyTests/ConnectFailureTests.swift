import Glibc
import Testing

@testable import Proxy

@Suite struct ConnectFailureTests {
    @Test(
        "each is the same again as a number, and says what it is",
        arguments: [
            (ConnectFailure.system(ECONNREFUSED), "it can't be connected to: Connection refused"),
            (.certificate(10), "its certificate is refused: certificate has expired"),
            (.handshake(0x0A00_010B), "its TLS handshake fails: "),
            (.handshake(0), "its TLS handshake fails: no valid TLS"), (.cut, "it ends the connection in the TLS handshake"),
            (.slow, "its TLS handshake takes too long"), (.protocols, "it speaks none of the upstream's protocols (ALPN)"),
            (.unasked, "it speaks before it is asked"),
        ])
    func numbers(_ failure: ConnectFailure, _ words: String) {
        #expect(ConnectFailure(failure.number) == failure)
        #expect(failure.description.hasPrefix(words))
    }

    @Test("silence is told from a no")
    func silence() {
        #expect(ConnectFailure.slow.isSilent && ConnectFailure.system(ETIMEDOUT).isSilent)
        #expect(!ConnectFailure.cut.isSilent && !ConnectFailure.certificate(10).isSilent)
    }
}
