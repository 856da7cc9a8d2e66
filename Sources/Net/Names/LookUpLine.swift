/// Names that wait to be looked up. Each stands under the key of whoever asks, and keys take turns: a hundred names of one
/// cost the others one turn, not a hundred.
struct LookUpLine {
    private var names: [String: Fifo<String>] = [:]
    /// Keys with names, in the order of their turns; without those that are set aside.
    private var turns = Fifo<String>()
    /// Keys whose share is used up.
    private var aside: Set<String> = []

    mutating func add(_ name: String, under key: String) {
        if names[key] == nil { turns.append(key) }
        names[key, default: Fifo()].append(name)
    }

    /// The next name, of a key that may have another one looked up. Other keys are set aside until `readmit`.
    mutating func next(mayBegin: (_ key: String) -> Bool) -> (name: String, key: String)? {
        while let key = turns.popFirst() {
            guard mayBegin(key) else {
                aside.insert(key)
                continue
            }
            guard let name = names[key]?.popFirst() else { continue }
            if names[key]?.isEmpty == false { turns.append(key) } else { names[key] = nil }
            return (name, key)
        }
        return nil
    }

    /// One of the key's look-ups has ended.
    mutating func readmit(_ key: String) {
        if aside.remove(key) != nil { turns.append(key) }
    }
}
