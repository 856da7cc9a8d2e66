import Base
import CLinux
import Glibc
import Net
import Proxy
import Synchronization

/// The process that is to take over from this one. On a thread of its own it is tried with the configuration, started, given
/// all that it needs, and heard; until it says that it is ready this gateway goes on as if nothing was.
final class Successor: Sendable {
    /// Why there is none, in its own words where it had any.
    struct Failure: Error {
        var lines: [String]

        init(_ lines: [String]) { self.lines = lines }
        init(_ line: String) { lines = [line] }
    }

    /// What it is given.
    struct Estate: Sendable {
        var program: Program
        var state: String
        /// Descriptors of the thread's own.
        var sockets: [Int32]
        var admin: Int32?
        var ticketKeys: [UInt64]

        func close() { for fd in sockets + [admin].compactMap({ $0 }) { Glibc.close(fd) } }
    }

    let child: ChildProcess
    let channel: SuccessionChannel
    /// Addresses of sockets that it has no use for.
    let untaken: Set<String>

    private init(_ child: ChildProcess, _ channel: SuccessionChannel, untaken: Set<String>) {
        (self.child, self.channel, self.untaken) = (child, channel, untaken)
    }

    /// Whoever wants to give it up may end the process that is under way.
    final class Attempt: Sendable {
        private struct State {
            var child: ChildProcess?
            var isGivenUp = false
        }
        private let state = Mutex(State())

        func giveUp() {
            let child = state.withLock { state in
                state.isGivenUp = true
                return state.child
            }
            child?.kill()
        }

        fileprivate func note(_ child: ChildProcess) {
            let isGivenUp = state.withLock { state in
                state.child = child
                return state.isGivenUp
            }
            if isGivenUp { child.kill() }
        }
    }

    /// Returns once it is ready. Where it is not the process is gone.
    static func start(_ estate: Estate, _ attempt: Attempt) throws(Failure) -> Successor {
        defer { estate.close() }
        try check(estate.program, attempt)
        let (ours, theirs): (SuccessionChannel, SuccessionChannel)
        let child: ChildProcess
        do throws(SystemError) {
            (ours, theirs) = try SuccessionChannel.pair()
            defer { theirs.close() }
            do throws(SystemError) {
                let words = [estate.program.path, "run", "-c", estate.program.configuration, Predecessor.option]
                child = try ChildProcess(words, channel: theirs.fd)
            } catch {
                ours.close()
                throw error
            }
        } catch { throw Failure("\(error)") }
        attempt.note(child)
        let deadline = Clock.monotonic() + Limits.upgradeNanoseconds
        var why = "process \(child.pid) has not said why; its log may"
        var isLate = false
        do throws(SystemError) {
            try give(estate, to: ours, by: deadline)
            if let answer = try ours.receive(by: deadline) {
                if answer.kind == .ready {
                    return Successor(child, ours, untaken: Set(answer.text.split(separator: "\n").map(String.init)))
                }
                why = answer.text
            }
        } catch {
            // It has closed its end, or is late; the first may have said why before.
            if error.code == ETIMEDOUT {
                isLate = true
                why = "process \(child.pid) was not ready within \(Limits.upgradeNanoseconds / 1_000_000_000) s"
            } else if let answer = try? ours.receive(by: deadline), answer.kind == .failed {
                why = answer.text
            }
        }
        ours.close()
        let end = ChildProcess.describe(child.end(within: isLate ? 0 : 1_000_000_000))
        throw Failure(why.split(separator: "\n").map(String.init) + ["\(estate.program.path): \(end)"])
    }

    private static func give(_ estate: Estate, to channel: SuccessionChannel, by deadline: UInt64) throws(SystemError) {
        for fd in estate.sockets { try channel.send(.socket, [], fd, by: deadline) }
        if let admin = estate.admin { try channel.send(.admin, [], admin, by: deadline) }
        let keys = estate.ticketKeys.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
        try channel.send(.keys, keys, by: deadline)
        try channel.send(.all, "\(getpid())\n\(estate.state)", by: deadline)
    }

    /// `gateway check` by the new binary: what it has against the configuration, or what keeps it from running at all.
    private static func check(_ program: Program, _ attempt: Attempt) throws(Failure) {
        var pipe: [Int32] = [-1, -1]
        guard pipe2(&pipe, O_CLOEXEC) == 0 else { throw Failure("\(SystemError("can't make a pipe"))") }
        defer { close(pipe[0]) }
        let child: ChildProcess
        do throws(SystemError) {
            defer { close(pipe[1]) }
            child = try ChildProcess([program.path, "check", "-c", program.configuration], output: pipe[1])
        } catch { throw Failure("\(error)") }
        attempt.note(child)
        let deadline = Clock.monotonic() + Limits.upgradeNanoseconds
        let (output, hasEnded) = read(pipe[0], by: deadline)
        if !hasEnded { child.kill() }
        let status = child.wait()
        if hasEnded, status == 0 { return }
        let late = "`\(program.path) check` took longer than \(Limits.upgradeNanoseconds / 1_000_000_000) s"
        throw Failure(
            output.split(separator: "\n").map(String.init)
                + [hasEnded ? "`\(program.path) check`: \(ChildProcess.describe(status))" : late])
    }

    /// All that is written to a pipe, up to a bound, and whether its writers have ended.
    private static func read(_ fd: Int32, by deadline: UInt64) -> (String, Bool) {
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 4096)
        while true {
            let now = Clock.monotonic()
            guard now < deadline else { return (String(decoding: bytes, as: UTF8.self), false) }
            var asked = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
            guard poll(&asked, 1, Int32((deadline - now) / 1_000_000 + 1)) > 0 else { continue }
            let count = Glibc.read(fd, &room, room.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return (String(decoding: bytes, as: UTF8.self), true) }
            if bytes.count < Limits.successionMessageMax { bytes += room[..<count] }
        }
    }

    /// All that this process had is free: the new one's from now on.
    func finish() {
        // Where it is gone, nobody waits for it.
        try? channel.send(.over, by: Clock.monotonic() + 1_000_000_000)
        channel.close()
    }
}
