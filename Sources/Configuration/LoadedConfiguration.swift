/// What a load found: the settings, unless there is an error, and everything worth saying about them.
public struct LoadedConfiguration: Sendable {
    /// nil when there is an error.
    public var settings: Settings?
    /// What could be understood in spite of errors: enough to find the running gateway, never to serve by.
    public var partial: Settings
    /// In file order, at most 1,000.
    public var diagnostics: [Diagnostic]
    /// How many more there were.
    public var omitted: Int
    /// The files read, with their text, in the order of `Location.file`.
    let files: [SourceFile]
    /// Who claimed a host first.
    let hostOwners: [String: Builder.Claim]

    /// Where a host stands, as the settings write it.
    public func location(ofHost host: String) -> Location? { hostOwners[host]?.location }

    /// `FILE:LINE:COLUMN: error: message`, then the line of the file, then what is meant underlined. Works for the
    /// findings of later phases too, from the locations in `settings`.
    public func render(_ diagnostic: Diagnostic) -> String {
        let location = diagnostic.location
        let path = files.indices.contains(location.file) ? printable(files[location.file].path) : "?"
        var text = "\(path):\(location.line):\(location.column): \(diagnostic.severity.rawValue): \(diagnostic.message)"
        let hint = diagnostic.suggestion.map { " " + $0 } ?? ""
        guard files.indices.contains(location.file),
            let line = files[location.file].excerpt(line: location.line, column: location.column)
        else { return text + hint }
        text += "\n  \(line.text)\n  "
        for scalar in line.text.unicodeScalars.prefix(line.column - 1) { text += scalar == "\t" ? "\t" : " " }
        let room = line.text.unicodeScalars.count - (line.column - 1)
        text += "^" + String(repeating: "~", count: max(0, min(diagnostic.length, room) - 1))
        return text + hint
    }

    /// All of them, and how many more there were; empty where there is nothing to say. No line end behind the last.
    public func renderAll() -> String {
        var parts = diagnostics.map(render)
        if omitted > 0 { parts.append("... and \(omitted) more") }
        return parts.joined(separator: "\n")
    }
}
