import Base

/// What one side of a connection has said of itself (RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1).
public struct H2Settings: Equatable, Sendable {
    public var tableSize = 4096
    public var allowsPush = true
    /// Streams at a time that the other side may open.
    public var streamsMax = Int.max
    /// Of a new stream.
    public var window = 65535
    public var frameSizeMax = H2Frame.sizeMax
    /// As section 6.5.2 counts it: 32 bytes a field beside its own.
    public var listSizeMax = Int.max
    /// Extended CONNECT is understood.
    public var allowsConnect = false
    /// The priorities of RFC 7540 mean nothing.
    public var ignoresOldPriorities = false

    public init() {}

    private enum Name: UInt16 {
        case tableSize = 1, allowsPush, streamsMax, window, frameSizeMax, listSizeMax
        case allowsConnect = 8, ignoresOldPriorities
    }

    /// Takes over what the payload of a SETTINGS frame says.
    /// - Precondition: its size is a multiple of six.
    mutating func take(_ payload: UnsafeRawBufferPointer) throws(H2Fault) {
        precondition(payload.count % 6 == 0)
        for start in stride(from: 0, to: payload.count, by: 6) {
            let value = unsafe payload.word(at: start + 2)
            let number = unsafe UInt16(payload[start]) << 8 | UInt16(payload[start + 1])
            // Unknown ones are ignored.
            guard let name = Name(rawValue: number) else { continue }
            switch name {
            case .tableSize: tableSize = Int(value)
            case .allowsPush:
                guard value <= 1 else { throw H2Fault(.protocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1") }
                allowsPush = value == 1
            case .streamsMax: streamsMax = Int(value)
            case .window:
                guard value <= 0x7FFF_FFFF else { throw H2Fault(.flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is too large") }
                window = Int(value)
            case .frameSizeMax:
                guard (16384...16_777_215).contains(value) else {
                    throw H2Fault(.protocolError, "SETTINGS_MAX_FRAME_SIZE is out of its bounds")
                }
                frameSizeMax = Int(value)
            case .listSizeMax: listSizeMax = Int(value)
            case .allowsConnect:
                guard value <= 1, !(allowsConnect && value == 0) else {
                    throw H2Fault(.protocolError, "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1, or was taken back")
                }
                allowsConnect = value == 1
            case .ignoresOldPriorities:
                guard value <= 1 else { throw H2Fault(.protocolError, "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1") }
                ignoresOldPriorities = value == 1
            }
        }
    }

    /// Of a frame's payload that says all of it.
    var size: Int {
        var size = 0
        forEachSaid { _, _ in size += 6 }
        return size
    }

    /// What differs from what holds before anybody says anything.
    func forEachSaid(_ body: (_ name: UInt16, _ value: UInt32) -> Void) {
        let start = H2Settings()
        func say(_ name: Name, _ value: Int, unless other: Int) { if value != other { body(name.rawValue, UInt32(clamping: value)) } }
        say(.tableSize, tableSize, unless: start.tableSize)
        say(.allowsPush, allowsPush ? 1 : 0, unless: 1)
        say(.streamsMax, streamsMax, unless: start.streamsMax)
        say(.window, window, unless: start.window)
        say(.frameSizeMax, frameSizeMax, unless: start.frameSizeMax)
        say(.listSizeMax, listSizeMax, unless: start.listSizeMax)
        say(.allowsConnect, allowsConnect ? 1 : 0, unless: 0)
        say(.ignoresOldPriorities, ignoresOldPriorities ? 1 : 0, unless: 0)
    }
}
