import Base

/// Reads a file and what it includes into a tree. It knows the table of directives, so that a missing `;`, `{` or `}`
/// is reported where it is missing, and so that one mistake gives one message.
struct Parser {
    private(set) var tree = Tree()
    let source: ConfigurationSource
    let diagnostics: DiagnosticCollector
    private let suggester: Suggester
    private let index = DirectiveIndex.shared
    /// Where each file that has been read was included.
    var included: [String: Location] = [:]
    /// Files being read, the outermost first.
    private(set) var chain: [String] = []

    /// Nothing needs more than a route in a tenant; past this a file is hostile or broken.
    private static let blockDepthMax = 32

    init(source: ConfigurationSource, diagnostics: DiagnosticCollector, suggester: Suggester) {
        (self.source, self.diagnostics, self.suggester) = (source, diagnostics, suggester)
    }

    /// The outermost file.
    mutating func read(_ path: String) {
        switch source.read(path) {
        case .success(let bytes):
            included[Path.clean(path)] = Location(file: 0, line: 1, column: 1)
            parse(bytes, of: path)
        case .failure(let error):
            tree.files.append(SourceFile(path: path, bytes: []))
            diagnostics.error(at: Location(file: 0, line: 1, column: 1), "can't read \(quoted(path)): \(error)")
        }
    }

    /// A block that is open in the file being read.
    private struct OpenBlock {
        var statement: Int
        /// What its `{` opens; nil where the names in it are not judged.
        var place: Directive.Place?
        var brace: Word
    }

    mutating func parse(_ bytes: [UInt8], of path: String) {
        let file = tree.files.count
        tree.files.append(SourceFile(path: path, bytes: bytes))
        chain.append(Path.clean(path))
        var lexer = Lexer(bytes, file: file, diagnostics: diagnostics)
        var open: [OpenBlock] = []
        var pending: Token?
        /// Blocks that were taken for closed where their `}` was missing: as many `}` too many may follow.
        var forgiven = 0
        parsing: while true {
            let token = pending ?? lexer.next()
            pending = nil
            switch token.kind {
            case .word:
                closeForgotten(before: token.word, &open, &forgiven)
                pending = statement(token.word, &lexer, &open)
            case .semicolon:
                diagnostics.error(at: token.word, "nothing stands before this `;`")
            case .open:
                diagnostics.error(at: token.word, "a name must stand before `{`")
                tree.statements.append(Statement(name: token.word, row: -1, firstWord: UInt32(tree.words.count)))
                tree.statements[tree.statements.count - 1].hasBlock = true
                open.append(OpenBlock(statement: tree.statements.count - 1, place: nil, brace: token.word))
            case .close:
                if let block = open.popLast() {
                    tree.statements[block.statement].end = tree.statements.count
                } else if forgiven > 0 {
                    forgiven -= 1
                } else {
                    diagnostics.error(at: token.word, "this `}` closes nothing")
                }
            case .end:
                break parsing
            }
            if open.count > Self.blockDepthMax {
                diagnostics.error(
                    at: open[open.count - 1].brace,
                    "blocks are nested deeper than \(Self.blockDepthMax): the rest of the file is not read")
                break parsing
            }
        }
        let isCutShort = lexer.isBinary || open.count > Self.blockDepthMax
        while let block = open.popLast() {
            tree.statements[block.statement].end = tree.statements.count
            if isCutShort { continue }
            let name = tree.statements[block.statement].name
            diagnostics.error(
                at: block.brace, "the `}` of this block is missing: \(quoted(name.text)) in line \(name.location.line)")
        }
        tree.files[file].lineStarts = lexer.lineStarts
        chain.removeLast()
    }

    /// A line that begins no further to the right than an open block's own name, with a name that can't stand where it
    /// does but could around that block: its `}` was forgotten, and those of the blocks in it.
    private mutating func closeForgotten(before name: Word, _ open: inout [OpenBlock], _ forgiven: inout Int) {
        guard name.isFirstOnLine, !name.isQuoted, let innermost = open.last, let place = innermost.place,
            index.row(name.text, in: place) == nil
        else { return }
        for depth in open.indices.reversed() {
            let opener = tree.statements[open[depth].statement].name
            let outer = depth > 0 ? open[depth - 1].place : .top
            guard opener.isFirstOnLine, name.location.column <= opener.location.column, let outer,
                index.row(name.text, in: outer) != nil
            else { continue }
            let unclosed = tree.statements[innermost.statement].name
            diagnostics.error(
                at: name,
                "a `}` is missing before \(quoted(name.text)): "
                    + "the block of \(quoted(unclosed.text)) in line \(unclosed.location.line) is open"
            )
            for block in open[depth...] { tree.statements[block.statement].end = tree.statements.count }
            forgiven += open.count - depth
            open.removeSubrange(depth...)
            return
        }
    }

    /// One statement, up to its `;` or `{`. Returns a token that belongs to what follows.
    private mutating func statement(_ name: Word, _ lexer: inout Lexer, _ open: inout [OpenBlock]) -> Token? {
        let place = open.isEmpty ? Directive.Place.top : open[open.count - 1].place
        let row = name.isQuoted ? nil : place.flatMap { index.row(name.text, in: $0) }
        let directive = row.map { Directive.all[$0] }
        let this = tree.statements.count
        let firstWord = tree.words.count
        tree.statements.append(Statement(name: name, row: Int16(row ?? -1), firstWord: UInt32(firstWord)))
        tree.statements[this].end = this + 1
        if row == nil, let place, !name.isBroken { refuse(name, in: place) }
        var isBroken = name.isBroken
        var last = name
        var following: Token?
        var values = 0

        reading: while true {
            let token = lexer.next()
            switch token.kind {
            case .word:
                if token.word.isFirstOnLine, endsBefore(token.word, directive, values, place) {
                    if let block = directive?.block, directive?.isBlockOptional == false,
                        index.row(token.word.text, in: block) != nil
                    {
                        diagnostics.error(at: last.end, "a `{` is missing behind \(quoted(last.text))")
                        tree.statements[this].hasBlock = true
                        open.append(OpenBlock(statement: this, place: block, brace: name))
                    } else if directive?.block != nil, directive?.isBlockOptional == false {
                        missingBlock(name, at: last.end, tree.words.count > firstWord ? tree.words[firstWord] : nil, &isBroken)
                    } else {
                        missingSemicolon(last, &isBroken)
                    }
                    following = token
                    break reading
                }
                tree.words.append(token.word)
                if directive.map({ !isOption(token.word, of: $0) }) ?? true { values += 1 }
                isBroken = isBroken || token.word.isBroken
                last = token.word
            case .semicolon:
                if directive?.block != nil, directive?.isBlockOptional == false {
                    missingBlock(
                        name, at: token.word.location, tree.words.count > firstWord ? tree.words[firstWord] : nil, &isBroken)
                }
                break reading
            case .open:
                tree.statements[this].hasBlock = true
                var inner = directive?.block
                if let directive, directive.block == nil {
                    diagnostics.error(
                        at: token.word, "\(quoted(name.text)) takes no block", suggestion: "write `\(directive.usage)`")
                    isBroken = true
                    inner = nil
                }
                open.append(OpenBlock(statement: this, place: inner, brace: token.word))
                break reading
            case .close, .end:
                if !lexer.isBinary { missingSemicolon(last, &isBroken) }
                following = token
                break reading
            }
        }
        tree.statements[this].wordCount = UInt32(tree.words.count - firstWord)
        tree.statements[this].isBroken = isBroken
        if directive?.id == .include, !isBroken, tree.statements[this].wordCount == 1 {
            include(tree.words[firstWord])
        }
        return following
    }

    private func missingSemicolon(_ last: Word, _ isBroken: inout Bool) {
        if !isBroken { diagnostics.error(at: last.end, "a `;` is missing behind \(quoted(last.text))") }
    }

    private func missingBlock(_ name: Word, at location: Location, _ value: Word?, _ isBroken: inout Bool) {
        if !isBroken {
            // Who writes a URL or an address has one server in mind.
            let server = value.flatMap { Habits.server($0.text) }
            diagnostics.error(
                at: location, "\(quoted(name.text)) needs a block: `{ ... }`",
                suggestion: server.map { "write `\(name.text) NAME { server \($0); }`" })
        }
        isBroken = true
    }

    /// Whether a word that begins a line begins a statement too, so that the one before has lost its `;`.
    private func endsBefore(_ word: Word, _ directive: Directive?, _ values: Int, _ place: Directive.Place?) -> Bool {
        if let directive {
            if isOption(word, of: directive) { return false }
            guard let argument = directive.argument(at: values) else { return true }
            if word.isQuoted || argument.type.isChoice(word.text) { return false }
            if let block = directive.block, index.row(word.text, in: block) != nil, values >= directive.minimumArguments
            {
                return true
            }
        }
        return !word.isQuoted && index.row(word.text, in: place ?? .top) != nil
    }

    private func isOption(_ word: Word, of directive: Directive) -> Bool {
        !directive.options.isEmpty && word.optionName != nil
    }

    /// Says what is wrong with a name that has no row in its place.
    private func refuse(_ name: Word, in place: Directive.Place) {
        let places = name.isQuoted ? [] : index.places(of: name.text)
        guard places.isEmpty else {
            let here = place == .top ? "at the top level" : "in `\(place.rawValue)`"
            let blocks = places.filter { $0 != .top }.map(\.rawValue).joined(separator: ", ")
            let top = places.contains(.top) ? "at the top level" : nil
            let there = [top, blocks.isEmpty ? nil : "in " + blocks].compactMap { $0 }.joined(separator: " or ")
            diagnostics.error(at: name, "\(quoted(name.text)) can't stand \(here); it belongs \(there)")
            return
        }
        // `weight=2;`
        let assigned = name.optionName.map(String.init).flatMap { index.row($0, in: place) == nil ? nil : $0 }
        diagnostics.error(
            at: name, "\(quoted(name.text)) is not a directive",
            suggestion: assigned.map { "write `\($0) \(name.optionValue);`" }
                ?? Habits.directives[name.text]
                ?? suggester.suggestion(for: name.text, among: index.names(in: place))
                ?? suggester.suggestion(for: name.text, among: index.allNames)
                ?? "`gateway directives` lists them")
    }
}
