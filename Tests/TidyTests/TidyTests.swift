import Foundation
import Testing

/// The house rules that a machine can check. Each says what to do instead.
@Suite struct TidyTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct SourceFile {
        var path: String
        var module: String
        var lines: [String]
    }

    static let sources: [SourceFile] = {
        let base = root.appending(path: "Sources").path
        let names = FileManager.default.enumerator(atPath: base)!.compactMap { $0 as? String }
        return names.filter { $0.hasSuffix(".swift") }.map { name in
            let text = try! String(contentsOfFile: base + "/" + name, encoding: .utf8)
            return SourceFile(path: name, module: String(name.split(separator: "/")[0]), lines: text.components(separatedBy: "\n"))
        }
    }()

    /// Module → what it may import, as Package.swift says.
    static let arrows: [String: Set<String>] = {
        let manifest = try! String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
        var arrows: [String: Set<String>] = [:]
        for match in manifest.matches(of: /(?:module\(|executableTarget\(name: )"(\w+)"(?:, (?:dependencies: )?\[([^\]]*)\])?/) {
            let uses = (match.2 ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .init(charactersIn: " \"")) }
            arrows[String(match.1)] = Set(uses)
        }
        return arrows
    }()

    @Test("a module imports only what its arrows allow")
    func imports() {
        let outside: Set<String> = ["Glibc", "Synchronization", "FoundationEssentials"]
        for file in Self.sources {
            guard let allowed = Self.arrows[file.module] else { continue }
            for line in file.lines {
                guard let match = line.firstMatch(of: /^\s*(?:public |internal )?import (\w+)/) else { continue }
                let name = String(match.1)
                #expect(allowed.contains(name) || outside.contains(name), "\(file.path) imports \(name): add the arrow to Package.swift, or don't")
            }
        }
    }

    @Test("the doors: each outside thing has one module that touches it")
    func doors() {
        for file in Self.sources {
            let text = file.lines.joined(separator: "\n")
            #expect(file.module == "Crypto" || !text.contains("import COpenSSL"), "\(file.path): use Crypto")
            #expect(file.path == "Base/Time/Clock.swift" || !text.contains("clock_gettime("), "\(file.path): use Clock")
            #expect(
                ["Net", "Proxy"].contains(file.module) || !text.contains("epoll_"), "\(file.path): use Net.EventLoop")
        }
    }

    @Test("what OpenSSL makes is owned at once: no way out in between forgets to free it")
    func owned() throws {
        let makers = try Regex(#"\b(?:[A-Z0-9]+_)+new(?:_\w+)?\(|_d2i\(|\bd2i_|\bPEM_read|_conf_nid\(|\bc_\w+_(?:public_key|gen)\("#)
        for file in Self.sources where file.module == "Crypto" {
            for (number, line) in file.lines.enumerated() where line.contains(makers) {
                #expect(line.contains("Owned("), "\(file.path):\(number + 1): wrap it in Owned, and take() it when all went well")
            }
        }
    }

    @Test("words that do not belong into a product")
    func words() throws {
        let banned = [
            (#"\bFIXME\b|\bTODO\b|\bXXX\b"#, "do it, or open an issue"),
            (#"\btry!"#, "handle the error"),
            (#"(^|[^\w.])print\("#, "use Console"),
            (#"(^|[^u\w])sleep\("#, "use a deadline"),
            (#"\bimport Foundation"#, "the standard library and Glibc have what is needed"),
        ]
        for (pattern, instead) in banned {
            let regex = try Regex(pattern)
            for file in Self.sources {
                for (number, line) in file.lines.enumerated() where line.contains(regex) {
                    Issue.record("\(file.path):\(number + 1): \(instead)")
                }
            }
        }
    }

    @Test("lines and files stay readable")
    func sizes() {
        for file in Self.sources {
            #expect(file.lines.count <= 600, "\(file.path) has \(file.lines.count) lines: split it by idea")
            for (number, line) in file.lines.enumerated() where line.count > 140 {
                Issue.record("\(file.path):\(number + 1) is \(line.count) columns wide")
            }
        }
    }

    @Test("nothing but what belongs there stands at the top level")
    func topLevel() throws {
        let allowed: Set<String> = ["Package.swift", "Package.resolved", "Sources", "Tests", "gateway.conf", "Certs", "README.md", "state"]
        for name in try FileManager.default.contentsOfDirectory(atPath: Self.root.path) where !name.hasPrefix(".") {
            #expect(allowed.contains(name), "\(name)")
        }
    }
}
