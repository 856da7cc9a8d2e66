import Glibc

/// Whose a file is that root has made in somebody else's folder: that user's, or else his gateway could not open it.
///
/// Only what was made just now is given away: what was there already may be a link to what nobody may have. Where a file system
/// knows no owners, or this root may not give anything away, it stays root's.
enum FolderOwner {
    /// - Parameter descriptor: of a file that this process has just made at `path`.
    static func give(_ descriptor: Int32, _ path: String) {
        guard geteuid() == 0, let owner = owner(of: path) else { return }
        _ = fchown(descriptor, owner.user, owner.group)
    }

    /// The same of a folder.
    static func giveFolder(_ path: String) {
        guard geteuid() == 0, owner(of: path) != nil else { return }
        // No link that was put in its place.
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        give(descriptor, path)
        close(descriptor)
    }

    /// Of the folder around it; nil where that is root's.
    private static func owner(of path: String) -> (user: uid_t, group: gid_t)? {
        var end = path.utf8.endIndex
        // Behind the name there may be a slash.
        if let last = path.utf8.lastIndex(where: { $0 != 0x2F }) { end = path.utf8.index(after: last) }
        let slash = path.utf8[..<end].lastIndex(of: 0x2F)
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        var status = stat()
        guard unsafe stat(folder, &status) == 0, status.st_uid != 0 else { return nil }
        return (status.st_uid, status.st_gid)
    }
}
