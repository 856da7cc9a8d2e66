"""What is looked at before credentials: addresses (`allow`, `deny`) and what browsers ask (`cors`)."""

import re

from Support.client import RawClient
from Support.upstream import answer, text
from test_h2 import H2Case

APP = "https://app.test"
CORS = (
    "cors origins=https://app.test,https://b.test:8443 methods=GET,PUT headers=Authorization expose=X-Request-Id "
    "credentials=on max_age=10m;"
)


class Doors(H2Case):
    def setUp(self):
        super().setUp()
        made = self.command("key", "create", "acme").stdout
        self.key, self.line = re.search(r"gw_\w+", made).group(), re.search(r"key sha256:\w+", made).group()

    def asks(self, gateway, target="/", origin=APP, method="PUT", host="acme.test", more=(), **options):
        """A preflight."""
        fields = [("Origin", origin), ("Access-Control-Request-Method", method), *more]
        with RawClient(gateway.plain, **options) as client:
            return client.request("OPTIONS", target, host, fields)

    def told(self, response):
        """The fields that are for browsers."""
        names = [(name.lower(), value) for name, value in response.fields]
        told = [(name, value) for name, value in names if name.startswith("access-control-") or name == "vary"]
        self.assertEqual(len(dict(told)), len(told), "a field stands twice")
        return dict(told)

    def test_the_nearest_list_holds_and_comes_before_credentials(self):
        upstream = self.upstream(answer(text("hello")))
        gateway = self.gateway(
            "trusted_proxies 127.0.0.9;\nupstream app { server 127.0.0.1:$app; }\n"
            "plan inside { allow 127.0.0.0/8; deny all; }\ndefaults { upstream app; deny 127.0.0.2; }\n"
            f"tenant acme {{ host acme.test; authenticate api_key; {self.line}; plan inside;\n"
            "  route /private { allow 127.0.0.3 10.0.0.0/8; deny all; }\n  route /open { allow all; authenticate none; } }\n"
            "tenant other { host other.test; }\ntenant only { host only.test; deny all; routes only; route /in { allow all; } }\n",
            app=upstream,
        )
        for source, host, target, status, kind in (
            ("127.0.0.1", "acme.test", "/", 401, "credentials-required"),
            ("127.0.0.2", "acme.test", "/", 401, "credentials-required"),
            ("127.0.0.1", "acme.test", "/private/x", 403, "address-denied"),
            ("127.0.0.3", "acme.test", "/private/x", 401, "credentials-required"),
            ("127.0.0.1", "acme.test", "/open/%2e%2e/private", 403, "address-denied"),
            ("127.0.0.1", "acme.test", "/open", 200, None),
            ("127.0.0.2", "other.test", "/", 403, "address-denied"),
            ("127.0.0.3", "other.test", "/", 200, None),
            # What is not there is not told to whom may not come.
            ("127.0.0.1", "only.test", "/nothing", 403, "address-denied"),
            ("127.0.0.1", "only.test", "/in", 200, None),
        ):
            with self.subTest(source=source, host=host, target=target), RawClient(gateway.plain, source=source) as client:
                response = client.request("GET", target, host)
                if kind:
                    self.assert_problem(response, status, kind, closes=False)
                self.assertEqual(response.status, status, response)
        # A method that is asked for opens no door to the one that comes.
        fields = [("Origin", APP), ("Access-Control-Request-Method", "PUT")]
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("OPTIONS", "/private", "acme.test", fields).status, 403)
        # Whose word of it counts is a trusted proxy's alone.
        for source, status in (("127.0.0.9", 403), ("127.0.0.1", 200)):
            with RawClient(gateway.plain, source=source) as client:
                fields = [("X-Forwarded-For", "192.0.2.7"), ("X-API-Key", self.key)]
                self.assertEqual(client.request("GET", "/", "acme.test", fields).status, status)
        client = self.open(gateway, tls=False)
        self.assertEqual([client.get(path).status for path in ("/private/x", "/open")], [403, 200])
        self.assertEqual(gateway.metrics().sum("gateway_refused_total", tenant="acme", reason="address-denied"), 5)
        self.assertEqual(gateway.metrics().sum("gateway_requests_total", tenant="other"), 2)

    def test_a_reload_changes_the_list_on_open_connections(self):
        tenant = "upstream app { server 127.0.0.1:$app; }\ntenant acme { host acme.test; upstream app; allow $who; deny all; }\n"
        gateway = self.gateway(tenant, app=self.upstream(answer(text("hello"))), who="127.0.0.0/8")
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            gateway.write(tenant, who="127.0.0.7")
            self.assertIn("acme", gateway.reload())
            self.assert_problem(client.request("GET", "/", "acme.test"), 403, "address-denied", closes=False)

    def test_where_credentials_name_the_tenant_they_come_first(self):
        gateway = self.gateway(
            "shared_host api.test;\nupstream app { server 127.0.0.1:$app; }\n"
            f"tenant acme {{ authenticate api_key; {self.line}; upstream app; allow 127.0.0.3; deny all; }}\n",
            app=self.upstream(answer(text("hello"))),
        )
        for source, fields, status in (
            ("127.0.0.1", [], 401),
            ("127.0.0.1", [("X-API-Key", self.key)], 403),
            ("127.0.0.3", [("X-API-Key", self.key)], 200),
        ):
            with RawClient(gateway.plain, source=source) as client:
                self.assertEqual(client.request("GET", "/", "api.test", fields).status, status)

    def test_preflights_are_answered_here(self):
        upstream = self.upstream(answer(text("hello")))
        tenant = f"host acme.test; authenticate api_key; {self.line}; rate 1/h; upstream app; {CORS} response_header X-Own 1;"
        gateway = self.gateway(f"upstream app {{ server 127.0.0.1:$app; }}\ntenant acme {{ {tenant} }}\n", app=upstream)
        granted = {
            "access-control-allow-origin": APP,
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET, PUT",
            "access-control-allow-headers": "Authorization",
            "access-control-max-age": "600",
            "vary": "Origin",
        }
        for _ in range(3):
            response = self.asks(gateway)
            self.assertEqual((response.status, response.body, response["content-length"]), (204, b"", None))
            self.assertEqual(self.told(response), granted)
            self.assertTrue(response["x-request-id"] and response["date"] and response.keeps_alive)
        for origin in ("https://evil.test", "https://app.test.evil.test", "HTTPS://app.test", "null"):
            response = self.asks(gateway, origin=origin)
            self.assertEqual((response.status, self.told(response)), (204, {"vary": "Origin"}))
        with RawClient(gateway.plain) as client:
            # A page reads what it was refused for, too.
            response = client.request("GET", "/", "acme.test", [("Origin", APP)])
            self.assert_problem(response, 401, "credentials-required")
            self.assertEqual(response["access-control-allow-origin"], APP)
            # An OPTIONS that asks for no leave is a request as any other, and so is one that does not say for whom.
            self.assertEqual(client.request("OPTIONS", "/", "acme.test", [("Origin", APP)]).status, 401)
            asked = [("Access-Control-Request-Method", "PUT")]
            self.assertEqual(client.request("OPTIONS", "/", "acme.test", asked).status, 401)
            # The one request of this hour is still there, and the next one says to the page that it is not.
            fields = [("Origin", APP), ("X-API-Key", self.key)]
            self.assertEqual(client.request("GET", "/", "acme.test", fields).status, 200)
            response = client.request("GET", "/", "acme.test", fields)
            self.assert_problem(response, 429, "rate-limited")
            self.assertEqual(response["access-control-allow-origin"], APP)
        client = self.open(gateway, tls=False)
        got = client.get(method="OPTIONS", more=[("origin", APP), ("access-control-request-method", "PUT")])
        self.assertEqual((got.status, bytes(got.body)), (204, b""))
        self.assertEqual({name: value for name, value in got.fields if name in granted}, granted)
        self.assertEqual(len(upstream.requests), 1)
        self.assertEqual(gateway.metrics().sum("gateway_requests_total", tenant="acme", code="204"), 8)

    def test_a_preflight_asks_for_the_route_of_what_is_to_come(self):
        gateway = self.simple(
            self.upstream(answer(text("hello"))),
            f"route /api method=PUT {{ {CORS} }} route /api method=GET {{ cors origins=*; }} route /none {{ cors off; }} cors origins=*;",
        )
        self.assertEqual(self.asks(gateway, "/api/x")["access-control-allow-credentials"], "true")
        self.assertEqual(self.asks(gateway, "/api/x", method="GET")["access-control-allow-origin"], "*")
        self.assertEqual(self.asks(gateway, "/elsewhere")["access-control-allow-origin"], "*")
        self.assertEqual(self.asks(gateway, "/none").status, 200)

    def test_what_an_upstream_says_to_browsers_is_replaced(self):
        own = ["Access-Control-Allow-Origin: *", "access-control-expose-headers: *", "Vary: Accept-Encoding", "X-A: 1", "vary: Cookie"]
        gateway = self.simple(
            self.upstream(answer(text("hello", fields=own))),
            f"{CORS} route /all {{ cors origins=* expose=X-A; }} route /off {{ cors off; }}",
        )
        with RawClient(gateway.plain) as client:
            self.assertEqual(
                self.told(client.request("GET", "/", "acme.test", [("Origin", APP)])),
                {
                    "access-control-allow-origin": APP,
                    "access-control-allow-credentials": "true",
                    "access-control-expose-headers": "X-Request-Id",
                    "vary": "Accept-Encoding, Cookie, Origin",
                },
            )
            for fields in ([("Origin", "https://evil.test")], [], [("Origin", APP), ("Origin", APP)]):
                response = client.request("GET", "/", "acme.test", fields)
                self.assertEqual((self.told(response), response["x-a"]), ({"vary": "Accept-Encoding, Cookie, Origin"}, "1"))
            response = client.request("GET", "/all", "acme.test")
            self.assertEqual(response["access-control-allow-origin"], "*")
            self.assertEqual(response["access-control-expose-headers"], "X-A")
            self.assertEqual([value for name, value in response.fields if name.lower() == "vary"], ["Accept-Encoding", "Cookie"])
            response = client.request("GET", "/off", "acme.test", [("Origin", APP)])
            self.assertEqual(response["access-control-allow-origin"], "*")
        client = self.open(gateway, tls=False)
        got = client.get(more=[("origin", APP)])
        self.assertEqual((got.get("access-control-allow-origin"), got.get("vary")), (APP, "Accept-Encoding, Cookie, Origin"))

    def test_a_flood_of_preflights_is_bounded_by_address(self):
        gateway = self.simple(self.upstream(answer(text("hello"))), CORS)
        with RawClient(gateway.plain, source="127.0.0.8") as client:
            asked = f"OPTIONS / HTTP/1.1\r\nHost: acme.test\r\nOrigin: {APP}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
            # All at once, for as many are granted anew each second.
            client.send(asked * 600)
            answers = [client.read_response("OPTIONS") for _ in range(600)]
            statuses = [response.status for response in answers]
            self.assertGreaterEqual(statuses.count(204), 200)
            response = next(response for response in answers if response.status != 204)
            self.assert_problem(response, 429, "rate-limited", closes=False)
            self.assertEqual(response["access-control-allow-origin"], APP)
            # Requests go on, and so do others' preflights.
            self.assertEqual(client.request("GET", "/", "acme.test", [("Origin", APP)]).status, 200)
        self.assertEqual(self.asks(gateway, source="127.0.0.7").status, 204)
