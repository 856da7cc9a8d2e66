import CLinux

/// What epoll_wait(2) wrote. Its events have a pointer in a union with the number that is used here: no pointer is ever put
/// in, and none is taken out.
@safe struct Reported {
    private static let most = 512
    private var events = unsafe [epoll_event](repeating: epoll_event(), count: most)

    /// How many there are from now on; below zero when the call was interrupted or has failed.
    mutating func wait(_ epoll: Int32, milliseconds: Int32) -> Int {
        Int(unsafe epoll_wait(epoll, &events, Int32(Self.most), milliseconds))
    }

    /// The key that the descriptor was added with, and what is reported of it.
    @inline(__always)
    subscript(index: Int) -> (key: UInt64, events: Readiness) {
        unsafe (events[index].data.u64, Readiness(rawValue: events[index].events))
    }
}
