"""Fields by which a client could pass for another one, or its request for another request, at the upstream."""

from Support.case import Case
from Support.client import RawClient

OVERRIDES = (
    "X-Original-URL",
    "X-Original-URI",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-Host",
    "X-Host",
    "Front-End-Https",
    "True-Client-IP",
    "Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "X-ProxyUser-Ip",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-Appengine-User-IP",
    "X-Envoy-External-Address",
    "X-Envoy-Original-Path",
    "X-HTTP-Host-Override",
    "X-Original-Method",
    "X-Original-For",
    "X-Original-Forwarded-For",
    "X-Forwarded",
    "Forwarded-For",
    "Forwarded-Proto",
    "X-Scheme",
    "X-URL-Scheme",
)


class Overrides(Case):
    def seen(self, fields, **options):
        upstream = self.upstream()
        gateway = self.simple(upstream, **options)
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test", fields).status, 200)
        return upstream.next_request()

    def test_a_client_does_not_say_what_only_a_proxy_can_know(self):
        spellings = OVERRIDES + tuple(name.replace("-", "_") for name in OVERRIDES)
        seen = self.seen([(name, "evil") for name in spellings] + [("X-Kept", "evil-not")])
        self.assertEqual([name for name, value in seen.fields if value == "evil"], [])
        self.assertEqual(seen["x-kept"], "evil-not")

    def test_a_trusted_proxy_says_it(self):
        seen = self.seen([(name, "known") for name in OVERRIDES], top="trusted_proxies 127.0.0.0/8;")
        self.assertEqual([name for name, value in seen.fields if value == "known"], list(OVERRIDES))

    def test_pass_fields_lets_the_named_ones_pass_and_no_other(self):
        seen = self.seen(
            [(name, "said") for name in OVERRIDES] + [("x_http_method_override", "said")],
            top="pass_fields X-HTTP-Method-Override;\npass_fields x-client-ip True-Client-IP;",
        )
        passed = {name.lower() for name, value in seen.fields if value == "said"}
        self.assertEqual(passed, {"x-http-method-override", "x-client-ip", "true-client-ip"})

    def test_connection_takes_none_of_a_trusted_proxys_away(self):
        seen = self.seen(
            [("Connection", "X-Client-IP"), ("X-Client-IP", "203.0.113.7")], top="trusted_proxies 127.0.0.0/8;"
        )
        self.assertEqual(seen["x-client-ip"], "203.0.113.7")

    def test_request_header_sets_what_a_client_may_not(self):
        seen = self.seen([("X-Client-IP", "evil")], tenant="request_header X-Client-IP ours;")
        self.assertEqual(seen.fields.all("x-client-ip"), ["ours"])

    def test_proxy_never_passes(self):
        for top in ("", "trusted_proxies 127.0.0.0/8;"):
            for name in ("Proxy", "proxy", "PROXY"):
                with self.subTest(top=top, name=name):
                    self.assertNotIn("proxy", self.seen([(name, "http://evil.test:80")], top=top).fields)

    def test_trace_is_refused_and_reaches_nobody(self):
        for top in ("", "trusted_proxies 127.0.0.0/8;"):
            upstream = self.upstream()
            gateway = self.simple(upstream, top=top)
            for fields, body in (([], None), ([("Max-Forwards", "0")], None), ([], b"x")):
                with self.subTest(top=top, fields=fields, body=body), RawClient(gateway.plain) as client:
                    response = client.request("TRACE", "/", "acme.test", fields, body=body)
                    self.assert_problem(response, 405, "bad-request")
                    self.assertNotIn("TRACE", response["allow"])
            self.assertEqual(upstream.requests, [])
