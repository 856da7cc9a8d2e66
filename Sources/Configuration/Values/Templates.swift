import Base

/// `{namespace}` and `{tenant}` in the names of servers.
enum Templates {
    /// What is wrong with the placeholders of a name; nil where nothing is.
    static func fault(of name: String) -> ValueFault? {
        let known = ["{namespace}", "{tenant}"]
        for placeholder in placeholders(of: name) where !known.contains(String(placeholder)) {
            return .refused(
                "\(quoted(String(placeholder))) is not known here: there are {namespace} and {tenant}",
                suggestion: Suggester().suggestion(for: String(placeholder), among: known))
        }
        return nil
    }

    /// Every `{...}` of a template, with its braces.
    static func placeholders(of template: String) -> [Substring] {
        var found: [Substring] = []
        var rest = template[...]
        while let open = rest.utf8.firstIndex(of: UInt8(ascii: "{")),
            let close = rest[open...].utf8.firstIndex(of: UInt8(ascii: "}"))
        {
            found.append(rest[open...close])
            rest = rest[rest.utf8.index(after: close)...]
        }
        return found
    }

    /// A server's name with its placeholders replaced.
    static func expand(_ template: String, namespace: String, tenant: String) -> String {
        guard template.utf8.contains(UInt8(ascii: "{")) else { return template }
        var expanded = ""
        var rest = template[...]
        while let open = rest.utf8.firstIndex(of: UInt8(ascii: "{")),
            let close = rest[open...].utf8.firstIndex(of: UInt8(ascii: "}"))
        {
            expanded += rest[..<open]
            expanded += rest[open...close] == "{tenant}" ? tenant : namespace
            rest = rest[rest.utf8.index(after: close)...]
        }
        return expanded + rest
    }
}
