import Configuration
import Testing

@Suite struct DirectiveTests {
    @Test("a name has one row in a place")
    func unambiguous() {
        for place in Directive.Place.allCases {
            let names = Directive.all.filter { $0.places.contains(place) }.map(\.name)
            #expect(Set(names).count == names.count, "\(place)")
        }
    }

    @Test("every row has a line of help that ends as a sentence", arguments: Directive.all.map { ($0.name, $0.help) })
    func help(_ name: String, _ help: String) {
        #expect(help.hasSuffix(".") && !help.contains("\n") && help.count <= 130)
        for line in Directive.named(name).flatMap(\.details) { #expect(line.count <= 130) }
    }

    @Test("usage is written as in a file")
    func usage() {
        #expect(Directive.named("rate").map(\.usage) == ["rate COUNT/s|m|h [burst=COUNT] [mode=enforce|shadow];"])
        #expect(Directive.named("listen").map(\.usage) == ["listen [ADDRESS:]PORT [tls] [{ ... }]"])
        #expect(Directive.named("host").map(\.usage) == ["host HOST...;"])
        #expect(Directive.named("jwt").map(\.usage) == ["jwt NAME { ... }", "jwt NAME...;"])
    }

    @Test("the defaults of the table are those of the settings")
    func defaults() throws {
        func lines(_ place: Directive.Place, _ indent: String) -> String {
            Directive.all.filter { $0.places.first == place && $0.isSupported }.compactMap { row in
                row.defaultValue.map { "\(indent)\(row.name) \($0);\n" }
            }.joined()
        }
        let certificate = "certificate a b;\n"
        let bare = """
            listen 80 tls { \(certificate) }
            upstream u { server a:1; }
            tenant t { host h; upstream u; }
            """
        let spelled = """
            listen 80 tls { \(certificate)\(lines(.listen, "")) }
            \(lines(.top, ""))
            limits { \(lines(.limits, "")) }
            upstream u { server a:1; \(lines(.upstream, "")) }
            tenant t { host h; upstream u; \(lines(.plan, ""))\(lines(.tenant, "")) }
            """
        let (a, b) = (load(bare), load(spelled))
        #expect(a.renderAll() == "" && b.renderAll() == "")
        #expect(try describe(#require(a.settings)) == describe(#require(b.settings)))
    }
}
