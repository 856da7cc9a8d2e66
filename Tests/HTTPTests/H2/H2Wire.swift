import Base

@testable import HTTP

struct H2Told: Equatable {
    var events: [String] = []
    /// The texts of heads.
    var heads: [String] = []
    var fault: H2Fault?
    /// Frames that were written: `type/flags/stream/payload`, without what every connection begins with.
    var frames: [String] = []
}

/// Frames by hand, and what an end of a connection makes of them.
protocol H2Wire {}

extension H2Wire {
    static var preface: [UInt8] { Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) }

    static func frame(_ type: UInt8, _ flags: UInt8 = 0, _ stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF), type, flags] + word(stream) + payload
    }

    static func word(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
    static func settings(_ pairs: (UInt16, UInt32)...) -> [UInt8] {
        frame(4, 0, 0, pairs.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 0xFF)] + word($0.1) })
    }
    static var start: [UInt8] { preface + settings() }

    static func fields(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { name, value in
            [UInt8(0), UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
    }

    static var request: [(String, String)] { [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a.test")] }
    static func headers(_ stream: UInt32, _ more: [(String, String)] = [], flags: UInt8 = 0x5) -> [UInt8] {
        frame(1, flags, stream, fields(request + more))
    }
    static func data(_ stream: UInt32, _ text: String, flags: UInt8 = 0) -> [UInt8] { frame(0, flags, stream, Array(text.utf8)) }

    // MARK: A peer

    /// All that comes of these bytes, in pieces of that size.
    /// - Parameters:
    ///   - first: what a client's end asks first; without it, it is a server's.
    ///   - then: what is done in the end.
    static func told(
        _ bytes: [UInt8], piece: Int = .max, limits: H2Connection.Limits = .init(), asking first: ((inout H2Connection) -> Void)? = nil,
        then: (inout H2Connection) -> Void = { _ in }
    ) -> H2Told {
        var connection = first == nil ? H2Connection(limits) : H2Connection(client: limits)
        first?(&connection)
        connection.clearOutput()
        var told = H2Told()
        var space = [UInt8](repeating: 0, count: H2Connection.roomSize(listSize: limits.listSize))
        space.withUnsafeMutableBytes { space in
            var room = ByteWriter(space)
            var (kept, fed): ([UInt8], Int) = ([], 0)
            feeding: while fed < bytes.count {
                let count = min(piece, bytes.count - fed)
                kept += bytes[fed..<(fed + count)]
                fed += count
                var at = 0
                do throws(H2Fault) {
                    try kept.withUnsafeBufferPointer { region throws(H2Fault) in
                        while true {
                            let event = try connection.next(UnsafeRawBufferPointer(region), at: &at, room: &room, now: 1)
                            if event == .more { break }
                            note(event, room.written, UnsafeRawBufferPointer(region), &told)
                            if first == nil, case .head(let stream, let text, _, _) = event, let length = announced(room.written[text]) {
                                connection.expect(length, on: stream)
                            }
                            if case .data(let stream, let range, _) = event { connection.passedOn(range.count, of: stream) }
                        }
                    }
                } catch {
                    told.fault = error
                    break feeding
                }
                kept.removeFirst(at)
            }
        }
        then(&connection)
        var output = connection.output[...]
        while output.count >= 9 {
            let length = Int(output[output.startIndex]) << 16 | Int(output[output.startIndex + 1]) << 8 | Int(output[output.startIndex + 2])
            let head = Array(output.prefix(9))
            let payload = output.dropFirst(9).prefix(length)
            told.frames.append("\(head[3])/\(head[4])/\(head[8])/" + payload.map { String($0) }.joined(separator: " "))
            output = output.dropFirst(9 + length)
        }
        return told
    }

    static func announced(_ text: UnsafeRawBufferPointer) -> UInt64? {
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\r\n")
        return lines.first { $0.hasPrefix("content-length: ") }.flatMap { UInt64($0.dropFirst(16)) }
    }

    static func note(_ event: H2Connection.Event, _ room: UnsafeRawBufferPointer, _ region: UnsafeRawBufferPointer, _ told: inout H2Told) {
        func text(_ range: ByteRange) -> String { String(decoding: room[range], as: UTF8.self) }
        switch event {
        case .data(let stream, let range, let isLast):
            let piece = String(decoding: UnsafeRawBufferPointer(rebasing: region[range]), as: UTF8.self)
            // Pieces of one body are one, however they came.
            if let last = told.events.last, last.hasPrefix("data \(stream) "), last.hasSuffix("…") {
                told.events[told.events.count - 1] = last.dropLast() + piece + (isLast ? "." : "…")
            } else {
                told.events.append("data \(stream) \(piece)" + (isLast ? "." : "…"))
            }
        case .head(let stream, let range, let isLast, let isSecret):
            told.heads.append(text(range))
            told.events.append("head \(stream) \(text(range).count)" + (isSecret ? " secret" : "") + (isLast ? "." : "…"))
        case .trailers(let stream, let range, let areSecret):
            told.events.append("trailers \(stream) \(text(range))" + (areSecret ? "secret" : ""))
        default: told.events.append("\(event)")
        }
    }
}
