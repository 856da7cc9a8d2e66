import Base
import Configuration
import Glibc
import Net
import Proxy
import Storage

/// How commands find the gateway that runs: a file under its state, `running`, with its process id and the address of its
/// admin listener. It tells of the newest one, and of none that has ended.
struct RunningGateway {
    var pid: Int32
    /// As `127.0.0.1:9901`; nil where it has no admin listener.
    var admin: String?

    static func path(_ state: String) -> String { state + "/running" }

    /// The one that runs with this state; nil where none does, as far as its file says.
    static func find(state: String) -> RunningGateway? {
        // The process of a file that was left over may be anybody by now.
        if MeterTable.isOpen(StateFolder(path: state).metersPath) == false { return nil }
        let words = ConfigurationSource.disk.text(path(state)).split(whereSeparator: \.isWhitespace)
        guard let first = words.first, let pid = Int32(first), pid > 0, kill(pid, 0) == 0 || errno == EPERM else {
            return nil
        }
        return RunningGateway(pid: pid, admin: words.count > 1 ? String(words[1]) : nil)
    }

    /// This process is the one. Without the file commands go by the configuration alone: no reason not to serve.
    static func note(admin: Endpoint?, state: String) {
        let line = [String(getpid()), admin?.label].compactMap { $0 }.joined(separator: " ") + "\n"
        let new = path(state) + ".new"
        let fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { return }
        let written = write(fd, line, line.utf8.count)
        close(fd)
        if written == line.utf8.count { rename(new, path(state)) } else { unlink(new) }
    }

    /// This process ends. Another one may run beside it.
    static func forget(state: String) {
        if find(state: state)?.pid == getpid() { unlink(path(state)) }
    }
}
