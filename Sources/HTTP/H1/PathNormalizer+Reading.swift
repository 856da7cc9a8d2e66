import Glibc

/// The reading of a path that is furthest from the normal form. Where both lead to the same rules, it does not matter which
/// one an upstream goes by.
extension PathNormalizer {
    /// Whether a normal path has parameters, which are all that readers disagree about there.
    public static func hasParameters(_ path: UnsafeRawBufferPointer) -> Bool {
        guard let base = path.baseAddress else { return false }
        return unsafe memchr(base, 0x3B, path.count) != nil
    }

    /// Writes what such a reader makes of `path`, which must have been normalised, and gives its length: segments end at
    /// their `;` (Java's path parameters), `%2F`, `%5C` and `\` are slashes, and slashes merge. `out` has room for as many
    /// bytes, and may be where `path` stands.
    public static func readLeniently(_ path: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer) -> Int {
        guard unsafe path.first == 0x2F else {
            let isAsterisk = unsafe path.count == 1 && path[0] == 0x2A
            if out.count > 0 { unsafe out[0] = isAsterisk ? 0x2A : 0x2F }
            return min(out.count, 1)
        }
        var written = 0
        var at = 0
        var isCut = false
        while at < path.count {
            let separator = unsafe separatorLength(path, at)
            if separator > 0 {
                if unsafe written == 0 || out[written - 1] != 0x2F {
                    unsafe out[written] = 0x2F
                    written += 1
                }
                isCut = false
                at += separator
            } else {
                if unsafe isParameter(path, at) { isCut = true }
                if !isCut {
                    unsafe out[written] = path[at]
                    written += 1
                }
                at += 1
            }
        }
        return written
    }
}
