import Base
import Configuration
import FoundationEssentials

enum ReloadCommand {
    private struct Answer: Decodable {
        var added: [String]?
        var removed: [String]?
        var changed: [String]?
        var warnings: [String]?
        var errors: [String]?
        var detail: String?
    }

    static func run(_ arguments: Arguments) throws -> Int32 {
        let client = try AdminClient(configuration: arguments.configurationPath())
        let (status, body) = try client.request("POST", "/v1/reload", within: Limits.reloadCommandNanoseconds)
        let answer = (try? JSONDecoder().decode(Answer.self, from: Data(body))) ?? Answer()
        guard status == 200 else {
            for error in answer.errors ?? [answer.detail ?? "the gateway answers \(status)"] { Console.error(error) }
            if status == 422 { Console.error("gateway: rejected; the old configuration goes on") }
            return 1
        }
        for (name, ids) in [("added", answer.added), ("removed", answer.removed), ("changed", answer.changed)] {
            let ids = ids ?? []
            let shown = ids.prefix(20).joined(separator: " ") + (ids.count > 20 ? " ... and \(ids.count - 20) more" : "")
            Console.out("\(name): \(ids.count)\(ids.isEmpty ? "" : "  " + shown)")
        }
        for warning in answer.warnings ?? [] { Console.error(warning) }
        return 0
    }
}
