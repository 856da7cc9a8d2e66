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
            self.assertNotIn("x-gateway-via", seen.fields)
        seen = self.seen("via off;")
        self.assertNotIn("via", seen.fields)
        self.assertEqual(seen.fields.all("x-gateway-via"), ["1.1 gateway"])

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
