import Base
import Configuration
import Glibc

extension ConfigurationSource {
    /// Bytes that are read of one file: a configuration of 100,000 tenants has a tenth of it, `/dev/zero` more.
    private static let fileMax = 256 << 20

    /// Files of this machine and the environment of this process.
    public static let disk = ConfigurationSource(
        read: readFile,
        glob: matches,
        environment: { name in getenv(name).map { String(cString: $0) } },
        now: { Clock.wall() / 1_000_000_000 })

    /// A whole file; empty where there is none to be read.
    func text(_ path: String) -> String { String(decoding: (try? read(path).get()) ?? [], as: UTF8.self) }

    @Sendable private static func readFile(_ path: String) -> Result<[UInt8], SourceError> {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .failure(SourceError(errno: errno)) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        let step = 256 << 10
        while bytes.count <= fileMax {
            let before = bytes.count
            var failure: Int32 = 0
            let room = [UInt8](unsafeUninitializedCapacity: step) { region, count in
                let got = Glibc.read(descriptor, region.baseAddress, step)
                if got < 0 { failure = errno }
                count = max(0, got)
            }
            if failure == EINTR { continue }
            if failure != 0 { return .failure(SourceError(errno: failure)) }
            bytes += room
            if bytes.count == before { return .success(bytes) }
        }
        return .failure(.tooLarge(limit: fileMax))
    }

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
    init(errno code: Int32) {
        switch code {
        case ENOENT, ENOTDIR: self = .notFound
        case EACCES, EPERM: self = .notPermitted
        case EISDIR: self = .isFolder
        default: self = .failed(String(cString: strerror(code)))
        }
    }
}
