import Base

/// Paths as text: nothing here looks at a disk.
enum Path {
    /// What stands in front of the last `/`; empty where there is none.
    static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }

    /// `path` as seen from `folder`. `.` segments and doubled slashes go; `..` stays, for behind a symbolic link it
    /// can't be resolved by text.
    static func resolve(_ path: String, from folder: String) -> String {
        path.utf8.first == UInt8(ascii: "/") || folder.isEmpty ? clean(path) : clean(folder + "/" + path)
    }

    static func clean(_ path: String) -> String {
        let isAbsolute = path.utf8.first == UInt8(ascii: "/")
        let segments = path.split(separator: "/").filter { $0 != "." }
        if segments.isEmpty { return isAbsolute ? "/" : "." }
        return (isAbsolute ? "/" : "") + segments.joined(separator: "/")
    }

    /// Whether a shell would look for matches.
    static func isPattern(_ path: String) -> Bool {
        path.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "[") }
    }

    /// A folder's name in front of a pattern, where its own `*`, `?`, `[` and `\` mean themselves.
    static func escapedForPattern(_ folder: String) -> String {
        guard isPattern(folder) || folder.utf8.contains(UInt8(ascii: "\\")) else { return folder }
        var escaped = ""
        for character in folder.unicodeScalars {
            if "*?[\\".unicodeScalars.contains(character) { escaped += "\\" }
            escaped.unicodeScalars.append(character)
        }
        return escaped
    }
}
