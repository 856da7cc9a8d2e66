import Testing

@testable import Crypto

@Suite("Session tickets")
struct SessionTicketTests {
    @Test("the keys that are handed over are taken as they are, and what is none changes nothing")
    func handedOver() {
        let keys = SessionTickets.handedOver
        #expect(keys.count == 11)
        for words in [[], [1], Array(keys.dropLast()), keys + keys + keys + keys] { #expect(!SessionTickets.adopt(words)) }
        #expect(SessionTickets.handedOver == keys)
        #expect(SessionTickets.adopt(keys))
        #expect(SessionTickets.handedOver == keys)
    }
}
