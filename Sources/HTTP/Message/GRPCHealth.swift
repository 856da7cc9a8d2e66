/// The gRPC health checking protocol (`grpc.health.v1.Health/Check`): two messages of a field each, written and read by hand.
public enum GRPCHealth {
    public static let path = "/grpc.health.v1.Health/Check"

    /// What a server says of a service.
    public enum Status: UInt64, Sendable {
        case unknown, serving, notServing, serviceUnknown

        public var name: String {
            switch self {
            case .unknown: "UNKNOWN"
            case .serving: "SERVING"
            case .notServing: "NOT_SERVING"
            case .serviceUnknown: "SERVICE_UNKNOWN"
            }
        }
    }

    /// The question about that service, or about the server as a whole: `HealthCheckRequest { string service = 1; }` as the
    /// one message of a body.
    public static func question(about service: String) -> [UInt8] {
        var message: [UInt8] = []
        if !service.isEmpty {
            message.append(0x0A)
            append(varint: UInt64(service.utf8.count), to: &message)
            message += Array(service.utf8)
        }
        let size = UInt32(message.count)
        return [0] + (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * $0)) } + message
    }

    /// What a body says: `HealthCheckResponse { ServingStatus status = 1; }`. Nil where that is no such message, or not all
    /// of it; a status that has no name here is unknown.
    public static func answer(in body: [UInt8]) -> Status? {
        guard body.count >= 5, body[0] == 0 else { return nil }
        let size = body[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard body.count == 5 + size else { return nil }
        var at = 5
        var status: UInt64 = 0
        while at < body.count {
            guard let tag = varint(body, &at) else { return nil }
            switch tag & 7 {
            case 0:
                guard let value = varint(body, &at) else { return nil }
                if tag >> 3 == 1 { status = value }
            case 1: at += 8
            case 2:
                guard let count = varint(body, &at), count <= UInt64(body.count - at) else { return nil }
                at += Int(count)
            case 5: at += 4
            default: return nil
            }
            if at > body.count { return nil }
        }
        return Status(rawValue: status) ?? .unknown
    }

    private static func append(varint value: UInt64, to out: inout [UInt8]) {
        var rest = value
        while rest > 0x7F {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }

    private static func varint(_ bytes: [UInt8], _ at: inout Int) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard at < bytes.count else { return nil }
            let byte = bytes[at]
            at += 1
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
