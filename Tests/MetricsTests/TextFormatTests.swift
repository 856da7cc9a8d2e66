import Testing

@testable import Metrics

@Suite("the form that Accept asks for")
struct TextFormatTests {
    @Test(
        "OpenMetrics where it is named and worth at least as much as text",
        arguments: [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "APPLICATION/OpenMetrics-Text;Version=\"1.0.0\"",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "text/plain, application/openmetrics-text",
            "text/plain;q=0.5 , , application/openmetrics-text;q=0.500",
            "*/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.2",
            "application/openmetrics-text;;q=1.000;",
        ])
    func openMetrics(_ accept: String) {
        #expect(TextFormat(accept: accept) == .openMetrics)
    }

    @Test(
        "the older text otherwise",
        arguments: [
            nil, "", "*/*", "text/plain", "text/html", "application/*", "application/json",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            "application/openmetrics-text;q=0.4, text/*;q=0.5",
            "application/openmetrics-text;q=0.4, */*",
            // malformed: no part of it is believed
            "application/openmetrics-text;q=1.001", "application/openmetrics-text;q=2", "application/openmetrics-text;q=.5",
            "application/openmetrics-text;q=1.0000", "application/openmetrics-text;q=-1", "application/openmetrics-text;q=",
            "application/openmetrics-text;q=1;q=1", "application/openmetrics-text;version", "application/openmetrics-text version",
            "application/openmetrics-text;version=\"1.0.0", "application/openmetrics-text, text", "application/openmetrics-text, @",
            "application/openmetrics-text;version=1.0.0;version=1.0.0", "application/ openmetrics-text",
            "application/openmetrics-text;q =1", "application/openmetrics-text\u{A0}", "application/openmetrics-text;x=\"\\",
            String(repeating: ",", count: 5000) + "application/openmetrics-text",
        ])
    func prometheus(_ accept: String?) {
        #expect(TextFormat(accept: accept) == .prometheus)
    }
}
