import Configuration
import Quotas
import Storage
import Testing

@Suite("A book of limits")
struct BookTests {
    private func tenants(_ count: Int) -> [TenantSettings] {
        (0..<count).map { number in
            var tenant = TenantSettings(id: "t\(number)", location: Location(file: 0, line: 1, column: 1))
            tenant.usage.rates = [RateSettings(count: 10, period: .second, burst: 20)]
            tenant.usage.quotas = [QuotaSettings(count: 1000, period: .month)]
            return tenant
        }
    }

    @Test("tenants with the same limits are counted apart")
    func apart() throws {
        let book = try QuotaBook(tenants(3), table: freshTable())
        #expect(Set(book.tenants.map(\.own.meter.index)).count == 3)
        #expect(book.tenants[0].own.names == ["rate-second", "quota-month"])
        let clock = ManualClock()
        var enforcer = QuotaEnforcer(table: book.table, wall: clock.wall)
        func ask(_ tenant: TenantLimits) -> Bool {
            var admission = Admission(tenant: tenant.own, key: nil, terms: tenant.terms)
            return enforcer.reserve(&admission, monotonic: clock.monotonic, wall: clock.wall).isAdmitted
        }
        let first = (0..<30).filter { _ in ask(book.tenants[0]) }
        #expect(first.count == 20)
        #expect(ask(book.tenants[1]))
        #expect(book.tenants[2].own.meter.value(.admitted) == 0)
    }

    @Test("the same configuration again takes and gives nothing")
    func changesNothing() throws {
        let table = try freshTable()
        let settings = tenants(1)
        let meter = try QuotaBook(settings, table: table).tenants[0].own.meter
        let clock = ManualClock()
        var enforcer = QuotaEnforcer(table: table, wall: clock.wall)
        let again = try QuotaBook(settings, table: table).tenants[0]
        var admission = Admission(tenant: again.own, key: nil, terms: again.terms)
        _ = enforcer.reserve(&admission, monotonic: clock.monotonic, wall: clock.wall)
        let taken = [meter.value(.bucket(0)), meter.value(.window(2))]
        _ = try QuotaBook(settings, table: table)
        #expect(taken == [meter.value(.bucket(0)), meter.value(.window(2))])
        #expect(taken.allSatisfy { $0 > 0 })
    }

    @Test("100,000 tenants of one plan take seconds, also in a debug build", .timeLimit(.minutes(2)))
    func many() throws {
        let table = try freshTable()
        let settings = tenants(100_000)
        let book = try QuotaBook(settings, table: table)
        book.retireOthers()
        #expect(book.tenants.count == 100_000)
    }
}
