import Crypto
import Foundation
import TestSupport
import Testing

/// A server's end of TLS over a peer's connection.
final class TLSPeer {
    private let peer: Peer
    private let io = TLSRoom()
    private let session: TLSSession
    private let received = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 1)

    deinit { received.deallocate() }

    init?(_ peer: Peer, _ listener: TLSListener) {
        guard let session = TLSSession(listener: listener, io: io) else { return nil }
        (self.peer, self.session) = (peer, session)
    }

    /// With its hands shaken.
    static func accepting(_ peer: Peer, _ listener: TLSListener) -> TLSPeer? {
        if let made = TLSPeer(peer, listener), made.shakeHands() { return made }
        Issue.record("no handshake")
        return nil
    }

    private func flush() {
        peer.send(Array(io.produced))
        io.clearProduced()
    }

    /// More for the session, where it stays until it has been read. False at the end.
    private func receive() -> Bool {
        guard let bytes = peer.receive(), !bytes.isEmpty else { return false }
        received.copyBytes(from: bytes)
        session.receive(UnsafeRawBufferPointer(rebasing: received[..<bytes.count]))
        return true
    }

    /// False where it fails.
    func shakeHands() -> Bool {
        while receive() {
            var outcome = session.handshake()
            if outcome == .named { outcome = session.resumeHandshake() }
            flush()
            switch outcome {
            case .done: return true
            case .failed: return false
            case .wantsMore, .named: continue
            }
        }
        return false
    }

    /// What comes next; empty at the end.
    func read() -> String {
        var room = [UInt8](repeating: 0, count: 1 << 17)
        while true {
            switch room.withUnsafeMutableBytes({ session.read(into: $0) }) {
            case .bytes(let count): return String(decoding: room[..<count], as: UTF8.self)
            case .closed, .failed: return ""
            case .wantsMore: if !receive() { return "" }
            }
        }
    }

    func send(_ text: String) {
        for start in stride(from: 0, to: text.utf8.count, by: 16 << 10) {
            let piece = Array(text.utf8.dropFirst(start).prefix(16 << 10))
            _ = piece.withUnsafeBytes { session.write($0) }
            flush()
        }
    }

    /// Says that this is the end.
    func finish() {
        session.finish()
        flush()
    }
}

/// A certificate for these names, which is its own authority.
struct Identity {
    let listener: TLSListener
    let authorities: ServerAuthorities
    let file: String

    init(_ names: [String]) throws {
        let folder = NSTemporaryDirectory() + "client-tests-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        file = folder + "/chain.pem"
        try DevelopmentCertificate.write(names: names, chain: file, key: folder + "/key.pem")
        let certificate = try Certificate(chain: file, key: folder + "/key.pem")
        listener = try TLSListener(certificates: [certificate], protocols: [], minVersion: 0x0303)
        authorities = try ServerAuthorities(file: file)
    }
}
