import HTTP
import Testing

@Suite struct GRPCHealthTests {
    @Test("the question, as protobuf has it")
    func question() {
        #expect(GRPCHealth.question(about: "") == [0, 0, 0, 0, 0])
        #expect(GRPCHealth.question(about: "a.B") == [0, 0, 0, 0, 5, 0x0A, 3, 0x61, 0x2E, 0x42])
        let long = GRPCHealth.question(about: String(repeating: "x", count: 300))
        #expect(Array(long[..<8]) == [0, 0, 0, 1, 47, 0x0A, 0xAC, 2] && long.count == 308)
    }

    @Test(
        "answers",
        arguments: [
            ([0, 0, 0, 0, 2, 8, 1], GRPCHealth.Status.serving), ([0, 0, 0, 0, 2, 8, 2], .notServing), ([0, 0, 0, 0, 0], .unknown),
            ([0, 0, 0, 0, 2, 8, 3], .serviceUnknown), ([0, 0, 0, 0, 2, 8, 9], .unknown),
            // Fields that nobody knows stand around it, and the last one counts.
            ([0, 0, 0, 0, 9, 8, 2, 0x12, 1, 7, 0x18, 0x80, 8, 1], nil), ([0, 0, 0, 0, 9, 8, 2, 0x12, 1, 7, 0x18, 5, 8, 1], .serving),
            ([0, 0, 0, 0, 7, 0x25, 1, 2, 3, 4, 8, 1], .serving), ([0, 0, 0, 0, 11, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1], .serving),
        ] as [([UInt8], GRPCHealth.Status?)])
    func answers(body: [UInt8], status: GRPCHealth.Status?) { #expect(GRPCHealth.answer(in: body) == status) }

    @Test(
        "what is no answer",
        arguments: [
            [], [0, 0, 0, 0], [1, 0, 0, 0, 2, 8, 1], [0, 0, 0, 0, 3, 8, 1], [0, 0, 0, 0, 1, 8, 1], [0, 0, 0, 0, 1, 8],
            [0, 0, 0, 0, 2, 8, 0x81], [0, 255, 255, 255, 255, 8, 1], [0, 0, 0, 0, 2, 0x0A, 9], [0, 0, 0, 0, 2, 0x0B, 1],
            [0, 0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0], [0, 0, 0, 0, 3, 0x29, 1, 2],
            [0, 0, 0, 0, 12, 0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0],
        ] as [[UInt8]])
    func faulty(body: [UInt8]) { #expect(GRPCHealth.answer(in: body) == nil) }
}
