/// How the authorities of some certificates stand to each other.
public enum AuthorityLine {
    /// Whether they are one to whoever names none: a single authority, or a root, its intermediate, and so on, down a line
    /// without a branch. Of two that don't stand under one another, each could issue the other's subjects.
    public static func isOne(_ certificates: [AuthorityCertificate]) -> Bool {
        let authorities = Dictionary(grouping: certificates, by: \.id)
        if authorities.count < 2 { return true }
        func issued(_ above: Digest256, _ below: Digest256) -> Bool {
            (authorities[above] ?? []).contains { one in (authorities[below] ?? []).contains(where: one.issued) }
        }
        // Who signs itself needs nobody, even where somebody else has signed it too.
        var next = authorities.keys.filter { id in
            issued(id, id) || !authorities.keys.contains { $0 != id && issued($0, id) }
        }
        var line: Set<Digest256> = []
        while next.count == 1, line.insert(next[0]).inserted {
            let above = next[0]
            next = authorities.keys.filter { $0 != above && issued(above, $0) }
        }
        return next.isEmpty && line.count == authorities.count
    }
}
