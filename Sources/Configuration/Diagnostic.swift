/// One finding about a configuration, tied to where it stands.
public struct Diagnostic: Sendable, Equatable {
    /// An error refuses the configuration, a warning does not.
    public enum Severity: String, Sendable { case error, warning }

    public var severity: Severity
    public var location: Location
    /// Columns to underline, at least 1.
    public var length: Int
    public var message: String
    /// What to do about it, shown behind the underline: "did you mean `rate`?"
    public var suggestion: String?

    public init(
        _ severity: Severity = .error, at location: Location, length: Int = 1, _ message: String,
        suggestion: String? = nil
    ) {
        (self.severity, self.location, self.length) = (severity, location, length)
        (self.message, self.suggestion) = (message, suggestion)
    }
}

/// Gathers what one load finds. A hostile file could cause millions of findings: past `limit` they are only counted,
/// and their texts are never built.
final class DiagnosticCollector {
    static let limit = 1000
    private(set) var found: [Diagnostic] = []
    private(set) var errorCount = 0
    /// Findings past `limit`.
    private(set) var omitted = 0

    func error(at word: Word, _ message: @autoclosure () -> String, suggestion: @autoclosure () -> String? = nil) {
        add(.error, word.location, word.length, message, suggestion)
    }

    func error(
        at location: Location, length: Int = 1, _ message: @autoclosure () -> String,
        suggestion: @autoclosure () -> String? = nil
    ) {
        add(.error, location, length, message, suggestion)
    }

    func warning(at word: Word, _ message: @autoclosure () -> String, suggestion: @autoclosure () -> String? = nil) {
        add(.warning, word.location, word.length, message, suggestion)
    }

    func warning(at location: Location, length: Int, _ message: @autoclosure () -> String) {
        add(.warning, location, length, message, { nil })
    }

    private func add(
        _ severity: Diagnostic.Severity, _ location: Location, _ length: Int, _ message: () -> String,
        _ suggestion: () -> String?
    ) {
        if severity == .error { errorCount += 1 }
        guard found.count < Self.limit else {
            omitted += 1
            return
        }
        found.append(
            Diagnostic(severity, at: location, length: max(1, length), message(), suggestion: suggestion()))
    }

    /// Everything kept, by file, line and column.
    var inFileOrder: [Diagnostic] {
        found.enumerated().sorted { a, b in
            let (x, y) = (a.element.location, b.element.location)
            return (x.file, x.line, x.column, a.offset) < (y.file, y.line, y.column, b.offset)
        }.map(\.element)
    }
}

/// A piece of the file in a message: in back quotes, without control characters, never long.
func quoted(_ text: String) -> String {
    if text.isEmpty { return "`\"\"`" }
    var shown = "`"
    for scalar in text.unicodeScalars.prefix(60) { shown.unicodeScalars.append(printable(scalar)) }
    if text.unicodeScalars.count > 60 { shown += "..." }
    return shown + "`"
}

/// Control and formatting characters would let a file write to the operator's terminal, or hide text.
func printable(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse: "\u{FFFD}"
    default: scalar
    }
}

func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map(printable)))
}
