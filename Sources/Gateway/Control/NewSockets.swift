import Configuration
import Glibc

/// What a reload opens ahead: in use once nothing can go wrong any more, else closed.
struct NewSockets: Sendable {
    /// Of new listeners, for each worker.
    var listeners: [[Endpoint: Int32]]
    /// Where the admin listener moves to.
    var admin: Int32?

    func close() {
        ListenerSockets.close(listeners)
        if let admin { Glibc.close(admin) }
    }
}
