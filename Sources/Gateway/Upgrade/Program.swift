import Glibc

/// How this process was started, for the one that takes over from it: by then another file may have the same name.
struct Program: Sendable {
    /// Of the binary, absolute, as it was called: links are followed anew.
    let path: String
    /// The file of the configuration, as it was given. The working directory stays.
    let configuration: String

    init(configuration: String) {
        self.configuration = configuration
        path = Self.find()
    }

    private static func find() -> String {
        let name = CommandLine.arguments.first ?? ""
        let here = getcwd(nil, 0).map { room in
            defer { free(room) }
            return String(cString: room)
        }
        var places = [name]
        if !name.contains("/") {
            let folders = getenv("PATH").map { String(cString: $0) } ?? ""
            places = folders.split(separator: ":").map { $0 + "/" + name }
        }
        let absolute = places.map { $0.hasPrefix("/") ? $0 : (here ?? "") + "/" + $0 }
        // What it was called is the caller's choice: it counts where it leads to what runs.
        if let own = identity("/proc/self/exe"), let found = absolute.first(where: { identity($0) == own }) { return found }
        var room = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &room, room.count)
        return String(decoding: room.prefix(max(count, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private struct FileIdentity: Equatable {
        var device: UInt64
        var inode: UInt64
    }

    private static func identity(_ path: String) -> FileIdentity? {
        var status = stat()
        return stat(path, &status) == 0 ? FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) : nil
    }

    /// Whether both names lead to the same file or folder.
    static func areSame(_ one: String, _ other: String) -> Bool {
        guard let first = identity(one) else { return false }
        return first == identity(other)
    }
}
