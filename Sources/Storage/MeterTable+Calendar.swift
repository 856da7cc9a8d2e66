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

    /// Notes what is believed, and the time by it, which the next boot won't go back behind.
    public func setCalendar(offset: UInt64, monotonic: UInt64) {
        if calendarOffset != offset { header[Word.calendarOffset].store(offset) }
        header[Word.calendarTime].store(monotonic &+ offset)
    }

    /// Where trusted time goes on when the table is opened.
    static func agreeOnCalendar(_ header: Header, boot: UInt64, at now: Moment) -> TrustedTime {
        let known = header[Word.calendarTime].load()
        let isSameBoot = boot != 0 && header[Word.calendarBoot].load() == boot
        let trusted =
            if known == 0 {
                TrustedTime(now)
            } else if isSameBoot {
                TrustedTime(now, goingOn: header[Word.calendarOffset].load())
            } else {
                TrustedTime(now, after: known)
            }
        header[Word.calendarOffset].store(trusted.offset)
        header[Word.calendarTime].store(trusted.time(at: now.monotonic))
        header[Word.calendarBoot].store(boot)
        return trusted
    }
}
