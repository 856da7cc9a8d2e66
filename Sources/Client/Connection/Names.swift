import Base
import Net

/// Names looked up for one loop: the resolver's threads answer by mail. To be ended on the loop's thread.
public final class Names {
    private struct Answer: Sendable {
        var number: Int
        var outcome: Resolver.Outcome
    }

    private let resolver: Resolver
    private let loop: EventLoop
    private let flow: Flow
    /// Made with the first name.
    private var mailbox: Mailbox<Answer>?
    private var delivery: Delivery?
    private var waiting: [Int: (Resolver.Outcome) -> Void] = [:]
    private var asked = 0

    public init(_ resolver: Resolver, loop: EventLoop, flow: Flow) {
        (self.resolver, self.loop, self.flow) = (resolver, loop, flow)
    }

    /// Calls `done` later, in a turn of its own, unless it is forgotten before. The number to forget it by.
    func lookUp(
        _ host: String, port: UInt16, done: @escaping (Resolver.Outcome) -> Void
    ) throws(SystemError) -> Int {
        let mailbox = try openMailbox()
        asked += 1
        let number = asked
        waiting[number] = done
        resolver.resolve(host, port: port, under: host) { mailbox.post(Answer(number: number, outcome: $0)) }
        return number
    }

    func forget(_ number: Int) { waiting[number] = nil }

    private func openMailbox() throws(SystemError) -> Mailbox<Answer> {
        if let mailbox { return mailbox }
        let made = try Mailbox<Answer>()
        delivery = try made.deliver(on: loop, in: flow) { [weak self] mail in
            self?.waiting.removeValue(forKey: mail.number)?(mail.outcome)
        }
        mailbox = made
        return made
    }

    /// Nobody is answered any more.
    func end() {
        delivery?.end()
        (delivery, mailbox, waiting) = (nil, nil, [:])
    }
}
