"""Under which names the admin listener answers, and that the gateway's own commands use one of them."""

import json

from Support.case import Case
from Support.client import RawClient
from Support.gateway import command


class Hosts(Case):
    def ask(self, gateway, host, path="/healthz"):
        with RawClient(gateway.admin) as client:
            return client.request("GET", path, host)

    def assert_misdirected(self, response):
        self.assertEqual(response.status, 421, response)
        self.assertEqual(response["content-type"], "application/problem+json")
        self.assertTrue(json.loads(response.body)["type"].endswith("/misdirected"))

    def test_a_name_that_a_page_may_have_had_pointed_here_is_refused(self):
        gateway = self.simple(self.upstream())
        for path in ("/healthz", "/readyz", "/metrics", "/v1/tenants", "/nothing"):
            self.assert_misdirected(self.ask(gateway, "evil.test", path))
            self.assert_misdirected(self.ask(gateway, f"evil.test:{gateway.admin}", path))
        with RawClient(gateway.admin) as client:
            self.assert_misdirected(client.request("GET", "http://evil.test/metrics", "evil.test"))
        for host in ("127.0.0.1", f"127.0.0.1:{gateway.admin}", "localhost", "LocalHost:80", "[::1]:80", "192.0.2.1"):
            self.assertEqual(self.ask(gateway, host).status, 200, host)

    def test_names_that_are_configured_are_taken_by_a_reload_too(self):
        source = (
            "state ./state; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin $names;\n"
            "upstream app { server 127.0.0.1:$app; } tenant acme { host acme.test; upstream app; }"
        )
        names = "host=gateway.internal host=GW.test."
        gateway = self.gateway(source, preamble=False, names=names, app=self.upstream())
        for host in ("gateway.internal", "gateway.internal:9901", "gw.test", "Gw.Test."):
            self.assertEqual(self.ask(gateway, host).status, 200, host)
        self.assert_misdirected(self.ask(gateway, "other.test"))
        gateway.write(source, names="host=other.test")
        gateway.reload()
        self.assertEqual(self.ask(gateway, "other.test").status, 200)
        self.assert_misdirected(self.ask(gateway, "gateway.internal"))

    def test_commands_reach_an_admin_listener_on_ipv6(self):
        for address in ("[::1]:$admin", "$admin"):
            gateway = self.gateway(
                f"state ./state; listen 127.0.0.1:$plain; admin {address};\n"
                "upstream app { server 127.0.0.1:$app; } tenant acme { host acme.test; upstream app; }",
                preamble=False, app=self.upstream(), start=False,
            )  # fmt: skip
            gateway.start(wait=False)
            self.until(lambda: "serves" in gateway.stderr, "the start")
            self.assertIn("added: 0", gateway.reload())
            done = command("status", "-c", gateway.file, cwd=gateway.folder)
            self.assertEqual((done.returncode, "acme" in done.stdout), (0, True), done)
            gateway.stop()
