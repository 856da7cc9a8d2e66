/// When its answer, or the next part of it, is due: it has one deadline, which the exchange moves.
extension H1Upstream {
    /// The answer, or its next part, must come within `timeout` from now.
    func expectAnswer(within timeout: UInt64) {
        responseTimeout = timeout
        loop.schedule(self, at: loop.now + timeout)
    }

    /// The client is slow: nothing is read, and no time runs.
    func pause() {
        isHeldByPace = exchange?.isPaced == true
        loop.schedule(self, at: isHeldByPace ? exchange!.bill.pacedUntil : .max)
    }

    /// The client takes more: the next part of the answer may be there already.
    /// - Parameter isOwed: it is due, from now on.
    func resume(isOwed: Bool) {
        if isOwed, responseTimeout > 0 { loop.schedule(self, at: loop.now + responseTimeout) }
        loop.wake(self, [])
    }
}
