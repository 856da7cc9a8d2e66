import Base
import Configuration

/// What browsers are told of who may read answers (the Fetch standard, "CORS protocol"), as lines that are ready. A handle to a
/// record of its `Directory`.
public struct CORS {
    struct Record {
        /// None: every origin.
        var origins: List<Origin>
        var forAll: Grant
        /// A line for what differs by origin.
        var forNone: Grant
    }

    struct Origin {
        var name: UnsafeRawBufferPointer
        var grant: Grant
    }

    /// Lines that an answer gets, each with its line end.
    public struct Grant: BitwiseCopyable {
        /// Of an answer that a page wants to read.
        public let answer: UnsafeRawBufferPointer
        /// Of the answer to a preflight.
        public let preflight: UnsafeRawBufferPointer
        /// It depends on who asks, and so `Vary` has `Origin` in it.
        public let variesByOrigin: Bool
    }

    let record: UnsafePointer<Record>

    /// What an origin is granted, as its `Origin` field names it; nil where a request has none.
    public func grant(_ origin: UnsafeRawBufferPointer?) -> Grant {
        let origins = record.pointee.origins
        if origins.count == 0 { return record.pointee.forAll }
        guard let origin else { return record.pointee.forNone }
        for i in 0..<origins.count where origins[i].name.elementsEqual(origin) { return origins[i].grant }
        return record.pointee.forNone
    }

    static func make(_ settings: CORSSettings, in memory: RecordMemory) -> UnsafePointer<Record> {
        func lines(_ lines: [(String, String)]) -> UnsafeRawBufferPointer {
            memory.keep(lines.flatMap { $0.1.isEmpty ? [] : Array("\($0.0): \($0.1)\r\n".utf8) })
        }
        func grant(_ origin: String) -> Grant {
            let who = [
                ("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", settings.allowsCredentials ? "true" : ""),
            ]
            let answer = who + [("Access-Control-Expose-Headers", settings.exposed.joined(separator: ", "))]
            let preflight = who + [
                ("Access-Control-Allow-Methods", settings.methods.joined(separator: ", ")),
                ("Access-Control-Allow-Headers", settings.headers.joined(separator: ", ")),
                ("Access-Control-Max-Age", settings.maxAge.map { "\($0 / 1_000_000_000)" } ?? ""),
            ]
            return Grant(answer: lines(answer), preflight: lines(preflight), variesByOrigin: !settings.isForAll)
        }
        let nothing = Grant(answer: lines([]), preflight: lines([]), variesByOrigin: true)
        let origins = settings.isForAll ? [] : settings.origins.map { Origin(name: memory.keep(Array($0.utf8)), grant: grant($0)) }
        let record = Record(origins: memory.list(origins), forAll: settings.isForAll ? grant("*") : nothing, forNone: nothing)
        return UnsafePointer(memory.keep([record]))
    }
}
