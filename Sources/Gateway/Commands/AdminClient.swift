import Base
import Configuration
import Glibc
import Net

/// Speaks to the running gateway's admin listener, found through its configuration. Waits; for commands only.
struct AdminClient {
    private let endpoint: Endpoint
    private let token: [UInt8]

    /// A configuration with errors in it still tells where its gateway is.
    init(configuration path: String) throws {
        let loaded = ConfigurationLoader.load(path, from: .disk)
        let settings = loaded.settings ?? loaded.partial
        guard let endpoint = settings.hot.admin else {
            throw Command.Failure(text: "gateway: \(path) has no `admin` listener to ask; send the process a HUP signal instead")
        }
        let tokenPath = StateFolder(path: settings.cold.state).tokenPath
        guard let token = StateFolder.readToken(tokenPath) else {
            throw Command.Failure(text: "gateway: can't read \(tokenPath): \(String(cString: strerror(errno))); is the gateway running?")
        }
        (self.endpoint, self.token) = (endpoint, token)
    }

    /// The status and the body.
    func request(_ method: String, _ path: String) throws -> (Int, [UInt8]) {
        func fail(_ reason: String) -> Command.Failure {
            Command.Failure(text: "gateway: can't ask the gateway at \(endpoint.label): \(reason)")
        }
        let host = endpoint.host ?? "127.0.0.1"
        guard let address = SocketAddress(host, port: endpoint.port) else { throw fail("no address") }
        let fd: Int32
        do { fd = try Socket.connectAndWait(address, seconds: 5) } catch { throw fail(error.description) }
        defer { close(fd) }
        let head = "\(method) \(path) HTTP/1.0\r\nHost: \(host)\r\nContent-Length: 0\r\nAuthorization: Bearer "
        let request = Array(head.utf8) + token + Array("\r\n\r\n".utf8)
        guard send(fd, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw fail(String(cString: strerror(errno)))
        }
        var answer: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(fd, &room, room.count, 0)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw fail(String(cString: strerror(errno)))
            }
            answer += room[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        let words = text.split(separator: " ", maxSplits: 2)
        guard words.count == 3, let status = Int(words[1]), let end = answer.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw fail("no valid answer")
        }
        return (status, Array(answer[end.upperBound...]))
    }
}
