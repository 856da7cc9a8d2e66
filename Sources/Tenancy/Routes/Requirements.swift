import Base

/// What the consumer of a route must have: of each line one of its roles, and each of its scopes. A handle to a record of its
/// `Directory`.
public struct Requirements {
    struct Record {
        var lines: List<Line>
    }

    struct Line {
        /// One of these; none: no role is asked for.
        var roles: List<UnsafeRawBufferPointer>
        var scopes: List<UnsafeRawBufferPointer>
    }

    let record: UnsafePointer<Record>

    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// - Parameters: whether a role, or a scope, is among those that the request's credentials give.
    public func areMet(role: (UnsafeRawBufferPointer) -> Bool, scope: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        let lines = record.pointee.lines
        for i in 0..<lines.count {
            let (roles, scopes) = (lines[i].roles, lines[i].scopes)
            if roles.count > 0, !roles.contains(where: role) { return false }
            for j in 0..<scopes.count where !scope(scopes[j]) { return false }
        }
        return true
    }
}

/// Names of roles or scopes with commas between.
public enum Grants {
    public static func names(_ list: UnsafeRawBufferPointer, contain name: UnsafeRawBufferPointer) -> Bool {
        var start = 0
        while start + name.count <= list.count {
            var end = start
            while end < list.count, list[end] != 0x2C { end += 1 }
            if end - start == name.count, list[start..<end].elementsEqual(name) { return true }
            start = end + 1
        }
        return false
    }
}
