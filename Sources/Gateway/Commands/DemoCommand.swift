import Admin
import Base
import Configuration
import Crypto
import Glibc
import Net
import Proxy

/// One command from a checkout to a tenant's answer through TLS.
enum DemoCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        let path = try arguments.configurationPath()
        let loaded = ConfigurationLoader.load(path, from: .disk)
        guard let settings = loaded.settings else { throw Command.Failure(text: loaded.renderAll()) }
        try makeCertificates(settings)
        try Signals.block()
        let started = try startUpstreams(settings)
        if !started.isEmpty { Console.out("demo upstream on \(started.joined(separator: ", "))") }
        printExamples(settings)
        return RunCommand.serve(path)
    }

    // MARK: Certificates

    private static func makeCertificates(_ settings: Settings) throws {
        for listener in settings.hot.listeners {
            for wanted in listener.tls?.certificates ?? [] {
                if access(wanted.chain, F_OK) == 0 || access(wanted.key, F_OK) == 0 { continue }
                // `acme.example.test.crt` is for acme.example.test and everything below it, and for the tenants' hosts there.
                let file = wanted.chain.split(separator: "/").last.map(String.init) ?? wanted.chain
                let base = file.hasSuffix(".crt") || file.hasSuffix(".pem") ? String(file.dropLast(4)) : file
                let hosts = settings.hot.tenants.flatMap(\.hosts).filter { $0 == base || $0.hasSuffix("." + base) }
                var names = [base, "*." + base]
                for host in hosts where !names.contains(host) { names.append(host) }
                do {
                    try DevelopmentCertificate.write(names: names, chain: wanted.chain, key: wanted.key)
                } catch {
                    throw Command.Failure(text: "gateway: can't make a development certificate: \(error)")
                }
                Console.out("made a development certificate: \(wanted.chain) (\(names.joined(separator: ", ")))")
            }
        }
    }

    // MARK: Upstream

    /// On every loopback server that the configuration names and nobody serves yet. The addresses.
    private static func startUpstreams(_ settings: Settings) throws(SystemError) -> [String] {
        var sockets: [(fd: Int32, label: String)] = []
        for upstream in settings.hot.upstreams {
            for server in upstream.servers where server.host == "127.0.0.1" || server.host == "::1" {
                guard let address = SocketAddress(server.host, port: server.port),
                    let fd = try? Socket.listen(address, sharesPort: false)
                else { continue }
                sockets.append((fd, Endpoint(host: server.host, port: server.port).label))
            }
        }
        if sockets.isEmpty { return [] }
        let listening = sockets
        try Thread("demo-upstream") {
            do throws(SystemError) { try serve(listening) } catch { Console.error("gateway: demo upstream: \(error)") }
        }.detach()
        return sockets.map(\.label)
    }

    private static func serve(_ sockets: [(fd: Int32, label: String)]) throws(SystemError) {
        let loop = try EventLoop()
        var servers: [AdminServer] = []
        for socket in sockets {
            let server = AdminServer(loop: loop) { request, reply in reply(answer(request, socket.label)) }
            server.listen(on: socket.fd)
            servers.append(server)
        }
        withExtendedLifetime(servers) { loop.run() }
    }

    private static func answer(_ request: AdminRequest, _ server: String) -> AdminResponse {
        if request.path == "/healthz" { return .text("ok\n") }
        func field(_ name: String) -> String { request.fields.first { $0.name.asciiLowercased == name }?.value ?? "-" }
        return .text(
            """
            Hello, tenant \(field("x-tenant-id"))! (plan \(field("x-tenant-plan")), namespace \(field("x-tenant-namespace")))
            You asked for \(request.method) \(request.path) on \(field("host")) from \(field("x-real-ip")).
            Answered by the demo upstream \(server), request \(field("x-request-id")).

            """)
    }

    private static func printExamples(_ settings: Settings) {
        guard let listener = settings.hot.listeners.first(where: { $0.tls != nil }), let tls = listener.tls,
            let certificate = tls.certificates.first
        else { return }
        let host = listener.endpoint.host ?? "127.0.0.1"
        let address = host.contains(":") ? "[\(host)]" : host
        let port = listener.endpoint.port
        Console.out("try:")
        for tenant in settings.hot.tenants {
            guard let host = tenant.hosts.first(where: { !$0.hasPrefix("*") }) else { continue }
            // The last certificate whose name the host ends in is the one that it gets.
            let own = tls.certificates.last { wanted in
                let file = wanted.chain.split(separator: "/").last.map { String($0.dropLast(4)) } ?? ""
                return host == file || host.hasSuffix("." + file)
            }
            Console.out("  curl --cacert \((own ?? certificate).chain) --resolve \(host):\(port):\(address) https://\(host):\(port)/")
        }
    }
}
