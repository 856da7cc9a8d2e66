/// A statement whose arguments and options are what its row of the table demands.
struct Checked {
    var id: DirectiveID
    var statement: Int
    var values: [Value]
    /// As written, for keywords and for messages.
    var words: [Word]
    var options: [(name: String, value: Value)]

    func option(_ name: String) -> Value? { options.first { $0.name == name }?.value }
    /// What stands between the commas of an option.
    func names(_ option: String) -> [String] {
        guard case .text(let text)? = self.option(option) else { return [] }
        return text.split(separator: ",").map(String.init)
    }
    /// Of an option that may be repeated.
    func allOptions(_ name: String) -> [Value] { options.lazy.filter { $0.name == name }.map(\.value) }
}

/// The statements of one block.
struct Block {
    var items: [Checked] = []
    /// What stands in it, faulty or not, a bit each: what is there but wrong is not missing too.
    private var seen = InlineArray<4, UInt64>(repeating: 0)
    /// A name in it meant nothing, so what seems to be missing may be what was misspelt.
    var hasUnknown = false

    mutating func see(_ id: DirectiveID) { seen[Int(id.rawValue) / 64] |= 1 << UInt64(id.rawValue % 64) }
    func has(_ id: DirectiveID) -> Bool { seen[Int(id.rawValue) / 64] & 1 << UInt64(id.rawValue % 64) != 0 }
    /// Nothing of this kind stands in it, nor anything that may have been meant for it.
    func lacks(_ id: DirectiveID) -> Bool { !has(id) && !hasUnknown }
}

/// Judges statements by their rows.
struct Checker {
    let tree: Tree
    let source: ConfigurationSource
    let diagnostics: DiagnosticCollector
    let suggester: Suggester
    let allowUnsupported: Bool
    /// Names of blocks whose first line was refused: who refers to them is not told that they are unknown.
    private(set) var faulty: Set<String> = []

    init(
        _ tree: Tree, source: ConfigurationSource, diagnostics: DiagnosticCollector, suggester: Suggester,
        allowUnsupported: Bool
    ) {
        (self.tree, self.source, self.diagnostics) = (tree, source, diagnostics)
        (self.suggester, self.allowUnsupported) = (suggester, allowUnsupported)
    }

    private struct Key: Hashable {
        var row: Int16
        var value: String
    }

    /// The whole tree.
    mutating func top() -> Block { check(0..<tree.statements.count, in: .top, isSupported: true) }

    /// What stands between the braces of `item`.
    mutating func block(of item: Checked) -> Block { block(of: item.statement) }

    private mutating func block(of statement: Int) -> Block {
        let header = tree.statements[statement]
        guard header.row >= 0, let place = Directive.all[Int(header.row)].block else { return Block() }
        guard header.hasBlock else { return Block() }
        let isSupported = Directive.all[Int(header.row)].isSupported
        let block = check(statement + 1..<header.end, in: place, isSupported: isSupported)
        for row in DirectiveIndex.shared.required(in: place) where block.lacks(Directive.all[row].id) {
            let name = tree.arguments(of: header).first.map { " " + quoted($0.text) } ?? ""
            diagnostics.error(
                at: header.name, "\(header.name.text)\(name) has no \(quoted(Directive.all[row].name))",
                suggestion: "add `\(Directive.all[row].usage)`")
        }
        return block
    }

    /// `isSupported` is false inside a block that is not supported as a whole: that has been said.
    private mutating func check(_ range: Range<Int>, in place: Directive.Place, isSupported: Bool) -> Block {
        var block = Block()
        var first: [Key: Word] = [:]
        var at = range.lowerBound
        while at < range.upperBound {
            let this = at
            let statement = tree.statements[this]
            at = max(this + 1, statement.end)
            guard statement.row >= 0 else {
                block.hasUnknown = true
                continue
            }
            let directive = Directive.all[Int(statement.row)]
            block.see(directive.id)
            if !directive.isSupported, !allowUnsupported, isSupported {
                diagnostics.error(at: statement.name, "\(quoted(directive.name)) is not supported yet")
            }
            guard let item = check(this, statement, directive, isSupported: isSupported) else {
                if let name = tree.arguments(of: statement).first { faulty.insert(name.text) }
                sweep(this)
                continue
            }
            var key = Key(row: statement.row, value: "")
            if case .oncePerFirstArgument = directive.repetition {
                key.value = item.values[0].identity(as: directive.arguments[0].type)
            }
            if case .many = directive.repetition {
                block.items.append(item)
            } else if let earlier = first.updateValue(item.words.first ?? statement.name, forKey: key) {
                first[key] = earlier
                refuseSecond(item, directive, earlier)
                sweep(this)
            } else {
                block.items.append(item)
            }
        }
        return block
    }

    private func refuseSecond(_ item: Checked, _ directive: Directive, _ earlier: Word) {
        let place = line(earlier.location, from: item)
        if case .oncePerFirstArgument = directive.repetition, let word = item.words.first {
            diagnostics.error(at: word, "a second `\(directive.name)` \(quoted(word.text)): the first is in \(place)")
        } else {
            diagnostics.error(
                at: tree.statements[item.statement].name,
                "a second \(quoted(directive.name)): one is allowed here, and the first is in \(place)")
        }
    }

    /// `line 12`, or `FILE:12` where that is another file.
    func line(_ location: Location, from item: Checked) -> String {
        location.file == tree.statements[item.statement].name.fileIndex
            ? "line \(location.line)" : "\(tree.files[location.file].path):\(location.line)"
    }

    /// Judges what stands inside a block that is not going to be used.
    private mutating func sweep(_ statement: Int) {
        guard tree.statements[statement].hasBlock else { return }
        for item in block(of: statement).items { sweep(item.statement) }
    }

    /// Arguments and options of one statement; nil after saying what is wrong with them.
    private func check(
        _ index: Int, _ statement: Statement, _ directive: Directive, isSupported: Bool
    ) -> Checked? {
        if statement.isBroken { return nil }
        var item = Checked(id: directive.id, statement: index, values: [], words: [], options: [])
        var isValid = true
        let surroundings = ValueType.Surroundings(
            folder: tree.files[statement.name.fileIndex].folder, source: source)
        let words = tree.arguments(of: statement)
        let hasOptions = !directive.options.isEmpty
        if words.count > directive.arguments.count, directive.maximumArguments < Int.max {
            let values = words.lazy.filter { !hasOptions || $0.optionName == nil }.dropFirst(directive.maximumArguments)
            if let excess = values.first {
                diagnostics.error(
                    at: excess, "too many values for \(quoted(directive.name))",
                    suggestion: hint(among: words, directive) ?? "write `\(directive.usage)`")
                return nil
            }
        }
        for word in words {
            if hasOptions, let name = word.optionName {
                isValid = option(String(name), word, directive, surroundings, &item) && isValid
                continue
            }
            guard let argument = directive.argument(at: item.words.count) else { break }
            item.words.append(word)
            guard let value = read(word, word.text, argument.type, surroundings) else {
                isValid = false
                continue
            }
            item.values.append(value)
            if case .choice(_, let later) = argument.type, later.contains(word.text), isSupported,
                directive.isSupported,
                !allowUnsupported
            {
                diagnostics.error(at: word, "`\(directive.name) \(word.text)` is not supported yet")
                isValid = false
                break
            }
        }
        if item.words.count < directive.minimumArguments, isValid {
            let missing = directive.arguments[item.words.count].name
            diagnostics.error(
                at: statement.name, "\(quoted(directive.name)) needs \(missing)",
                suggestion: "write `\(directive.usage)`")
            return nil
        }
        if words.isEmpty, directive.saysNothingAlone {
            diagnostics.error(
                at: statement.name, "\(quoted(directive.name)) says nothing by itself", suggestion: "write `\(directive.usage)`")
            return nil
        }
        if let alone = directive.arguments.last?.alone, item.words.count > 1,
            let word = item.words.first(where: { alone.contains($0.text) })
        {
            // What it would mean is known all the same: nothing else is wrong because of it.
            diagnostics.error(at: word, "\(quoted(word.text)) stands alone, or not at all")
        }
        return isValid ? item : nil
    }

    /// For habits from other configurations: `burst 2000`, `weight = 2`, `access_log = off`.
    private func hint(among words: ArraySlice<Word>, _ directive: Directive) -> String? {
        if words.first?.text == "=" { return "leave out the `=`" }
        guard let place = words.firstIndex(where: { word in directive.options.contains { $0.name == word.text } })
        else { return nil }
        let value = words[place...].dropFirst().first { $0.text != "=" }?.text ?? "VALUE"
        return "write `\(words[place].text)=\(value)`"
    }

    private func option(
        _ name: String, _ word: Word, _ directive: Directive, _ surroundings: ValueType.Surroundings,
        _ item: inout Checked
    ) -> Bool {
        guard let option = directive.options.first(where: { $0.name == name }) else {
            diagnostics.error(
                at: word, "\(quoted(directive.name)) has no option \(quoted(name))",
                suggestion: suggester.suggestion(for: name, among: directive.options.map(\.name)))
            return false
        }
        guard option.isRepeated || item.option(name) == nil else {
            diagnostics.error(at: word, "a second \(quoted(name + "="))")
            return false
        }
        guard let value = read(word, word.optionValue, option.type, surroundings) else { return false }
        item.options.append((name, value))
        return true
    }

    private func read(_ word: Word, _ text: String, _ type: ValueType, _ surroundings: ValueType.Surroundings) -> Value?
    {
        let isMarked = !type.hasPlaceholders && text.utf8.contains(Word.escapedBraceByte)
        let text = isMarked ? String(text.map { $0 == Word.escapedBrace ? "{" : $0 }) : text
        let isVariable = !word.isQuoted && text.contains("${")
        do {
            let value = try type.read(text, isQuoted: word.isQuoted, in: surroundings)
            if isVariable { diagnostics.warning(at: word, "no variable is filled in here: it stays \(quoted(text))") }
            return value
        } catch {
            let hint = isVariable ? "variables are not filled in: write the value itself, or write the file from a template" : nil
            diagnostics.error(at: word, error.message, suggestion: hint ?? error.suggestion)
            return nil
        }
    }
}
