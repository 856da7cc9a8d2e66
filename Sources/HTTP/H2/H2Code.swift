/// Why a stream or a connection ends (RFC 9113 section 7).
public enum H2Code: UInt32, Sendable {
    case noError = 0x0
    case protocolError, internalError, flowControlError, settingsTimeout, streamClosed, frameSizeError, refusedStream, cancel
    case compressionError, connectError, enhanceYourCalm, inadequateSecurity, http11Required

    /// As RFC 9113 spells it.
    public var name: StaticString {
        switch self {
        case .noError: "NO_ERROR"
        case .protocolError: "PROTOCOL_ERROR"
        case .internalError: "INTERNAL_ERROR"
        case .flowControlError: "FLOW_CONTROL_ERROR"
        case .settingsTimeout: "SETTINGS_TIMEOUT"
        case .streamClosed: "STREAM_CLOSED"
        case .frameSizeError: "FRAME_SIZE_ERROR"
        case .refusedStream: "REFUSED_STREAM"
        case .cancel: "CANCEL"
        case .compressionError: "COMPRESSION_ERROR"
        case .connectError: "CONNECT_ERROR"
        case .enhanceYourCalm: "ENHANCE_YOUR_CALM"
        case .inadequateSecurity: "INADEQUATE_SECURITY"
        case .http11Required: "HTTP_1_1_REQUIRED"
        }
    }

    /// An unknown code is no more than that (section 7).
    init(peer value: UInt32) { self = H2Code(rawValue: value) ?? .internalError }
}

/// The connection ends: GOAWAY with the code, and nothing of the peer is read any more. A stream's error is not the
/// connection's; it is an event.
public struct H2Fault: Error, Equatable, Sendable {
    public var code: H2Code
    /// For the log and for GOAWAY's debug data.
    public var reason: StaticString
    /// The peer does what only costs: counted by this name (`gateway_h2_abuse_total{kind}`).
    public var abuse: H2Abuse?

    public init(_ code: H2Code, _ reason: StaticString, abuse: H2Abuse? = nil) {
        (self.code, self.reason, self.abuse) = (code, reason, abuse)
    }

    public static func == (left: H2Fault, right: H2Fault) -> Bool { left.code == right.code && left.abuse == right.abuse }
}

/// What peers do to cost others something, each with its bound (`AbuseBudget`).
public enum H2Abuse: UInt8, Sendable, CaseIterable {
    /// Streams reset, by the peer or because of what it did.
    case resets
    /// A field block in many pieces, or one that expands.
    case headers
    /// SETTINGS and PING, each of which wants an answer.
    case control
    /// PRIORITY and frames of unknown types.
    case priority
    /// DATA without data, or nearly.
    case emptyData = 4
    /// WINDOW_UPDATE of next to nothing.
    case windowUpdates

    public var name: StaticString {
        switch self {
        case .resets: "resets"
        case .headers: "headers"
        case .control: "control"
        case .priority: "priority"
        case .emptyData: "empty_data"
        case .windowUpdates: "window_updates"
        }
    }
}
