import Base
import Configuration
import Glibc

extension ConfigurationSource {
    /// Bytes that are read of one file: a configuration of 100,000 tenants has a tenth of it, `/dev/zero` more.
    private static let fileMax = 256 << 20

    /// Files of this machine and the environment of this process.
    public static let disk = disk(withPipe: nil)

    /// The same for who reads a configuration once: this one may come through a pipe, as a shell's `<(...)` does.
    static func disk(withPipe path: String?) -> ConfigurationSource {
        ConfigurationSource(
            read: { file in
                Result { () throws(SourceError) in
                    do throws(RegularFile.Fault) {
                        return try RegularFile.read(file, atMost: fileMax, mayBePipe: file == path)
                    } catch { throw SourceError(error) }
                }
            },
            glob: matches,
            environment: { name in getenv(name).map { String(cString: $0) } },
            now: { Clock.wall() / 1_000_000_000 })
    }

    /// A whole file; empty where there is none to be read.
    func text(_ path: String) -> String { String(decoding: (try? read(path).get()) ?? [], as: UTF8.self) }

    /// A folder that can't be read is an error: without what stands in it, tenants would be gone.
    @Sendable private static func matches(_ pattern: String) throws(SourceError) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        let result = Glibc.glob(pattern, 0, { _, code in code == ENOENT || code == ENOTDIR ? 0 : 1 }, &found)
        if result == GLOB_NOMATCH { return [] }
        guard result == 0 else { throw SourceError(errno: result == GLOB_NOSPACE ? ENOMEM : errno) }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }
}

extension SourceError {
    init(_ fault: RegularFile.Fault) {
        switch fault {
        case .system(let code): self.init(errno: code)
        case .folder: self = .isFolder
        case .tooLarge(let limit): self = .tooLarge(limit: limit)
        case .pipe, .device, .socket: self = .failed(fault.description)
        }
    }

    init(errno code: Int32) {
        switch code {
        case ENOENT, ENOTDIR: self = .notFound
        case EACCES, EPERM: self = .notPermitted
        case EISDIR: self = .isFolder
        default: self = .failed(String(cString: strerror(code)))
        }
    }
}
