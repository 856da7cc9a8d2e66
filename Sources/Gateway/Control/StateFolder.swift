import Base
import Crypto
import Glibc
import Metering
import Net
import Storage

/// The folder under `state`: only its owner may look into it.
struct StateFolder: Sendable {
    let path: String
    var ledgerPath: String { path + "/ledger" }
    var metersPath: String { path + "/meters" }
    var tokenPath: String { path + "/admin.token" }

    /// What the meters know of the ledger; nil where there are none. Where the ledger is gone with them what was noted beside it
    /// tells that there was one.
    var ledgerMemory: LedgerMemory? {
        if let meters = MeterSnapshot(path: metersPath).flatMap({ LedgerMemory($0) }) { return meters }
        return isLedgerLost ? .lost(at: Clock.moment().wall) : nil
    }

    /// Only who has the ledger notes plans and prices, and of a ledger invoices are issued.
    private var isLedgerLost: Bool {
        guard (try? LedgerFolder(ledgerPath).hasLines) == false else { return false }
        let invoices = (try? DiskFiles().status(path: path + "/invoices")) ?? nil
        return invoices != nil || (try? TermsBook(path).entries.isEmpty) == false
    }

    /// Plans and prices since when; what is missing of them the meters know.
    var termsBook: TermsBook {
        get throws(StorageFault) { try TermsBook(path, written: ledgerMemory?.terms ?? 0) }
    }

    /// The time of day, no later than a gateway of this boot believes it to be: what is not over by both clocks is not
    /// over. For commands.
    var time: UInt64 {
        let now = Clock.moment()
        guard let trusted = MeterSnapshot(path: metersPath)?.wall(monotonic: now.monotonic) else { return now.wall }
        return min(trusted, now.wall)
    }

    /// Waits until nobody else changes the ledger's files, and says so where it is long. For commands.
    func takeTurn() throws(StorageFault) -> LedgerTurn {
        try LedgerTurn.take(in: LedgerFolder(ledgerPath), waits: tellWaiting)
    }

    func tellWaiting(_ path: String) {
        Console.error("gateway: waits for its turn: another command or a running gateway has \(path)")
    }

    /// Makes what is missing.
    static func open(_ path: String) throws(SystemError) -> StateFolder {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw SystemError("can't make the state folder \(path)") }
        guard access(path, W_OK | X_OK) == 0 else { throw SystemError("can't write to the state folder \(path)") }
        return StateFolder(path: path)
    }

    /// The admin API's token, made at the first start.
    func token() throws(SystemError) -> [UInt8] {
        // Whatever keeps it from being read: only one that is not there is made.
        if let known = try Self.findToken(tokenPath), !known.isEmpty { return known }
        let token = Random.bytes(32).flatMap { byte in
            let digits = Array("0123456789abcdef".utf8)
            return [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        let fd = Glibc.open(tokenPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw SystemError("can't write \(tokenPath)") }
        defer { close(fd) }
        // An empty file that was there already may be open to others.
        guard fchmod(fd, 0o600) == 0 else { throw SystemError("can't keep \(tokenPath) to its owner") }
        let line = token + [0x0A]
        let written = write(fd, line, line.count)
        guard written == line.count else {
            let error = SystemError("can't write \(tokenPath)", written < 0 ? errno : ENOSPC)
            // A part of a token would be taken for one at the next start.
            unlink(tokenPath)
            throw error
        }
        return token
    }

    static func readToken(_ path: String) throws(SystemError) -> [UInt8] {
        guard let token = try findToken(path) else { throw SystemError("can't read \(path)", ENOENT) }
        return token
    }

    /// nil where there is none.
    private static func findToken(_ path: String) throws(SystemError) -> [UInt8]? {
        do throws(RegularFile.Fault) {
            return try RegularFile.read(path, atMost: 256).prefix { $0 > 0x20 }.map { $0 }
        } catch {
            if error == .system(ENOENT) { return nil }
            throw SystemError("can't read \(path)", error.code)
        }
    }
}
