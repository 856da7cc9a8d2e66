import Configuration

/// What health checks have found out about one address: it falls after so many failures in a row, and rises after so many
/// answers.
struct AddressHealth {
    private(set) var isUp: Bool
    private var failures = 0
    private var successes = 0

    /// - Parameter isUp: an address begins as what its server is at the moment.
    init(isUp: Bool) { self.isUp = isUp }

    mutating func record(_ verdict: HealthVerdict, _ settings: HealthCheckSettings) {
        switch verdict {
        case .failed:
            (failures, successes) = (failures + 1, 0)
            if failures >= settings.fall { isUp = false }
        case .healthy:
            (failures, successes) = (0, successes + 1)
            if successes >= settings.rise { isUp = true }
        case .unknown: break
        }
    }
}
