"""Chromium in front of the gateway: pages, uploads, WebSockets and other origins, all by HTTP/2."""

import json
import os
import re
import shutil

from Support import browser
from Support.browser import Browser
from Support.case import Case
from Support.ports import free_port
from Support.upstream import answer, text
from test_recipes import recipe
from test_websocket import EchoServer

HOSTS = ("acme.test", "acme.example.test", "globex.example.test", "app.example.com", "api.example.com", "evil.example.net")
PARTS, UPLOAD = 200, 6 << 20
HTML, SCRIPT = ["Content-Type: text/html; charset=utf-8"], ["Content-Type: text/javascript"]

# Bytes that are no two times the same, and their digest in hexadecimal.
MAKE = """
const digest = async (bytes) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].join();
const make = (size) => {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65536)));
    return bytes;
};
"""


class Chromium(Case):
    """One process serves all of the tests: each has cookies, caches and connections of its own in it."""

    seconds = 300
    browser = None

    def setUp(self):
        super().setUp()
        if browser.PROGRAM is None:
            self.skipTest("there is no chromium on this machine")
        if Chromium.browser is None:
            Chromium.port = free_port()
            Chromium.browser = Browser(self.leaf(*HOSTS)[0], Chromium.port)
        self.context = self.browser.context()
        self.addCleanup(self.browser.close_context, self.context)

    def edge(self, upstream, top="", tenants=("acme",), **options):
        """At the port where the browser looks for every host."""
        return self.gateway(
            self.tls_listener(self.leaf(*HOSTS))
            + top
            # Nothing is given up because the machine is slow.
            + "overload { lag 60s; }\nupstream app { server 127.0.0.1:$app; }\n"
            + "".join(
                f"tenant {name} {{ host {name}.test {name}.example.test; authenticate none; upstream app; max_body 16m; }}\n"
                for name in tenants
            ),
            app=upstream, tls=self.port, **options,
        )  # fmt: skip

    def page(self, url):
        return self.browser.page(self.context, url)

    def logged(self, gateway, path, count=1):
        """The access log's lines of that path, once there are so many."""

        def lines():
            with open(os.path.join(gateway.folder, "access.log")) as file:
                return [line for line in map(json.loads, file) if line["path"] == path]

        self.until(lambda: len(lines()) >= count, f"{count} of {path} in the access log", 20)
        return lines()

    def test_a_page_of_many_parts(self):
        """More than may be under way at once."""

        def serve(request):
            if number := re.fullmatch(r"/part/(\d+)\.js", request.target):
                return text(f"came.push({number[1]});", fields=SCRIPT)
            parts = "".join(f'<script async src="/part/{number}.js"></script>' for number in range(PARTS))
            return text(f"<!doctype html><title>parts</title><script>const came = [];</script>{parts}", fields=HTML)

        gateway = self.edge(self.upstream(answer(serve)))
        page = self.page("https://acme.test/")
        page.until(f"came.length == {PARTS}")
        self.assertEqual(sorted(page.run("came")), list(range(PARTS)))
        entries = "performance.getEntriesByType('%s').map(entry => [entry.name, entry.nextHopProtocol])"
        self.assertEqual([protocol for _, protocol in page.run(entries % "navigation")], ["h2"])
        parts = [protocol for name, protocol in page.run(entries % "resource") if "/part/" in name]
        self.assertEqual(parts, ["h2"] * PARTS)
        self.assertEqual({line["protocol"] for line in self.logged(gateway, "/part/0.js")}, {"HTTP/2.0"})

    def test_an_upload(self):
        """Several MiB there and back, byte for byte."""
        seen = []

        def serve(request):
            if request.method != "POST":
                return text("<!doctype html><title>upload</title>", fields=HTML)
            seen.append(len(request.body))
            return text(request.body)

        gateway = self.edge(self.upstream(answer(serve), record=False))
        page = self.page("https://acme.test/")
        same = page.run(f"""(async () => {{
            {MAKE}
            const sent = make({UPLOAD});
            const answer = await fetch('/upload', {{method: 'POST', body: sent}});
            const back = await answer.arrayBuffer();
            return [answer.status, back.byteLength, await digest(sent) == await digest(back)];
        }})()""")
        self.assertEqual((same, seen), ([200, UPLOAD, True], [UPLOAD]))
        line = self.logged(gateway, "/upload")[0]
        self.assertEqual((line["protocol"], line["request_bytes"], line["response_bytes"]), ("HTTP/2.0", UPLOAD, UPLOAD))

    def test_a_websocket(self):
        """On the page's own connection (RFC 8441), which goes on beside it."""
        server = EchoServer()
        self.addCleanup(server.close)
        gateway = self.edge(server.port)
        page = self.page("https://acme.test/")
        back = page.run("""new Promise((done, failed) => {
            const socket = new WebSocket('wss://acme.test/socket');
            const back = [];
            socket.onopen = () => { for (const one of ['a', 'b'.repeat(200000), 'c']) socket.send(one); };
            socket.onmessage = async (event) => {
                back.push(event.data.length);
                if (back.length < 3) return;
                back.push((await (await fetch('/beside')).text()));
                socket.close(1000);
            };
            socket.onclose = (event) => done([...back, event.code]);
            socket.onerror = () => failed(new Error('no WebSocket'));
        })""")
        self.assertEqual(back, [1, 200000, 1, "plain", 1000])
        line = self.logged(gateway, "/socket")[0]
        self.assertEqual((line["protocol"], line["tls"]), ("HTTP/2.0", "TLSv1.3"))
        self.assertEqual(self.logged(gateway, "/beside")[0]["protocol"], "HTTP/2.0")

    def test_what_is_asked_on_anothers_connection_is_asked_again_on_one_of_its_own(self):
        """The certificate covers both tenants' hosts and they have one address, so the browser takes one connection for both."""

        def serve(request):
            return text(f"<!doctype html><title>{request['host']}</title>", fields=HTML)

        gateway = self.edge(self.upstream(answer(serve)), tenants=("acme", "globex"))
        page = self.page("https://acme.example.test/")
        self.assertEqual(page.run("document.title"), "acme.example.test")
        for number in range(3):
            # Which answer it was the page is not told: the log tells.
            page.run(f"fetch('https://globex.example.test/{number}', {{mode: 'no-cors', credentials: 'include'}}).then(() => true)")
        lines = self.logged(gateway, "/0", 2)
        # Of two event loops, whose lines come in any order.
        self.assertEqual(sorted(line["status"] for line in lines), [200, 421], lines)
        for number in (1, 2):
            self.until(lambda: 200 in [line["status"] for line in self.logged(gateway, f"/{number}")], "its answer in the access log", 20)
        self.assertEqual({line["protocol"] for line in lines}, {"HTTP/2.0"})
        # And acme's own connection goes on.
        self.assertEqual(page.run("fetch('/').then(answer => answer.status)"), 200)

    def test_another_origins_application_with_credentials(self):
        """By the recipe."""
        seen = []

        def serve(request):
            seen.append(request)
            fields = ["X-Hidden: yes", "Cache-Control: no-store"]
            if request.target == "/login":
                fields.append("Set-Cookie: session=secret; Secure; HttpOnly; SameSite=None; Path=/")
            return text(json.dumps([request.method, request["cookie"], request["authorization"]]), fields=fields)

        folder = os.path.join(self.folder, "Certs")
        os.mkdir(folder)
        for file, end in zip(self.leaf(*HOSTS), ("crt", "key")):
            shutil.copy(file, os.path.join(folder, "gateway." + end))
        configuration = recipe("cors").replace("Certs/", folder + "/").replace("127.0.0.1:9101", "127.0.0.1:$api")
        configuration, count = re.subn(r"listen 443\b", "listen 127.0.0.1:$tls", configuration)
        self.assertEqual(count, 1)
        application = (
            "tenant app { host app.example.com evil.example.net; authenticate none;"
            ' route / { respond 200 text/html "<!doctype html><title>app</title>"; } }\n'
        )
        self.gateway(configuration + application, api=self.upstream(answer(serve)), tls=self.port)
        ask = """(async () => {
            const said = [];
            for (const [path, options] of %s) {
                try {
                    const answer = await fetch('https://api.example.com' + path, {credentials: 'include', ...options});
                    const id = answer.headers.get('x-request-id');
                    said.push([await answer.json(), id !== null && id.length > 0, answer.headers.get('x-hidden')]);
                } catch (error) { said.push(error.name); }
            }
            return said;
        })()"""
        asks = [
            ("/login", {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{}"}),
            ("/me", {"method": "GET", "headers": {"Authorization": "Bearer t"}}),
            ("/thing", {"method": "DELETE"}),
            # Neither is in the recipe.
            ("/thing", {"method": "PUT"}),
            ("/thing", {"headers": {"X-Other": "1"}}),
        ]
        page = self.page("https://app.example.com/")
        cookie = "session=secret"
        self.assertEqual(
            page.run(ask % json.dumps(asks)),
            [
                [["POST", None, None], True, None], [["GET", cookie, "Bearer t"], True, None], [["DELETE", cookie, None], True, None],
                "TypeError", "TypeError",
            ],
        )  # fmt: skip
        self.assertNotIn("session", page.run("document.cookie"))
        self.assertEqual([request.method for request in seen], ["POST", "GET", "DELETE"])
        page.open("https://evil.example.net/")
        self.assertEqual(page.run(ask % json.dumps([("/me", {"method": "GET"})])), ["TypeError"])
