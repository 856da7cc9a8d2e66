"""`Via`, what stands for it where it is not wanted, and requests that go in circles."""

from Support.case import Case
from Support.client import RawClient
from Support.ports import free_port


class Via(Case):
    def seen(self, top="", fields=()):
        upstream = self.upstream()
        gateway = self.simple(upstream, top=top)
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test", fields).status, 200)
        return upstream.next_request()

    def test_it_is_there_unless_it_is_off(self):
        for top in ("", "via on;"):
            seen = self.seen(top)
            self.assertEqual(seen.fields.all("via"), ["1.1 gateway"])
            self.assertRegex(seen["x-gateway-via"], "^[0-9a-z]{13}$")
        seen = self.seen("via off;")
        self.assertNotIn("via", seen.fields)
        self.assertRegex(seen["x-gateway-via"], "^[0-9a-z]{13}$")

    def test_what_others_say_stays(self):
        seen = self.seen("via off;", [("Via", "1.0 fred")])
        self.assertEqual(seen.fields.all("via"), ["1.0 fred"])

    def test_a_circle_is_found_either_way(self):
        for top in ("", "via off;"):
            with self.subTest(top=top):
                port = free_port()
                gateway = self.gateway(
                    top + f"listen 127.0.0.1:{port}; upstream self {{ server 127.0.0.1:{port}; }}\n"
                    "tenant acme { host acme.test; authenticate none; upstream self; }"
                )
                response = self.get(gateway)
                self.assertEqual((response.status, response["content-type"]), (502, "application/problem+json"))
                self.assertIn(b"goes in circles", response.body)

    def test_a_circle_is_found_at_its_first_turn_and_charged_once(self):
        """Also where the gateway trusts whom it comes back from."""
        for top in ("", "via off;", "trusted_proxies 127.0.0.0/8;"):
            with self.subTest(top=top):
                port = free_port()
                gateway = self.gateway(
                    top + f"listen 127.0.0.1:{port}; upstream self {{ server 127.0.0.1:{port}; }}\n"
                    "tenant acme { host acme.test; authenticate none; upstream self; quota 100/hour; }"
                )
                response = self.get(gateway)
                self.assertEqual((response.status, len(response.fields.all("ratelimit-policy"))), (502, 1))
                self.assertIn("r=99", response["ratelimit"])

    def test_another_gateway_in_front_is_no_circle(self):
        for value in ("1.1 gateway", "1.1 gateway-cdn.example", "1.0 squid, 1.1 gateway (squid)", "1.1 squid (1.1 gateway)"):
            for name in ("Via", "X-Gateway-Via"):
                with self.subTest(name=name, value=value):
                    self.assertIn(value, self.seen(fields=[(name, value)]).fields.all(name.lower()))
        behind = self.upstream()
        inner = self.simple(behind)
        outer = self.gateway(
            "upstream inner { server 127.0.0.1:$inner; }\ntenant acme { host acme.test; authenticate none; upstream inner; }",
            inner=inner.plain,
        )
        self.assertEqual(self.get(outer).status, 200)
        self.assertEqual(len(set(behind.next_request().fields.all("x-gateway-via"))), 2)

    def test_too_many_gateways_are_a_circle_without_the_mark(self):
        gateway = self.simple(self.upstream())
        fields = [("Via", ", ".join(["1.1 gateway"] * 8))]
        self.assertEqual(self.get(gateway, fields=fields).status, 200)
        self.assertEqual(self.get(gateway, fields=fields + [("Via", "1.1 gateway")]).status, 502)
