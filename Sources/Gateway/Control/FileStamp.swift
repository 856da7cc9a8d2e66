import Glibc

/// What changes when one of these files is replaced. Nil where one of them can't be looked at.
struct FileStamp: Equatable, Sendable {
    private var parts: [Int] = []

    init?(_ paths: String...) {
        for path in paths {
            var info = stat()
            guard stat(path, &info) == 0 else { return nil }
            parts += [Int(info.st_mtim.tv_sec), info.st_mtim.tv_nsec, Int(info.st_size), Int(info.st_ino)]
        }
    }
}
