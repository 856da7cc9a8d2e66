import Configuration
import Foundation
import Testing

/// A golden case: a file, a line `----`, and what is said about it, or the settings where nothing is. `==== PATH`
/// begins a further file; `#!unsupported` in the first line lets directives stand that nothing acts on yet.
/// `UPDATE_CASES=1 swift test` writes the second part anew: read the difference before it is committed.
struct GoldenCase: CustomTestStringConvertible {
    let url: URL
    let input: String
    let expected: String

    init(_ url: URL) throws {
        self.url = url
        let text = try String(contentsOf: url, encoding: .utf8)
        let parts = text.components(separatedBy: "\n----\n")
        input = parts[0]
        expected = parts.dropFirst().joined(separator: "\n----\n").trimmingCharacters(in: .newlines)
    }

    var testDescription: String { url.lastPathComponent }

    static let all: [GoldenCase] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: casesFolder.path)) ?? []
        return names.filter { $0.hasSuffix(".case") }.sorted().compactMap {
            try? GoldenCase(casesFolder.appendingPathComponent($0))
        }
    }()

    var outcome: String {
        var files: [String: [UInt8]] = [:]
        var path = "gateway.conf"
        var lines: [Substring] = []
        for line in (input + "\n====").split(separator: "\n", omittingEmptySubsequences: false) {
            guard line.hasPrefix("====") else {
                lines.append(line)
                continue
            }
            files[path] = Array((lines.joined(separator: "\n") + "\n").utf8)
            path = line.dropFirst(4).trimmingCharacters(in: .whitespaces)
            lines = []
        }
        files["secrets/token"] = Array("from-a-file\n".utf8)
        files["secrets/empty"] = []
        let loaded = ConfigurationLoader.load(
            "gateway.conf", from: source(files, environment: ["TOKEN": "from-the-environment"]),
            allowUnsupported: input.hasPrefix("#!unsupported"))
        return [loaded.renderAll(), loaded.settings.map(describe) ?? ""].filter { !$0.isEmpty }.joined(
            separator: "\n\n")
    }
}

@Suite struct CaseTests {
    @Test("a configuration is read, or refused with the messages of its case", arguments: GoldenCase.all)
    func golden(_ golden: GoldenCase) throws {
        let outcome = golden.outcome
        if ProcessInfo.processInfo.environment["UPDATE_CASES"] != nil {
            try "\(golden.input)\n----\n\(outcome)\n".write(to: golden.url, atomically: true, encoding: .utf8)
        } else {
            #expect(outcome == golden.expected)
        }
    }

    @Test("there are cases") func some() { #expect(GoldenCase.all.count > 60) }
}
