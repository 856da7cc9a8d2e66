import Configuration

/// `gateway directives`: the table of directives, read to a person.
enum DirectivesCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        guard let name = arguments.words.first else {
            listAll()
            return 0
        }
        let rows = Directive.named(name)
        guard !rows.isEmpty else {
            let near = Suggestion.nearest(to: name, among: Directive.all.map(\.name))
            throw Command.Failure(text: "gateway: no directive `\(name)`" + (near.map { " (did you mean `\($0)`?)" } ?? ""))
        }
        for row in rows { explain(row) }
        return 0
    }

    /// By the places in which they stand, as a file is written.
    private static func listAll() {
        let width = Directive.all.map(\.name.count).max()! + 2
        for place in Directive.Place.allCases {
            Console.out(place == .top ? "at the top level:" : "\nin `\(place.rawValue)`:")
            for row in Directive.all where row.places.contains(place) {
                Console.out("  " + row.name + String(repeating: " ", count: width - row.name.count) + row.help)
            }
        }
    }

    private static func explain(_ row: Directive) {
        let defaults = row.options.compactMap { option in option.defaultValue.map { "\(option.name)=\($0)" } }
        var lines = [row.help] + row.details
        lines.append("stands in: " + row.places.map(\.rawValue).joined(separator: ", "))
        if let block = row.block {
            let inside = Directive.all.filter { $0.places.contains(block) }
            lines.append("holds: " + inside.map(\.name).joined(separator: ", "))
            for required in inside where required.isRequired { lines.append("needs: \(required.usage)") }
        }
        let ofOptions = defaults.isEmpty ? "" : "; of its options \(defaults.joined(separator: " "))"
        lines.append("default: \(row.defaultValue ?? "none")\(ofOptions)")
        lines.append("takes effect: \(row.isHot ? "at a reload" : "at a start")")
        if !row.isSupported { lines.append("not supported yet") }
        Console.out("\(row.usage)\n  " + lines.joined(separator: "\n  "))
    }
}
