import Glibc
import Storage

/// Whose a ledger is. Root changes its files as that user: what root makes there would be root's, and his gateway could not open
/// it; and a link that he has put there leads root nowhere but where he may go himself.
enum LedgerOwner {
    /// For good, where this is root and the ledger is somebody else's.
    static func become(of state: StateFolder) throws(StorageFault) {
        guard geteuid() == 0, let (user, group) = owner(of: state) else { return }
        guard setgroups(0, nil) == 0, setgid(group == 0 ? nobodys : group) == 0, setuid(user) == 0 else {
            throw .system("can't become user \(user), who has", path: state.ledgerPath, code: errno)
        }
    }

    /// A group that has nothing: a folder may be left to root's own, whose files are not that user's.
    private static let nobodys: gid_t = 65534

    /// nil where it is root's, or root runs a gateway there, which has its files as root.
    private static func owner(of state: StateFolder) -> (user: uid_t, group: gid_t)? {
        var status = stat()
        if lstat(state.metersPath, &status) == 0, status.st_uid == 0 { return nil }
        // First a link's own: where it leads is for who has put it there.
        for (path, isFollowed) in [(state.ledgerPath, false), (state.ledgerPath, true), (state.path, true)] {
            let isThere = (isFollowed ? stat(path, &status) : lstat(path, &status)) == 0
            if isThere, status.st_uid != 0 { return (status.st_uid, status.st_gid) }
        }
        return nil
    }
}
