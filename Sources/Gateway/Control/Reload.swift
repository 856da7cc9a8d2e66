import Admin

/// Why a configuration that is right can't come into force.
struct ReloadObstacle: Error {
    var description: String
}

/// One reload at a time. Whoever asks while one is under way gets the outcome of the next, which starts after it: the file
/// may have changed since this one read it.
final class Reload {
    private var asked: [(ReloadOutcome) -> Void] = []
    private var asksAgain: [(ReloadOutcome) -> Void] = []
    private(set) var isRunning = false
    /// How often a worker has yet to say that it goes by the new configuration, or has the socket that another one gave.
    var waitingForWorkers = 0
    var change: ReloadChange?

    /// True when the caller is to start one.
    func join(_ done: @escaping (ReloadOutcome) -> Void) -> Bool {
        if isRunning {
            asksAgain.append(done)
            return false
        }
        isRunning = true
        asked.append(done)
        return true
    }

    /// Tells everybody who asked. True when another one is to be started.
    func finish(_ outcome: ReloadOutcome) -> Bool {
        let told = asked
        (asked, asksAgain, isRunning, change) = (asksAgain, [], false, nil)
        for done in told { done(outcome) }
        return !asked.isEmpty
    }
}
