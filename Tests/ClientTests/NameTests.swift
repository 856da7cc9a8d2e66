import Base
import Glibc
import Net
import Synchronization
import TestSupport
import Testing

@testable import Client
@testable import Net

@Suite struct NameTests {
    /// Resolves `here` to this machine, fails for `nowhere`, and hangs for all else until it is let go.
    private final class NameServer: Sendable {
        let isOpen = Atomic<Bool>(false)

        func lookUp(_ name: String) -> Resolver.Outcome {
            switch name {
            case "here": return .addresses([SocketAddress("127.0.0.1", port: 0)!])
            case "nowhere": return .failed("no such name")
            default:
                while !isOpen.load(ordering: .relaxed) { pause(1) }
                return .failed("too late")
            }
        }
    }

    @Test("a name is looked up beside the loop")
    func found() throws {
        let server = try Server { peer in
            #expect(peer.readHead().contains("Host: here\r\n"))
            peer.send(length("hello"))
        }
        let scene = try Scene(resolver: Resolver(lookUp: NameServer().lookUp))
        let told = try scene.run(.init("GET", "/", authority: "here"), at: Destination(host: "here", port: server.port))
        #expect(told.text == "hello")
    }

    @Test("one that does not exist is said to be so")
    func nowhere() throws {
        let scene = try Scene(resolver: Resolver(lookUp: NameServer().lookUp))
        #expect(try scene.run(at: Destination(host: "nowhere", port: 80)).failure == "nowhere is not found: no such name")
    }

    @Test("the deadline holds for the look-up, on a loop and for whoever waits; an answer after it finds nobody, and no harm")
    func late() throws {
        let names = NameServer()
        let resolver = Resolver(lookUp: names.lookUp)
        let scene = try Scene(resolver: resolver)
        let told = try scene.run(at: Destination(host: "dead", port: 80), within: 50 * millisecond)
        #expect(told.failure == "dead is not found: no answer in time" && told.taken < 2 * second)
        let began = Clock.monotonic()
        #expect(throws: ClientFailure.self) {
            try HTTPClient.wait(
                for: .init("GET", "/", authority: "a"), at: Destination(host: "dead too", port: 80), by: began + 50 * millisecond,
                limits: AnswerLimits(body: 0), resolver: resolver)
        }
        #expect(Clock.monotonic() - began < 2 * second)
        names.isOpen.store(true, ordering: .relaxed)
        // Both threads of the resolver are done with their mail once a next name has been looked up.
        _ = try Scene(resolver: resolver).run(at: Destination(host: "nowhere", port: 80))
    }
}
