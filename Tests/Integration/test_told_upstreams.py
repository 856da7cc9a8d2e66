"""What an operator is told of upstreams: every attempt is counted, and what becomes of a server stands in the log."""

import re

from Support.case import Case
from Support.client import RawClient
from Support.gateway import command
from Support.ports import free_port
from Support.upstream import answer, text

APP = """upstream app { server $server; }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Upstreams(Case):
    def said(self, gateway, pattern):
        return re.findall(r"^\d{4}-\S+Z (" + pattern + ")$", gateway.stderr, re.MULTILINE)

    def until_said(self, gateway, pattern, within=8):
        return self.until(lambda: self.said(gateway, pattern), f"{pattern} in the log", within)

    def attempts(self, gateway, server, code):
        return gateway.metrics().sum("gateway_upstream_requests_total", upstream="app", server=server, code=code)

    def test_a_dead_server_is_counted_and_said_once(self):
        port = free_port()
        server = f"127.0.0.1:{port}"
        gateway = self.gateway(APP, server=server)
        for _ in range(200):
            self.assertEqual(self.get(gateway).status, 502)
        self.assertEqual(self.attempts(gateway, server, "0"), 200)
        down = f"upstream app: server {server} fails: it can't be connected to: Connection refused"
        self.until_said(gateway, re.escape(down))
        upstream = self.upstream(answer(text("back")), port=port)
        self.assertEqual(self.get(gateway).body, b"back")
        self.until_said(gateway, re.escape(f"upstream app: server {server} answers again"))
        self.assertEqual(len(self.said(gateway, "upstream app: server .*")), 2, gateway.stderr)
        self.assertEqual(self.attempts(gateway, server, "200"), 1)
        self.assertTrue(upstream.requests)

    def test_a_server_that_never_answers_is_said_too(self):
        for behaviour, why in (
            (lambda peer: (peer.read_request(), peer.close()), "it closes connections without an answer"),
            (lambda peer: (peer.read_request(), peer.send(b"nonsense\r\n\r\n")), "its answers are not valid HTTP"),
            (lambda peer: (peer.read_request(), peer.wait_for_end()), "it does not answer in time"),
        ):
            with self.subTest(why):
                upstream = self.upstream(behaviour)
                gateway = self.simple(upstream, block="response_timeout 50ms;")
                for _ in range(5):
                    with RawClient(gateway.plain) as client:
                        client.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\n\r\n")
                        self.assertIn(client.read_response().status, (502, 504))
                server = f"127.0.0.1:{upstream.port}"
                self.assertEqual(self.attempts(gateway, server, "0"), 5)
                self.until_said(gateway, re.escape(f"upstream app: server {server} fails: {why}"))

    def test_one_failure_among_answers_is_no_state(self):
        def now_and_then(peer):
            while request := peer.read_request():
                if request.target == "/cut":
                    return peer.close()
                peer.send(text("fine"))

        upstream = self.upstream(now_and_then)
        gateway = self.simple(upstream)
        for _ in range(10):
            with RawClient(gateway.plain) as client:
                client.send(b"POST /cut HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(client.read_response().status, 502)
            self.assertEqual(self.get(gateway).status, 200)
        dead = free_port()
        gateway.write(gateway_file(gateway) + f"\nupstream other {{ server 127.0.0.1:{dead}; }}\n"
                      "tenant other { host other.test; authenticate none; upstream other; }\n")
        gateway.reload()
        self.assertEqual(self.get(gateway, host="other.test").status, 502)
        # Whatever there was to be said of the first one would have been said with this at the latest.
        self.until_said(gateway, "upstream other: server .* fails: .*")
        self.assertEqual(self.said(gateway, "upstream app: .*"), [])

    def test_a_name_that_does_not_resolve_is_said_at_the_start(self):
        gateway = self.gateway(APP, server="nothere.invalid:80")
        self.until_said(gateway, r"upstream app: server nothere\.invalid:80 fails: its name does not resolve: .+", within=20)
        self.assertEqual(self.get(gateway).status, 502)
        self.assertEqual(self.attempts(gateway, "nothere.invalid:80", "0"), 1)
        self.assertEqual(len(self.said(gateway, "upstream app: server .*")), 1, gateway.stderr)

    def test_check_warns_of_names_that_do_not_resolve(self):
        gateway = self.gateway(APP.replace(" }", "\n    server also.invalid:80; server {tenant}.invalid:80; }", 1),
                               server="nothere.invalid:80", start=False)
        done = command("check", "-c", gateway.file, within=30)
        self.assertEqual(done.returncode, 0, done)
        for place, name in (("7:23", "nothere.invalid"), ("8:12", "also.invalid")):
            self.assertRegex(done.stderr, rf"gateway\.conf:{place}: warning: `{name}` does not resolve: .+")
        self.assertEqual(done.stderr.count("does not resolve"), 2, done.stderr)
        gateway.process = None


def gateway_file(gateway):
    with open(gateway.file) as file:
        return file.read().split("access_log ./access.log;\n")[1]
