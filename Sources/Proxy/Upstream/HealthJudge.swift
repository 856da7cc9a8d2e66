import Base
import CLinux
import Client
import Configuration
import HTTP

/// Reads one answer to a health check as it comes, as far as it takes for a verdict.
struct HealthJudge {
    private let settings: HealthCheckSettings
    private var head: HTTPClient.Head?
    private var body: [UInt8] = []

    init(_ settings: HealthCheckSettings) { self.settings = settings }

    /// - Parameter trailers: those behind the body, once it is whole.
    /// - Returns: nil while more is needed.
    mutating func take(_ event: HTTPClient.Event, trailers: [HTTPClient.Field] = []) -> HealthVerdict? {
        switch event {
        case .head(let head):
            self.head = head
            if settings.grpcService != nil { return head.status == 200 ? nil : .failed("it answers \(head.status)") }
            guard settings.statuses.contains(head.status) else { return .failed("it answers \(head.status)") }
            return settings.body == nil ? .healthy : nil
        case .part(let bytes):
            unsafe body.append(contentsOf: bytes.prefix(Limits.healthBodyMax - body.count))
            if settings.grpcService != nil { return body.count < Limits.healthBodyMax ? nil : .failed("its answer has no end") }
            if hasText { return .healthy }
            return body.count < Limits.healthBodyMax ? nil : .failed("its answer is not what `body` says")
        case .end:
            if settings.grpcService != nil { return callEnded(trailers) }
            return hasText ? .healthy : .failed("its answer is not what `body` says")
        case .failed(let failure): return HealthVerdict(failure)
        case .room: return nil
        }
    }

    private var hasText: Bool {
        guard let text = settings.body else { return true }
        return unsafe body.withUnsafeBytes { body in
            var text = text
            // Both are lent for the time of the search.
            return text.withUTF8 { unsafe memmem(body.baseAddress, body.count, $0.baseAddress, $0.count) != nil }
        }
    }

    private func callEnded(_ trailers: [HTTPClient.Field]) -> HealthVerdict {
        let status = (trailers.last { $0.name == "grpc-status" } ?? head?.fields.last { $0.name == "grpc-status" })?.value
        guard status == "0" else { return .failed(status.map { "it answers grpc-status \($0)" } ?? "its answer has no grpc-status") }
        switch GRPCHealth.answer(in: body) {
        case .serving?: return .healthy
        case let status?: return .failed("it says \(status.name)")
        case nil: return .failed("its answer is no health check's")
        }
    }
}

extension HealthCheckSettings {
    /// - Parameter label: of the server.
    func request(to label: String) -> HTTPClient.Request {
        guard let service = grpcService else {
            return HTTPClient.Request("GET", path, authority: host ?? label, userAgent: "gateway-health")
        }
        return HTTPClient.Request(
            "POST", GRPCHealth.path, authority: host ?? label, userAgent: "gateway-health",
            fields: [HTTPClient.Field("Content-Type", "application/grpc")], body: .bytes(GRPCHealth.question(about: service)))
    }
}
