import Testing

@testable import Metrics

@Suite struct ServerReadingTests {
    private func reading(_ server: String, _ state: ServerState) -> ServerReading {
        ServerReading(ServerMetrics.Key(upstream: "app", server: server), state)
    }

    @Test("servers of a template that metrics don't tell apart stand as the worst of them does, and all in order")
    func summed() {
        let summed = ServerReading.summed([
            reading("b:1", .up), reading("a:1", .slowStart), reading("b:1", .ejected), reading("b:1", .slowStart),
        ])
        #expect(summed.map(\.key.server) == ["a:1", "b:1"])
        #expect(summed.map(\.state) == [.slowStart, .ejected])
    }
}
