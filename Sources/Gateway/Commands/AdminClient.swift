import Base
import Client
import Configuration
import Glibc
import Net
import Proxy

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
    func request(_ method: String, _ path: String, within time: UInt64 = Limits.commandNanoseconds) throws -> (Int, [UInt8]) {
        // Where it listens on every address, it does so on this one.
        let asked = Endpoint(host: endpoint.host ?? "127.0.0.1", port: endpoint.port)
        let request = HTTPClient.Request(
            method, path, authority: asked.label,
            fields: [HTTPClient.Field("Authorization", "Bearer " + String(decoding: token, as: UTF8.self))])
        do throws(ClientFailure) {
            let answer = try HTTPClient.wait(
                for: request, at: Destination(host: asked.host ?? "", port: asked.port), by: Clock.monotonic() + time,
                limits: AnswerLimits(body: UInt64(Limits.commandAnswerMax)), resolver: Resolver())
            return (answer.status, answer.body)
        } catch {
            throw Command.Failure(text: "gateway: can't ask the gateway at \(endpoint.label): \(error)")
        }
    }
}
