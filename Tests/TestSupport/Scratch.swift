import Foundation

/// What the tests of this process write to; gone at its end.
private let scratch: URL = {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gateway-\(UUID().uuidString)")
    atexit { try? FileManager.default.removeItem(at: scratch) }
    return folder
}()

private func freshFolder() throws -> URL {
    let folder = scratch.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// A path that nothing is at, in a folder of its own.
public func freshPath(_ name: String = "meters") -> String {
    // Without the folder whoever opens the path fails, and says so.
    ((try? freshFolder()) ?? scratch).appendingPathComponent(name).path
}

/// A folder that is gone at the end of `body`.
public func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = try freshFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.path)
}
