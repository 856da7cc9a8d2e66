import Metrics
import Net

/// Renders the metrics for whoever scrapes them: on a thread of its own, for with a hundred thousand tenants that takes a
/// second. One at a time; all who ask for the same form meanwhile get the next one, which begins after they asked.
final class Scrapes {
    private typealias Done = ([UInt8]) -> Void

    private let registry: MetricsRegistry
    private let mailbox: Mailbox<[UInt8]>
    private var waiting: [(format: TextFormat, told: [Done])] = []
    /// Who gets the one that is under way; nil while none is.
    private var served: [Done]?

    init(_ registry: MetricsRegistry) throws(SystemError) { (self.registry, mailbox) = (registry, try Mailbox()) }

    func deliver(on loop: EventLoop) throws(SystemError) {
        try mailbox.deliver(on: loop) { [unowned self] text in
            let told = served ?? []
            served = nil
            for done in told { done(text) }
            begin()
        }
    }

    /// Calls `done` once, on the loop's thread.
    func render(_ format: TextFormat, _ done: @escaping ([UInt8]) -> Void) {
        if let place = waiting.firstIndex(where: { $0.format == format }) {
            waiting[place].told.append(done)
        } else {
            waiting.append((format, [done]))
        }
        begin()
    }

    private func begin() {
        guard served == nil, !waiting.isEmpty else { return }
        let (format, told) = waiting.removeFirst()
        served = told
        let (registry, mailbox) = (registry, mailbox)
        do throws(SystemError) {
            try Thread("metrics", isBackground: true) { mailbox.post(registry.render(format)) }.detach()
        } catch {
            // Where no thread is to be had, whoever scrapes should see that: it is rendered here.
            mailbox.post(registry.render(format))
        }
    }
}
