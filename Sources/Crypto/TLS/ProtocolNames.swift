/// ALPN's lists of names (RFC 7301 section 3.1): a byte of length before each name.
enum ProtocolNames {
    /// Where each name of a list stands in it. Ends before a name that is cut off.
    static func ranges(of list: [UInt8]) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var at = 0
        while at < list.count, at + 1 + Int(list[at]) <= list.count {
            let name = at + 1..<at + 1 + Int(list[at])
            found.append(name)
            at = name.upperBound
        }
        return found
    }

    /// The first name of `ours` that is one of `theirs`: where it stands there. Nil where they have none in common.
    static func first(of ours: [UInt8], in theirs: [UInt8]) -> Range<Int>? {
        let offered = ranges(of: theirs)
        for own in ranges(of: ours) {
            if let found = offered.first(where: { theirs[$0] == ours[own] }) { return found }
        }
        return nil
    }
}
