/// The statements of all files, outer before inner, in one flat array: neither depth nor number of blocks costs stack.
struct Tree {
    var files: [SourceFile] = []
    var statements: [Statement] = []
    /// The arguments of all statements, each statement's together.
    var words: [Word] = []

    func arguments(of statement: Statement) -> ArraySlice<Word> {
        words[Int(statement.firstWord)..<Int(statement.firstWord + statement.wordCount)]
    }
}

/// A name, its arguments, and perhaps a block: the statements that follow up to `end`.
struct Statement {
    var name: Word
    /// Of `Directive.all`; negative where the name means nothing in its place, which has been said.
    var row: Int16
    var firstWord: UInt32
    var wordCount: UInt32 = 0
    var hasBlock = false
    /// Something about its own words has been said: they are not judged again.
    var isBroken = false
    /// Index of the next statement that is not inside this one.
    var end: Int = 0
}
