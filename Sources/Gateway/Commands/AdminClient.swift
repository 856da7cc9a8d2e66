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
    /// The folder under which it is looked for.
    let state: String
    /// Where it is asked.
    var place: String { endpoint.label }

    /// What to do where the state folder may have been moved in the configuration.
    static let moved =
        "if one runs with another `state`, it keeps that until its next start: "
        + "send it a HUP signal to reload (`systemctl reload`, `kill -HUP PID`), or start it anew"

    /// A configuration with errors in it still tells where its gateway is.
    /// - Parameter signal: by which the same is asked for without an admin listener.
    init(configuration path: String, signal: String = "HUP") throws {
        let loaded = ConfigurationLoader.load(path, from: .disk(withPipe: path))
        let settings = loaded.settings ?? loaded.partial
        state = settings.cold.state
        let running = RunningGateway.find(state: state)
        // What runs may have another address than what is going to be loaded.
        guard let endpoint = running?.admin.flatMap(Endpoint.init(label:)) ?? settings.hot.admin else {
            let whom = running.map { "`kill -\(signal) \($0.pid)`" } ?? "a \(signal) signal"
            throw Command.Failure(text: "gateway: there is no `admin` listener to ask; send it \(whom)")
        }
        do throws(SystemError) {
            (self.endpoint, token) = (endpoint, try StateFolder.readToken(StateFolder(path: state).tokenPath))
        } catch {
            throw Command.Failure(text: "gateway: no gateway runs with the state \(state) (\(error)); \(Self.moved)")
        }
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

    /// Tells why the gateway has not done what it was asked for.
    /// - Parameters:
    ///   - errors: its own words; without them a problem's `detail` tells.
    func tellRefusal(_ status: Int, _ errors: [String]?, _ detail: String?) {
        if status == 401 { Console.error("gateway: \(place) does not know the token of \(state): \(Self.moved)") }
        let lines = errors ?? []
        for line in lines.isEmpty ? [detail ?? "the gateway answers \(status)"] : lines { Console.error(line) }
    }
}
