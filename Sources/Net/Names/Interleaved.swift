extension Array {
    /// IPv4 and IPv6 in turns for as long as there are both, beginning with the family of the first one; those of a family
    /// stay in their order (RFC 8305 section 4).
    public func interleaved(isIPv4: (Element) -> Bool) -> [Element] {
        guard let first else { return [] }
        let family = isIPv4(first)
        let (ones, others) = (filter { isIPv4($0) == family }, filter { isIPv4($0) != family })
        if others.isEmpty { return self }
        var all: [Element] = []
        all.reserveCapacity(count)
        for i in 0..<Swift.max(ones.count, others.count) {
            if i < ones.count { all.append(ones[i]) }
            if i < others.count { all.append(others[i]) }
        }
        return all
    }
}
