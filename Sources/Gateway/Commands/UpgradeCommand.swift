import Base
import Configuration

/// `gateway upgrade`: asks the running gateway to let the binary at its path take over, and waits.
enum UpgradeCommand {
    private struct Answer {
        var pid: UInt64 = 0
        var before: UInt64 = 0
        var errors: [String]?
        var detail: String?

        init(json body: [UInt8]) throws(JSONReader.Fault) {
            try JSONReader.read(body) { json throws(JSONReader.Fault) in
                try json.object { name, json throws(JSONReader.Fault) in
                    switch name {
                    case "pid": pid = try json.unsigned()
                    case "before": before = try json.unsigned()
                    case "errors": errors = try json.texts()
                    case "detail": detail = try json.string().text
                    default: try json.skip()
                    }
                }
            }
        }
    }

    static func run(_ arguments: Arguments) throws -> Int32 {
        let client = try AdminClient(configuration: arguments.configurationPath(), signal: "USR2")
        let (status, body) = try client.request("POST", "/v1/upgrade", within: Limits.upgradeCommandNanoseconds)
        let answer = try? Answer(json: body)
        if status == 200, let answer {
            Console.out("process \(answer.pid) has taken over from process \(answer.before)")
            return 0
        }
        client.tellRefusal(status, answer?.errors, answer?.detail)
        if status == 422 { Console.error("gateway: not upgraded; the process that runs goes on") }
        return 1
    }
}
