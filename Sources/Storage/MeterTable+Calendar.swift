import Base

/// The time of day that quotas and the ledger go by (`TrustedTime`), kept with what they count: the same for all who have
/// the table open, and for who opens it next.
extension MeterTable {
    /// Nanoseconds since 1970 at a monotonic time, as it is believed to be.
    @inline(__always)
    public func wall(monotonic: UInt64) -> UInt64 { monotonic &+ calendarOffset }

    /// Nanoseconds to add to the monotonic clock, wrapping.
    @inline(__always)
    public var calendarOffset: UInt64 { header[Word.calendarOffset].load() }

    /// Notes what is believed and what is doubted, and the time that is known, which the next boot won't go back behind.
    public func setCalendar(_ trusted: TrustedTime, monotonic: UInt64) {
        Self.note(trusted.state, in: header)
        header[Word.calendarTime].store(trusted.known(at: monotonic))
    }

    private static func note(_ state: TrustedTime.State, in header: Header) {
        for (word, value) in [
            (Word.calendarOffset, state.offset),
            (Word.calendarDoubt.offset, state.doubtOffset), (Word.calendarDoubt.since, state.doubtSince),
            (Word.calendarStart.offset, state.startOffset), (Word.calendarStart.since, state.startSince),
        ] where header[word].load() != value { header[word].store(value) }
    }

    private static func state(in header: Header) -> TrustedTime.State {
        var state = TrustedTime.State()
        state.offset = header[Word.calendarOffset].load()
        state.doubtOffset = header[Word.calendarDoubt.offset].load()
        state.doubtSince = header[Word.calendarDoubt.since].load()
        state.startOffset = header[Word.calendarStart.offset].load()
        state.startSince = header[Word.calendarStart.since].load()
        return state
    }

    /// Where trusted time goes on when the table is opened.
    static func agreeOnCalendar(_ header: Header, boot: UInt64, at now: Moment) -> TrustedTime {
        let known = header[Word.calendarTime].load()
        let isSameBoot = boot != 0 && header[Word.calendarBoot].load() == boot
        let trusted =
            if known == 0 {
                TrustedTime(now)
            } else if isSameBoot {
                TrustedTime(now, goingOn: state(in: header))
            } else {
                TrustedTime(now, after: known)
            }
        note(trusted.state, in: header)
        header[Word.calendarTime].store(trusted.known(at: now.monotonic))
        header[Word.calendarBoot].store(boot)
        return trusted
    }
}
