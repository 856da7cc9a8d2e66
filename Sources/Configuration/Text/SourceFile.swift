import Base

/// A file that was read.
struct SourceFile: Sendable {
    let path: String
    /// What stands in front of the last `/` of `path`, empty for the working directory.
    let folder: String
    var bytes: [UInt8]
    /// Offsets of the first byte of each line.
    var lineStarts: [UInt32] = []

    init(path: String, bytes: [UInt8]) {
        (self.path, self.bytes) = (path, bytes)
        folder = Path.folder(of: path)
    }

    /// A line as it can be shown, and the column in what is shown: a long line is cut around `column`.
    func excerpt(line: Int, column: Int) -> (text: String, column: Int)? {
        guard line >= 1, line <= lineStarts.count, column >= 1 else { return nil }
        let start = Int(lineStarts[line - 1])
        var end = line < lineStarts.count ? Int(lineStarts[line]) - 1 : bytes.count
        if end > start, bytes[end - 1] == ASCII.cr { end -= 1 }
        guard start <= end else { return nil }
        let shown = 160
        // A scalar is at most four bytes: this finds the window without decoding a line of megabytes.
        var first = start
        var skipped = 0
        if column > shown {
            let target = column - shown / 2
            while first < end, skipped < target {
                first += 1
                while first < end, bytes[first] & 0xC0 == 0x80 { first += 1 }
                skipped += 1
            }
        }
        let window = String(decoding: bytes[first..<min(end, first + 4 * shown)], as: UTF8.self)
        var text = skipped > 0 ? "..." : ""
        let kept = window.unicodeScalars.prefix(shown)
        for scalar in kept { text.unicodeScalars.append(scalar == "\t" ? scalar : printable(scalar)) }
        let isCut = window.unicodeScalars.count > shown || first + 4 * shown < end
        if isCut { text += "..." }
        return (text, column - skipped + (skipped > 0 ? 3 : 0))
    }
}
