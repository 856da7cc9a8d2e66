import Configuration
import Testing

@testable import Proxy

@Suite struct AddressHealthTests {
    private func settings(fall: Int, rise: Int) -> HealthCheckSettings {
        var settings = HealthCheckSettings(path: "/")
        (settings.fall, settings.rise) = (fall, rise)
        return settings
    }

    @Test("it falls after so many failures in a row, and rises after so many answers in a row")
    func inARow() {
        let settings = settings(fall: 3, rise: 2)
        var health = AddressHealth(isUp: true)
        let seen = [
            HealthVerdict.failed(""), .failed(""), .healthy, .failed(""), .failed(""), .failed(""), .healthy, .failed(""),
            .healthy, .healthy, .failed(""),
        ].map { verdict in
            health.record(verdict, settings)
            return health.isUp
        }
        #expect(seen == [true, true, true, true, true, false, false, false, false, true, true])
    }

    @Test("what this machine lacks says nothing, and breaks no row")
    func unknown() {
        let settings = settings(fall: 2, rise: 1)
        var health = AddressHealth(isUp: true)
        for verdict in [HealthVerdict.failed(""), .unknown] { health.record(verdict, settings) }
        #expect(health.isUp)
        health.record(.failed(""), settings)
        #expect(!health.isUp)
        health.record(.unknown, settings)
        #expect(!health.isUp)
    }
}
