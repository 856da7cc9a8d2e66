"""Every refusal of the contract's table that can happen: its status, its form, and what becomes of the connection."""

import json
import time

from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer, text


class Refusals(Case):
    def refused(self, gateway, data, status, kind=None, closes=True, port=None):
        with RawClient(port or gateway.plain) as client:
            client.send_as_taken(data)
            response = client.read_response()
            problem = self.assert_problem(response, status, kind, closes)
            if closes:
                self.assert_closed(client)
        return problem

    def test_400_what_is_not_http(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        for data in (
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: acme.test\r\nHost: acme.test\r\n\r\n",
            "GET / HTTP/1.1\nHost: acme.test\n\n",
            "GET / HTTP/1.1\r\nHost: acme.test\r\nA b: c\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: acme.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@acme.test\r\n\r\n",
        ):
            with self.subTest(data=data):
                self.refused(gateway, data, 400, "bad-request")
        self.assertEqual(upstream.connections, [])

    def test_400_framing_that_can_be_read_two_ways(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        for fields in (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length: 99999999999999999999",
            "Content-Length:",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding : chunked",
            "Content_Length: 5",
        ):
            with self.subTest(fields=fields):
                self.refused(
                    gateway, f"POST / HTTP/1.1\r\nHost: acme.test\r\n{fields}\r\n\r\n0\r\n\r\n", 400, "bad-request"
                )
        self.assertEqual(upstream.connections, [])

    def test_400_bodies_that_break_their_framing(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        for body in (
            "5\nhello\n0\n\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "-1\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffff\r\nhello",
            '5;a="\n"\r\nhello\r\n0\r\n\r\n',
            "\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\nbad line\r\n\r\n",
        ):
            with self.subTest(body=body), RawClient(gateway.plain) as client:
                client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
                self.assert_problem(client.read_response(), 400, "bad-request", closes=True)
                self.assert_closed(client)
        self.assertEqual(upstream.requests, [], "a body that never ended was read as a whole one")

    def test_what_came_of_a_body_before_it_broke_is_counted(self):
        gateway = self.simple(self.upstream())
        for way in ("together", "behind its head"):
            with self.subTest(way=way), RawClient(gateway.plain) as client:
                head = f"POST /{way.split()[0]} HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                client.send(head if way != "together" else head + "5\r\nhello\r\n6\r\n world\r\nzz\r\n")
                if way != "together":
                    client.send("5\r\nhello\r\n")
                    time.sleep(0.1)
                    client.send("6\r\n world\r\nzz\r\n")
                self.assert_problem(client.read_response(), 400, "bad-request", closes=True)
                line = gateway.log_line(lambda line: line["path"] == "/" + way.split()[0])
                self.assertEqual((line["status"], line["request_bytes"]), (400, 11))

    def test_a_refusal_has_room_behind_the_largest_head(self):
        """All that may be added to an answer and a long `problem_base`: each is within its bounds."""
        base = "https://example.test/" + "p" * 1500
        for last in range(100, 1300, 300):
            with self.subTest(last=last):
                fields = "".join(f'response_header X-{n:02} "{"v" * 4000}"; ' for n in range(17))
                gateway = self.simple(
                    self.upstream(),
                    tenant=f'max_body 10; {fields} response_header X-Last "{"w" * last}";',
                    top=f"problem_base {base};",
                )
                with RawClient(gateway.plain) as client:
                    response = client.request("POST", "/", "acme.test", body=b"x" * 11)
                    self.assertEqual(response.status, 413)
                    self.assertEqual(json.loads(response.body)["type"], base + "/content-too-large")
                gateway.stop()

    def test_408_a_head_that_does_not_come(self):
        gateway = self.simple(self.upstream(), top="limits { header_timeout 300ms; }")
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n")
            began = time.monotonic()
            self.assert_problem(client.read_response(), 408, "timeout", closes=True)
            self.assertLess(time.monotonic() - began, 3)
            self.assert_closed(client)

    def test_408_counts_from_the_first_byte_and_not_from_each_read(self):
        gateway = self.simple(self.upstream(), top="limits { header_timeout 400ms; }")
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.1\r\nX: ")
            began = time.monotonic()
            while client.is_open_and_quiet(0.05) and time.monotonic() - began < 5:
                client.send_as_taken("x")
            self.assertLess(time.monotonic() - began, 3)
            self.assert_problem(client.read_response(), 408, "timeout", closes=True)

    def test_408_a_body_that_does_not_come(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, top="limits { body_timeout 300ms; }")
        for framing, part in (("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhel")):
            with self.subTest(framing=framing), RawClient(gateway.plain) as client:
                client.send(f"POST / HTTP/1.1\r\nHost: acme.test\r\n{framing}\r\n\r\n{part}")
                self.assert_problem(client.read_response(), 408, "timeout", closes=True)
                self.assert_closed(client)
        self.assertEqual(upstream.requests, [])

    def test_an_idle_connection_is_closed_without_a_word(self):
        gateway = self.simple(self.upstream(), top="limits { idle_timeout 300ms; header_timeout 300ms; }")
        with RawClient(gateway.plain) as used:
            self.assertEqual(used.request("GET", "/", "acme.test").status, 200)
            self.assertTrue(used.is_closed())
        with RawClient(gateway.plain) as unused:
            self.assertTrue(unused.is_closed())

    def test_413_by_content_length_before_a_byte_of_the_body(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, tenant="max_body 1k;")
        self.refused(
            gateway,
            "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1025\r\n\r\n",
            413,
            "content-too-large",
            closes=None,
        )
        self.assertEqual(upstream.connections, [])
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("POST", "/", "acme.test", body=b"x" * 1024).status, 200)

    def test_413_of_a_chunked_body_as_soon_as_it_is_too_large(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, tenant="max_body 1k;")
        for body in (
            b"401\r\n" + b"x" * 0x401 + b"\r\n0\r\n\r\n",
            b"200\r\n" + b"x" * 0x200 + b"\r\n201\r\n" + b"x" * 0x201,
        ):
            with self.subTest(size=len(body)), RawClient(gateway.plain) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
                self.assert_problem(client.read_response(), 413, "content-too-large", closes=True)
                self.assert_closed(client)
        self.assertEqual(upstream.requests, [], "a body that was cut off arrived as a whole one")
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("POST", "/", "acme.test", body=b"x" * 1024, chunked=True).status, 200)

    def test_413_the_nearest_limit_wins(self):
        gateway = self.simple(
            self.upstream(),
            top="plan p { max_body 100; } defaults { max_body 10; plan p; }",
            tenant="route /up/ { max_body 1000; }",
        )
        for target, size, status in (("/", 100, 200), ("/", 101, 413), ("/up/x", 1000, 200), ("/up/x", 1001, 413)):
            with self.subTest(target=target, size=size), RawClient(gateway.plain) as client:
                self.assertEqual(client.request("POST", target, "acme.test", body=b"x" * size).status, status)

    def test_413_a_client_that_goes_on_sending_still_gets_its_answer(self):
        gateway = self.simple(self.upstream(), tenant="max_body 1k;")
        with RawClient(gateway.plain) as client:
            client.send_as_taken(
                b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400000
            )
            self.assert_problem(client.read_response(), 413, "content-too-large")

    def test_414_a_target_that_is_too_long(self):
        gateway = self.simple(self.upstream(), top="limits { max_header_size 8k; }")
        self.refused(gateway, f"GET /{'a' * 9000} HTTP/1.1\r\nHost: acme.test\r\n\r\n", 414, "uri-too-long")
        self.refused(gateway, f"GET /{'a' * 9000}", 414, "uri-too-long")

    def test_431_a_head_that_is_too_large(self):
        gateway = self.simple(self.upstream(), top="limits { max_header_size 8k; max_headers 20; }")
        self.refused(gateway, f"GET / HTTP/1.1\r\nHost: acme.test\r\nX: {'a' * 9000}\r\n\r\n", 431, "headers-too-large")
        self.refused(gateway, f"GET / HTTP/1.1\r\nHost: acme.test\r\nX: {'a' * 9000}", 431, "headers-too-large")
        many = "".join(f"X-{n}: 1\r\n" for n in range(20))
        self.refused(gateway, f"GET / HTTP/1.1\r\nHost: acme.test\r\n{many}\r\n", 431, "headers-too-large")
        few = "".join(f"X-{n}: 1\r\n" for n in range(19))
        with RawClient(gateway.plain) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: acme.test\r\n{few}\r\n")
            self.assertEqual(client.read_response().status, 200)

    def test_421_a_host_that_no_tenant_has(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        problem = self.refused(gateway, "GET / HTTP/1.1\r\nHost: globex.test\r\n\r\n", 421, "misdirected", closes=None)
        self.assertNotIn("acme", json.dumps(problem))
        self.assertEqual(upstream.connections, [])

    def test_421_when_sni_and_host_belong_to_different_tenants(self):
        upstream = self.upstream()
        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test"), self.leaf("globex.test")) + """
            upstream app { server 127.0.0.1:$app; }
            tenant acme { host acme.test www.acme.test; authenticate none; upstream app; }
            tenant globex { host globex.test; authenticate none; upstream app; }""",
            app=upstream,
        )
        unknown = None
        for sni, host, status in (
            ("acme.test", "acme.test", 200),
            ("acme.test", "www.acme.test", 200),
            ("acme.test", "globex.test", 421),
            ("globex.test", "acme.test", 421),
            ("globex.test", "globex.test", 200),
            (None, "globex.test", 200),
            ("acme.test", "nobody.test", 421),
        ):
            with self.subTest(sni=sni, host=host):
                context = self.authority.context(verify=False)
                with RawClient(gateway.tls, tls=context, sni=sni) as client:
                    response = client.request("GET", "/", host)
                    self.assertEqual(response.status, status, response)
                    if status == 421:
                        problem = self.assert_problem(response, 421, "misdirected")
                        for secret in ("acme", "globex"):
                            self.assertNotIn(secret, response.body.decode())
                        shape = {k: v for k, v in problem.items() if k not in ("instance", "request_id")}
                        unknown = unknown or shape
                        self.assertEqual(shape, unknown, "a refusal tells which tenants exist")

    def test_421_on_a_kept_connection_that_turns_to_another_tenant(self):
        upstream = self.upstream()
        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test")) + """
            upstream app { server 127.0.0.1:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }
            tenant globex { host globex.test; authenticate none; upstream app; }""",
            app=upstream,
        )
        with RawClient(gateway.tls, tls=self.authority.context(), sni="acme.test") as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            self.assert_problem(client.request("GET", "/", "globex.test"), 421, "misdirected")
        self.assertEqual(len(upstream.requests), 1)

    def test_403_a_suspended_tenant(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, tenant="suspended on;")
        self.assert_problem(self.get(gateway), 403, "tenant-suspended")
        self.assertEqual(upstream.connections, [])

    def test_501_what_the_gateway_does_not_do(self):
        gateway = self.simple(self.upstream())
        self.refused(gateway, "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501)
        self.refused(gateway, "CONNECT acme.test:443 HTTP/1.1\r\nHost: acme.test:443\r\n\r\n", 501)

    def test_505_another_version(self):
        gateway = self.simple(self.upstream())
        self.refused(gateway, "GET / HTTP/2.0\r\nHost: acme.test\r\n\r\n", 505)
        self.refused(gateway, "GET / HTTP/3.0\r\nHost: acme.test\r\n\r\n", 505)

    def test_417_an_expectation_that_nobody_meets(self):
        gateway = self.simple(self.upstream())
        self.refused(
            gateway,
            "POST / HTTP/1.1\r\nHost: acme.test\r\nExpect: miracle\r\nContent-Length: 1\r\n\r\nx",
            417,
            closes=None,
        )

    def test_502_an_answer_that_is_not_http(self):
        for data in (b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", b""):
            with self.subTest(data=data):
                upstream = self.upstream(answer(data) if data else lambda peer: peer.read_request())
                self.assert_problem(self.get(self.simple(upstream)), 502, "bad-upstream")

    def test_504_an_upstream_that_says_nothing(self):
        upstream = self.upstream(lambda peer: peer.read_request() and peer.wait_for_end())
        gateway = self.simple(upstream, block="response_timeout 300ms;")
        began = time.monotonic()
        self.assert_problem(self.get(gateway), 504, "upstream-timeout")
        self.assertLess(time.monotonic() - began, 3)

    def test_503_no_healthy_upstream(self):
        upstream = self.upstream(answer(text("ill", status="500 Internal Server Error")))
        gateway = self.simple(upstream, block="health_check /healthz interval=50ms timeout=1s fall=2 rise=2;")
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") == 0, "the only server out")
        self.assert_problem(self.get(gateway), 503, "no-healthy-upstream")

    def test_a_refusal_keeps_the_connection_where_the_request_was_whole(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.plain) as client:
            response = client.request("GET", "/", "nobody.test")
            self.assert_problem(response, 421)
            if response.keeps_alive:
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            else:
                self.assert_closed(client)

    def test_a_refusal_of_head_has_no_body(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.plain) as client:
            client.send("HEAD / HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
            response = client.read_response("HEAD")
            self.assertEqual(response.status, 421)
            self.assertTrue(client.is_open_and_quiet() if response.keeps_alive else client.is_closed())

    def test_problem_base_names_the_operators_own_page(self):
        gateway = self.simple(self.upstream(), top="problem_base https://errors.example.test/;")
        response = self.get(gateway, host="nobody.test")
        self.assertEqual(json.loads(response.body)["type"], "https://errors.example.test/misdirected")

    def test_what_a_client_sent_is_not_repeated_in_a_refusal(self):
        gateway = self.simple(self.upstream())
        for data in (
            "GET /<script> HTTP/1.1\r\nHost: nobody.test\r\nX-API-Key: gw_secret\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: gw_secret<script>\r\n\r\n",
        ):
            with self.subTest(data=data), RawClient(gateway.plain) as client:
                client.send(data)
                response = client.read_response()
                self.assertIn(response.status, (400, 421))
                for word in (b"<script>", b"gw_secret"):
                    self.assertNotIn(word, response.body)
