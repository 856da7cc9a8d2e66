"""What routes answer themselves: texts, redirects, faults on purpose; and the listener that sends everybody to https."""

import time

from Support.books import live
from Support.client import RawClient
from Support.upstream import answer, text
from test_h2 import H2Case


class OwnAnswers(H2Case):
    def tenant(self, routes, upstream=None, top="", tenant="", **values):
        upstream = upstream or self.upstream(answer(text("hello")))
        return self.gateway(
            top + "\nupstream app { server 127.0.0.1:$app; }\n"
            f"tenant acme {{ host acme.test *.acme.test; upstream app; {tenant} {routes} }}\n",
            app=upstream,
            **values,
        )

    def test_a_text(self):
        upstream = self.upstream(answer(text("hello")))
        gateway = self.tenant(
            'route /page { respond 503 text/html "<p>{host} {path}?{query} \\{x} {tenant}</p>\\r\\n"; response_header X-Own 1; }\n'
            'route /ok { respond 200 text/plain "ok\\n"; } route /none { respond 204; } route /empty { respond 404; }',
            upstream,
        )
        with RawClient(gateway.plain) as client:
            response = client.request("GET", "/page/<b>?a=<i>&c", "www.acme.test:8080")
            self.assertEqual(response.status, 503)
            self.assertEqual(response.body, b"<p>www.acme.test /page/%3Cb%3E?a=%3Ci%3E&c {x} acme</p>\r\n")
            self.assertEqual((response["content-type"], response["x-own"]), ("text/html", "1"))
            self.assertTrue(response["x-request-id"] and response["date"] and response.keeps_alive)
            self.assertEqual(client.request("GET", "/ok", "acme.test").body, b"ok\n")
            response = client.request("HEAD", "/ok", "acme.test")
            self.assertEqual((response.status, response["content-length"], response.body), (200, "3", b""))
            response = client.request("GET", "/none", "acme.test")
            self.assertEqual((response.status, response["content-length"]), (204, None))
            response = client.request("GET", "/empty", "acme.test")
            self.assertEqual((response.status, response["content-length"], response["content-type"]), (404, "0", None))
            self.assert_problem(client.request("GET", "/page/" + "a" * 20000, "acme.test"), 414, "uri-too-long")
            # A body is not read, so that nothing can follow it.
            response = client.request("POST", "/ok", "acme.test", body=b"x" * 100_000)
            self.assertEqual((response.body, response.keeps_alive), (b"ok\n", False))
        with RawClient(gateway.plain) as client:
            client.send("POST /ok HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            response = client.read_response()
            self.assertEqual((response.status, response.interim), (200, []))
        with RawClient(gateway.plain) as client:
            response = client.request("GET", "/ok", "acme.test", version="HTTP/1.0")
            self.assertEqual((response.body, response["content-length"]), (b"ok\n", "3"))
            self.assert_closed(client)
        client = self.open(gateway, tls=False)
        got = client.get("/page/x?y", host="acme.test")
        self.assertEqual((got.status, bytes(got.body)), (503, b"<p>acme.test /page/x?y {x} acme</p>\r\n"))
        got = client.get("/none")
        self.assertEqual((got.status, got.get("content-length"), bytes(got.body)), (204, None, b""))
        self.assertEqual(bytes(client.post(b"x" * 10_000, "/ok").body), b"ok\n")
        # A call is answered as one.
        got = client.get("/page", method="POST", more=[("content-type", "application/grpc"), ("te", "trailers")])
        self.assertEqual((got.status, got.get("grpc-status"), bytes(got.body)), (200, "14", b""))
        self.assertEqual(upstream.requests, [])
        line = gateway.log_line(lambda line: line["path"] == "/ok" and line["method"] == "GET")
        self.assertEqual((line["status"], line["refused"], line["upstream"], line["response_bytes"]), (200, None, None, 3))

    def test_a_text_is_no_tunnel(self):
        gateway = self.tenant(
            'route /ok { respond 200 text/plain "hello"; } route /late { delay 10ms; respond 204; } route /no { respond 403; }\n'
            "route /other { redirect /ok 302; }"
        )
        client = self.open(gateway, tls=False)
        for target, status in (("/ok", 404), ("/late", 404), ("/no", 403), ("/other", 302)):
            fields = client.fields("CONNECT", target)
            stream = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
            reply = client.answers[stream]
            client.until(lambda: reply.fields)
            self.assertEqual(reply.status, status, target)
        self.assertEqual(bytes(client.get("/ok").body), b"hello")
        # Of HTTP/1.1 nobody takes it for a switch.
        with RawClient(gateway.plain) as client:
            fields = [("Connection", "upgrade"), ("Upgrade", "websocket")]
            self.assertEqual(client.request("GET", "/ok", "acme.test", fields).body, b"hello")

    def test_limits_hold_for_it_and_quotas_count_what_is_forwarded(self):
        gateway = self.tenant('route /ok { respond 200 text/plain "ok"; rate 2/h; quota 1/day; }')
        with RawClient(gateway.plain) as client:
            self.assertEqual([client.request("GET", "/ok", "acme.test").status for _ in range(3)], [200, 200, 429])
            response = client.request("GET", "/ok", "acme.test")
            self.assert_problem(response, 429, "rate-limited")

    def test_a_redirect(self):
        gateway = self.tenant(
            "route /docs { redirect https://docs.test{path}?{query}; } route /moved { redirect /new{path} 301; }\n"
            "route /same { redirect {path}?to 302; } route / { redirect {path} 307; }\n"
            "route /www { redirect https://{host}{path}; }"
        )
        with RawClient(gateway.plain) as client:
            for target, host, status, location in (
                ("/docs/a?b=c", "acme.test", 308, "https://docs.test/docs/a?b=c"),
                ("/docs//a", "acme.test", 308, "https://docs.test/docs//a"),
                ("/moved", "acme.test", 301, "/new/moved"),
                ("/same", "acme.test", 302, "/same?to"),
                ("//evil.test/x", "acme.test", 307, "/evil.test/x"),
                ("/www/%0d%0aSet-Cookie:%20a=b", "acme.test:81", 308, "https://acme.test/www/%0d%0aSet-Cookie:%20a=b"),
            ):
                with self.subTest(target=target):
                    response = client.request("GET", target, host)
                    self.assertEqual((response.status, response["location"]), (status, location))
                    self.assertEqual((response["content-length"], response.body), ("0", b""))
            # What is longer than a head may be, once it is written.
            response = client.request("HEAD", "/moved", "acme.test")
            self.assertEqual((response.status, response["content-length"], response.body), (301, "0", b""))
        got = self.open(gateway, tls=False).get("/docs")
        self.assertEqual((got.status, got.get("location"), got.get("content-length")), (308, "https://docs.test/docs", "0"))

    def test_a_reload_changes_it(self):
        routes = 'route /a { respond $status text/plain "$word"; }'
        gateway = self.tenant(routes, status=200, word="one")
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/a", "acme.test").body, b"one")
            upstream = "upstream app { server 127.0.0.1:$app; }\n"
            gateway.write(upstream + f"tenant acme {{ host acme.test; upstream app; {routes} }}\n", status=503, word="two")
            self.assertIn("acme", gateway.reload())
            response = client.request("GET", "/a", "acme.test")
            self.assertEqual((response.status, response.body), (503, b"two"))

    def test_pages_read_what_is_answered_here(self):
        gateway = self.tenant('cors origins=https://app.test; route /a { respond 200 text/plain "a"; } route /b { abort 500; }')
        with RawClient(gateway.plain) as client:
            for path, status in (("/a", 200), ("/b", 500)):
                response = client.request("GET", path, "acme.test", [("Origin", "https://app.test")])
                self.assertEqual((response.status, response["access-control-allow-origin"]), (status, "https://app.test"))

    # --- https

    def test_everybody_is_sent_to_https(self):
        folder = "tenant acme { host acme.test; upstream app; } tenant six { host [::1]; upstream app; }"
        plain = "listen 127.0.0.1:$plain { redirect https port=$port; }\n"
        common = "trusted_proxies 127.0.0.9;\nupstream app { server 127.0.0.1:$app; }\n" + folder + "\nadmin 127.0.0.1:$admin;\n"
        gateway = self.gateway(plain + common, preamble=False, app=self.upstream(answer(text("hello"))), port=8443)
        for target, host, location in (
            ("/a/b?c=d", "acme.test", "https://acme.test:8443/a/b?c=d"),
            ("/", "ACME.test:8080", "https://ACME.test:8443/"),
            ("//evil.test", "acme.test:", "https://acme.test:8443//evil.test"),
            ("/<a>\\", "[::1]:80", "https://[::1]:8443/%3Ca%3E%5C"),
        ):
            with self.subTest(target=target), RawClient(gateway.plain) as client:
                response = client.request("GET", target, host)
                self.assertEqual((response.status, response["location"], response.body), (308, location, b""))
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("OPTIONS", "*", "acme.test")["location"], "https://acme.test:8443/")
            # A head alone is looked at.
            self.assertEqual(client.request("POST", "/x", "acme.test", body=b"x" * 10)["location"], "https://acme.test:8443/x")
        with RawClient(gateway.plain) as client:
            self.assert_problem(client.request("GET", "/", "nobody.test"), 421, "misdirected")
        got = self.open(gateway, tls=False).get("/a")
        self.assertEqual((got.status, got.get("location")), (308, "https://acme.test:8443/a"))
        # What came by https to a proxy in front would be sent round in circles.
        for source, status in (("127.0.0.9", 200), ("127.0.0.1", 308)):
            with RawClient(gateway.plain, source=source) as client:
                self.assertEqual(client.request("GET", "/", "acme.test", [("X-Forwarded-Proto", "https")]).status, status)
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test")["location"], "https://acme.test:8443/")
            gateway.write("listen 127.0.0.1:$plain;\n" + common)
            gateway.reload()
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    # --- faults

    def test_aborted_on_purpose(self):
        upstream = self.upstream(answer(text("hello")))
        gateway = self.tenant("route /a { abort 503 30%; } route /b { abort 418; }", upstream)
        with RawClient(gateway.plain) as client:
            statuses = [client.request("GET", "/a", "acme.test").status for _ in range(400)]
            self.assertEqual(set(statuses), {200, 503})
            self.assertTrue(60 < statuses.count(503) < 180, statuses.count(503))
            response = client.request("GET", "/b", "acme.test")
            self.assert_problem(response, 418, "fault-injected")
        line = gateway.log_line(lambda line: line["status"] == 503)
        self.assertEqual((line["fault"], line["refused"], line["upstream"]), ("abort", "fault-injected", None))
        self.assertNotIn("fault", gateway.log_line(lambda line: line["status"] == 200))
        self.assertEqual(len(upstream.requests), statuses.count(200))
        refused = gateway.metrics().sum("gateway_refused_total", tenant="acme", reason="fault-injected")
        self.assertEqual(refused, statuses.count(503) + 1)

    def test_late_on_purpose(self):
        upstream = self.upstream(answer(lambda request: text(request.body)))
        gateway = self.tenant(
            "route /a { delay 300ms; concurrency 2; } route /b { delay 300ms; abort 500; }\n"
            'route /c { delay 300ms; respond 200 a/b "{path}"; }',
            upstream,
        )
        for path, status, body in (("/a", 200, b"x" * 100_000), ("/b", 500, None), ("/c", 200, b"/c")):
            with self.subTest(path=path), RawClient(gateway.plain) as client:
                began = time.monotonic()
                response = client.request("POST", path, "acme.test", body=b"x" * 100_000)
                self.assertGreaterEqual(time.monotonic() - began, 0.29)
                self.assertEqual(response.status, status)
                if body:
                    self.assertEqual(response.body, body)
        client = self.open(gateway, tls=False)
        streams = [client.head(client.fields(path=path)) for path in ("/a", "/b", "/c", "/a", "/a")]
        answers = [client.answer(stream) for stream in streams]
        self.assertEqual([one.status for one in answers], [200, 500, 200, 200, 429])
        self.assertEqual(bytes(answers[2].body), b"/c")
        for path, fault in (("/a", "delay"), ("/b", "delay,abort"), ("/c", "delay")):
            self.assertEqual(gateway.log_line(lambda line: line["path"] == path)["fault"], fault)

    def test_who_leaves_waits_for_nothing_and_holds_no_connection(self):
        upstream = self.upstream(answer(text("hello")))
        routes = 'route /a { delay 30s; } route /c { delay 30s; respond 200 a/b "c"; }'
        gateway = self.tenant(routes, upstream, tenant="concurrency 1;")
        with RawClient(gateway.plain) as client:
            client.send("GET /a HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.until(lambda: live(gateway)["in_flight"] == 1, "the place is taken")
            self.assert_problem(self.get(gateway, "/a"), 429, "concurrency-limited")
            client.reset()
        gateway.log_line(lambda line: line["path"] == "/a" and line["status"] == 499)
        client = self.open(gateway, tls=False)
        stream = client.head(client.fields(path="/a"))
        self.until(lambda: live(gateway)["in_flight"] == 1, "it has taken the place")
        client.reset(stream)
        self.until(lambda: len([line for line in gateway.log_lines() if line["status"] == 499]) == 2, "the second one is over")
        # One that is answered here is answered to nobody, too.
        stream = client.head(client.fields(path="/c"))
        self.until(lambda: live(gateway)["in_flight"] == 1, "it waits")
        client.reset(stream)
        line = gateway.log_line(lambda line: line["path"] == "/c")
        self.assertEqual((line["status"], line["fault"], line["response_bytes"]), (499, "delay", 0))
        self.assertEqual(upstream.connections, [])
        # What a call is given up for is told when its time is over.
        more = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "100m")]
        began = time.monotonic()
        got = client.get("/a", method="POST", more=more)
        self.assertEqual((got.get("grpc-status"), time.monotonic() - began < 5), ("4", True))
