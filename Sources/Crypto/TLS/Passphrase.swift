import COpenSSL

/// What opens an encrypted file, for OpenSSL to ask for while it reads. Without one the file is not read: left to itself
/// OpenSSL asks at the terminal, and waits.
final class Passphrase {
    private let bytes: [UInt8]
    private(set) var wasAsked = false

    init(_ text: String?) { bytes = text.map { Array($0.utf8) } ?? [] }

    private func write(to room: UnsafeMutableRawBufferPointer) -> Int32 {
        wasAsked = true
        guard !bytes.isEmpty, bytes.count <= room.count else { return -1 }
        unsafe room.copyBytes(from: bytes)
        return Int32(bytes.count)
    }

    /// For `pem_password_cb`: the object stands behind its last argument, or nothing does.
    static let callback: @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 = {
        room, size, _, passphrase in
        guard let passphrase = unsafe passphrase else { return -1 }
        let room = unsafe UnsafeMutableRawBufferPointer(start: room, count: Int(size))
        return unsafe Unmanaged<Passphrase>.fromOpaque(passphrase).takeUnretainedValue().write(to: room)
    }
}
