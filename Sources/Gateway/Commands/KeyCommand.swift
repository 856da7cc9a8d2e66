import Configuration
import Crypto
import Tenancy

/// Makes API keys. They are shown once; what is kept is their digest.
enum KeyCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var words = arguments.words
        guard words.first == "create" else {
            throw arguments.failure(words.first.map { "`key \($0)` is not understood" } ?? "`key` wants `create`")
        }
        words.removeFirst()
        var (tenant, name, expires): (String?, String?, String?)
        func value(_ option: String) throws -> String {
            guard !words.isEmpty else { throw arguments.failure("\(option) wants a value") }
            return words.removeFirst()
        }
        while !words.isEmpty {
            let word = words.removeFirst()
            switch word {
            case "--name": name = try value(word)
            case "--expires": expires = try value(word)
            default:
                guard tenant == nil, !word.hasPrefix("-") else { throw arguments.failure("`\(word)` is not understood") }
                tenant = word
            }
        }
        guard let tenant else { throw arguments.failure("for which tenant?") }
        let key = APIKey.make()
        let digest = SHA256.digest(Array(key.utf8)).hexadecimal
        let line: String
        do throws(KeyLine.Fault) {
            line = try KeyLine.text(digest: digest, tenant: tenant, name: name, expires: expires)
        } catch {
            throw arguments.failure(error.description)
        }
        Console.out(
            """
            The key, shown this once:

              \(key)

            The line for tenant \(tenant) in gateway.conf; the key can't be found out from it:

            \(line)
            """)
        return 0
    }
}
