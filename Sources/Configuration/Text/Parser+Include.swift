/// Files within files. A file is read once: a second time, everything in it would stand twice.
extension Parser {
    private static let includeDepthMax = 16

    /// Reads the files that `pattern` names as if they stood here.
    mutating func include(_ pattern: Word) {
        // What can't be a path is the checker's to say.
        guard (try? Texts.text(pattern.text)) != nil else { return }
        let folder = tree.files[pattern.fileIndex].folder
        guard Path.isPattern(pattern.text) else {
            include(Path.resolve(pattern.text, from: folder), at: pattern)
            return
        }
        do throws(SourceError) {
            let found = try source.glob(Path.resolve(pattern.text, from: Path.escapedForPattern(folder)))
            for path in found { include(path, at: pattern) }
        } catch {
            diagnostics.error(at: pattern, "can't look for \(quoted(pattern.text)): \(error)")
        }
    }

    private mutating func include(_ path: String, at word: Word) {
        let identity = Path.clean(path)
        if chain.contains(identity) {
            diagnostics.error(
                at: word, "\(quoted(path)) includes itself: \((chain + [identity]).joined(separator: " -> "))")
        } else if let first = included[identity] {
            diagnostics.error(
                at: word, "\(quoted(path)) is included already (\(tree.files[first.file].path):\(first.line))")
        } else if chain.count >= Self.includeDepthMax {
            diagnostics.error(at: word, "files include each other deeper than \(Self.includeDepthMax)")
        } else {
            switch source.read(path) {
            case .success(let bytes):
                included[identity] = word.location
                parse(bytes, of: path)
            case .failure(let error):
                diagnostics.error(at: word, "can't read \(quoted(path)): \(error)")
            }
        }
    }
}
