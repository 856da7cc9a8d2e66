import Configuration
import Glibc

/// What a reload opens ahead: in use once nothing can go wrong any more, else closed.
struct NewSockets: Sendable {
    var listeners: WorkerSockets
    /// Where the admin listener moves to.
    var admin: Int32?

    func close() {
        listeners.close()
        if let admin { Glibc.close(admin) }
    }
}
