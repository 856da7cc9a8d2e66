import Testing

@testable import Configuration
@testable import Proxy

@Suite("Upstreams and their names")
struct UpstreamKeysTests {
    /// `a=1,2` is the upstream `a` with the servers 1 and 2.
    private func upstreams(_ texts: [String]) -> [UpstreamSettings] {
        texts.map { text in
            let parts = text.split(separator: "=")
            let nowhere = Location(file: 0, line: 0, column: 0)
            var upstream = UpstreamSettings(name: String(parts[0]), location: nowhere)
            upstream.servers = parts[1].split(separator: ",").map { ServerSettings(host: String($0), port: 80, location: nowhere) }
            return upstream
        }
    }

    /// The keys of the last of these configurations.
    private func keys(_ configurations: [String]...) -> [String] {
        var known = UpstreamKeys()
        var last: [String] = []
        for texts in configurations { (last, known) = known.next(upstreams(texts)) }
        return last
    }

    @Test("a name stays what it is, whatever its servers are and wherever it stands")
    func same() {
        #expect(keys(["a=1", "b=2"], ["b=1", "a=3"]) == ["b", "a"])
    }

    @Test("another name for the same servers is the same upstream, in whatever order they are")
    func renamed() {
        #expect(keys(["a=1,2", "b=3"], ["b=3", "c=2,1"]) == ["b", "a"])
        #expect(keys(["a=1"], ["b=1"], ["c=1"]) == ["a"])
        #expect(keys(["a=1", "b=2"], ["x=2", "y=1"]) == ["b", "a"])
        #expect(keys(["a=1"], ["b=1,2"]) == ["b"])
    }

    @Test("what is still there is nobody else's, and what might be one of two is neither")
    func claimed() {
        #expect(keys(["a=1"], ["b=1", "a=1"]) == ["b", "a"])
        #expect(keys(["a=1", "b=1"], ["c=1"]) == ["c"])
        #expect(keys(["a=1"], ["c=1", "d=1"]) == ["a", "d"])
        #expect(keys(["a=1", "b=2"], ["b=1", "a=2"]) == ["b", "a"])
    }

    @Test("a name that comes back while its first upstream is called otherwise is another one's")
    func returns() {
        #expect(keys(["a=1"], ["b=1"], ["b=1", "a=2"]) == ["a", "a#2"])
        #expect(keys(["a=1"], ["b=1"], ["b=1", "a=2"], ["a=2", "c=1"]) == ["a#2", "a"])
        #expect(keys(["a=1"], ["b=1"], ["a=2"]) == ["a"])
    }
}
