import Base
import Configuration

enum ReloadCommand {
    private struct Answer {
        var added: [String] = []
        var removed: [String] = []
        var changed: [String] = []
        var settings: [String] = []
        var warnings: [String] = []
        var errors: [String]?
        var detail: String?

        init() {}

        init(json body: [UInt8]) throws(JSONReader.Fault) {
            try JSONReader.read(body) { json throws(JSONReader.Fault) in
                try json.object { name, json throws(JSONReader.Fault) in
                    switch name {
                    case "added": added = try json.texts()
                    case "removed": removed = try json.texts()
                    case "changed": changed = try json.texts()
                    case "settings": settings = try json.texts()
                    case "warnings": warnings = try json.texts()
                    case "errors": errors = try json.texts()
                    case "detail": detail = try json.string().text
                    default: try json.skip()
                    }
                }
            }
        }
    }

    static func run(_ arguments: Arguments) throws -> Int32 {
        let client = try AdminClient(configuration: arguments.configurationPath())
        let (status, body) = try client.request("POST", "/v1/reload", within: Limits.reloadCommandNanoseconds)
        let answer = (try? Answer(json: body)) ?? Answer()
        guard status == 200 else {
            client.tellRefusal(status, answer.errors, answer.detail)
            if status == 422 { Console.error("gateway: rejected; the old configuration goes on") }
            return 1
        }
        for (name, ids) in [("added", answer.added), ("removed", answer.removed), ("changed", answer.changed)] {
            let shown = ids.prefix(20).joined(separator: " ") + (ids.count > 20 ? " ... and \(ids.count - 20) more" : "")
            Console.out("\(name): \(ids.count)\(ids.isEmpty ? "" : "  " + shown)")
        }
        for line in answer.settings { Console.out(line) }
        for warning in answer.warnings { Console.error(warning) }
        return 0
    }
}

extension JSONReader {
    mutating func texts() throws(Fault) -> [String] {
        var texts: [String] = []
        try array { json throws(Fault) in texts.append(try json.string().text) }
        return texts
    }
}
