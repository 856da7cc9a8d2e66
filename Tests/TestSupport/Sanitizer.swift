import Glibc

/// Under which sanitizer the tests run (`Tests/sanitize`): `address`, `thread`, or nil without one.
public var sanitizer: String? { getenv("SANITIZER").map { String(cString: $0) } }
