"""HTTP/1.1 and HTTP/1.0 through the gateway: connections, bodies, interim answers, streams."""

import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer, answer_and_close, chunk, echo, text

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Connections(Case):
    def test_a_connection_is_kept_alive_on_both_sides(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, workers=1)
        with RawClient(gateway.plain) as client:
            for _ in range(50):
                response = client.request("GET", "/", "acme.test")
                self.assertEqual((response.status, response.body), (200, b"ok"))
                self.assertTrue(response.keeps_alive)
        self.assertEqual(len(upstream.connections), 1)

    def test_connection_close_is_honoured(self):
        gateway = self.simple(self.upstream())
        for value in ("close", "Close", "keep-alive, close"):
            with self.subTest(value=value), RawClient(gateway.plain) as client:
                response = client.request("GET", "/", "acme.test", [("Connection", value)])
                self.assertEqual(response.status, 200)
                self.assertFalse(response.keeps_alive)
                self.assert_closed(client)

    def test_pipelined_requests_are_answered_in_order(self):
        upstream = self.upstream(answer(lambda request: text(request.target)))
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send("".join(f"GET /{n} HTTP/1.1\r\nHost: acme.test\r\n\r\n" for n in range(200)))
            for n in range(200):
                response = client.read_response()
                self.assertEqual((response.status, response.body), (200, f"/{n}".encode()))

    def test_pipelined_requests_with_bodies_of_every_framing(self):
        upstream = self.upstream(answer(echo))
        gateway = self.simple(upstream)
        one = b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\n\r\none"
        two = b"POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
        none = b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n"
        with RawClient(gateway.plain) as client:
            client.send((one + two + none) * 30)
            for _ in range(30):
                self.assertEqual([client.read_response().body for _ in range(3)], [b"one", b"two", b""])

    def test_pipelined_requests_of_two_tenants_go_to_each_its_own(self):
        a, b = (self.upstream(answer(text(name))) for name in "ab")
        gateway = self.gateway(
            """upstream a { server 127.0.0.1:$a; } upstream b { server 127.0.0.1:$b; }
            tenant acme { host acme.test; authenticate none; upstream a; }
            tenant globex { host globex.test; authenticate none; upstream b; }""",
            a=a,
            b=b,
        )
        with RawClient(gateway.plain) as client:
            client.send("".join(f"GET / HTTP/1.1\r\nHost: {host}.test\r\n\r\n" for host in ("acme", "globex") * 20))
            bodies = [client.read_response().body for _ in range(40)]
        self.assertEqual(bodies, [b"a", b"b"] * 20)
        self.assertEqual({r["x-tenant-id"] for r in a.requests}, {"acme"})
        self.assertEqual({r["x-tenant-id"] for r in b.requests}, {"globex"})

    def test_nothing_is_answered_after_a_refused_request(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send(
                "GET /1 HTTP/1.1\r\nHost: acme.test\r\n\r\nGET /2 HTTP/1.1\r\nHost : acme.test\r\n\r\n"
                "GET /3 HTTP/1.1\r\nHost: acme.test\r\n\r\n"
            )
            self.assertEqual(client.read_response().status, 200)
            self.assert_problem(client.read_response(), 400, "bad-request", closes=True)
            self.assert_closed(client)
        self.assertEqual([request.target for request in upstream.requests], ["/1"])

    def test_a_request_byte_by_byte(self):
        upstream = self.upstream(answer(echo))
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            head = b"POST /x HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            for byte in head + b"3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n":
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().body, b"abc")

    def test_one_empty_line_before_a_request_is_taken(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.plain) as client:
            for _ in range(2):
                client.send("\r\nGET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                self.assertEqual(client.read_response().status, 200)

    def test_http_1_0_closes_and_with_keep_alive_stays(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.plain) as client:
            response = client.request("GET", "/", "acme.test", version="HTTP/1.0")
            self.assertEqual((response.status, response.body), (200, b"ok"))
            self.assert_closed(client)
        with RawClient(gateway.plain) as client:
            for _ in range(3):
                response = client.request("GET", "/", "acme.test", [("Connection", "keep-alive")], version="HTTP/1.0")
                self.assertEqual((response.status, response.body), (200, b"ok"))
                if not response.keeps_alive or "keep-alive" not in (response["connection"] or "").lower():
                    self.assert_closed(client)
                    break

    def test_an_http_1_0_client_never_gets_chunks(self):
        gateway = self.simple(
            self.upstream(answer(CHUNKED + chunk(b"hello") + chunk(b" world") + b"0\r\nX-T: 1\r\n\r\n"))
        )
        for fields in ([], [("Connection", "keep-alive")]):
            with self.subTest(fields=fields), RawClient(gateway.plain) as client:
                response = client.request("GET", "/", "acme.test", fields, version="HTTP/1.0")
                self.assertNotEqual(response.framing, "chunked")
                self.assertEqual(response.body, b"hello world")

    def test_the_gateway_speaks_http_1_1_to_an_upstream_whatever_the_client_speaks(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.request("GET", "/", "acme.test", version="HTTP/1.0")
        self.assertEqual(upstream.next_request().version, "HTTP/1.1")


class Bodies(Case):
    def exchange(self, data, method="GET", **options):
        upstream = self.upstream(answer(data))
        with RawClient(self.simple(upstream).plain) as client:
            response = client.request(method, "/", "acme.test", **options)
            again = client.request("GET", "/again", "acme.test")
            self.assertEqual(again.status, response.status)
        return upstream.next_request(), response

    def test_bodies_of_every_size_and_framing_arrive_whole(self):
        gateway = self.simple(self.upstream(answer(echo)))
        for size in (0, 1, 2, 15, 16, 17, 4095, 4096, 16384, 65535, 65536, 65537, 300_000, 1_000_003):
            body = bytes(i * 31 & 255 for i in range(min(size, 251))) * (size // 251 + 1)
            body = body[:size]
            for chunked in (False, True):
                with self.subTest(size=size, chunked=chunked), RawClient(gateway.plain) as client:
                    response = client.request("POST", "/", "acme.test", body=body, chunked=chunked)
                    self.assertEqual((response.status, response.body == body), (200, True))

    def test_a_chunked_answer_arrives_with_its_trailers(self):
        _, response = self.exchange(
            CHUNKED + chunk(b"hello") + b'5;x="y"\r\nworld\r\n' + b"0\r\nX-Sum: 42\r\n\r\n", fields=[("TE", "trailers")]
        )
        self.assertEqual((response.framing, response.body), ("chunked", b"helloworld"))
        self.assertEqual(response.trailers.get("x-sum"), "42")

    def test_trailers_of_a_request_arrive_but_not_those_that_matter_to_others(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send(
                "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
                "X-Sum: 42\r\nX-Tenant-Id: globex\r\nX-Forwarded-For: 6.6.6.6\r\nX_Tenant_Plan: gold\r\n\r\n"
            )
            response = client.read_response()
        if response.status == 200:
            trailers = upstream.next_request().trailers
            self.assertLessEqual(set(trailers.names()), {"x-sum"})
        else:
            self.assert_problem(response, 400)

    def test_what_is_taken_out_of_a_head_does_not_arrive_behind_a_body(self):
        upstream = self.upstream(answer(CHUNKED + b"0\r\nX-Sum: 1\r\nX-Powered-By: x\r\nx_powered_by: y\r\n\r\n"))
        gateway = self.simple(
            upstream, tenant="request_header X-Region eu; request_header X-Debug off; response_header X-Powered-By off;"
        )
        with RawClient(gateway.plain) as client:
            client.send(
                "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                "X-Region: us\r\nX-Sum: 2\r\nX_Debug: 1\r\n\r\n"
            )
            response = client.read_response()
        self.assertEqual(list(upstream.next_request().trailers), [("X-Sum", "2")])
        self.assertEqual(list(response.trailers), [("X-Sum", "1")])

    def test_a_close_delimited_answer_becomes_chunked_and_the_connection_stays(self):
        upstream = self.upstream(answer_and_close(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n" + b"hello" * 1000))
        with RawClient(self.simple(upstream).plain) as client:
            for _ in range(3):
                response = client.request("GET", "/", "acme.test")
                self.assertEqual((response.framing, response.body), ("chunked", b"hello" * 1000))
                self.assertTrue(response.keeps_alive)

    def test_an_answer_of_an_http_1_0_upstream(self):
        upstream = self.upstream(answer_and_close(b"HTTP/1.0 200 OK\r\n\r\nold"))
        response = self.get(self.simple(upstream))
        self.assertEqual((response.version, response.body), ("HTTP/1.1", b"old"))

    def test_head_204_and_304_have_no_body(self):
        for data, method in (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
            (b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', "GET"),
            (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
        ):
            with self.subTest(data=data):
                upstream = self.upstream(answer(data))
                with RawClient(self.simple(upstream).plain) as client:
                    for _ in range(3):
                        client.send(f"{method} / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                        response = client.read_response(method)
                        self.assertEqual(response.status, int(data[9:12]))
                        self.assertTrue(client.is_open_and_quiet())
                self.assertEqual(len(upstream.requests), 3)

    def test_head_keeps_the_length_that_get_would_have(self):
        upstream = self.upstream(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
        with RawClient(self.simple(upstream).plain) as client:
            client.send("HEAD / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.assertEqual(client.read_response("HEAD")["content-length"], "5")

    def test_a_get_with_a_body_keeps_it(self):
        seen, _ = self.exchange(text("ok"), body=b"query")
        self.assertEqual(seen.body, b"query")

    def test_a_post_without_length_has_none(self):
        seen, _ = self.exchange(text("ok"), method="POST")
        self.assertEqual(seen.body, b"")

    def test_large_heads_both_ways(self):
        value = "v" * 20_000
        seen, response = self.exchange(
            text("ok", fields=[f"X-Large: {value}", *(f"X-{n}: {n}" for n in range(60))]),
            fields=[("X-Large", value), *((f"X-{n}", n) for n in range(60))],
        )
        self.assertEqual((seen["x-large"], seen["x-59"]), (value, "59"))
        self.assertEqual((response["x-large"], response["x-59"]), (value, "59"))

    def test_an_answer_in_small_pieces(self):
        data = CHUNKED + chunk(b"hello") + chunk(b"world") + b"0\r\nX-T: 1\r\n\r\n"

        def behaviour(peer):
            while peer.read_request():
                for byte in data:
                    peer.send(bytes([byte]))

        with RawClient(self.simple(self.upstream(behaviour)).plain) as client:
            for _ in range(3):
                self.assertEqual(client.request("GET", "/", "acme.test").body, b"helloworld")

    def test_reason_phrases_and_unusual_codes_pass(self):
        for line, status in (
            ("299 Odd", 299),
            ("418 I'm a teapot", 418),
            ("599", 599),
            ("200 ", 200),
            ("404 Nicht da \xe4", 404),
        ):
            with self.subTest(line=line):
                upstream = self.upstream(answer(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")))
                self.assertEqual(self.get(self.simple(upstream)).status, status)


class Interim(Case):
    def test_a_client_gets_100_continue_before_it_has_to_send_its_body(self):
        def behaviour(peer):
            while (request := peer.read_head()) is not None:
                if request["expect"]:
                    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                peer.send(text(peer.read_body(request).body))

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            for body in ("hello", "again"):
                client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
                self.assertEqual(client.read_head().status, 100)
                client.send(body)
                response = client.read_response()
                self.assertEqual((response.status, response.interim, response.body), (200, [], body.encode()))

    def test_an_upstream_that_knows_nothing_of_expect_gets_the_body_when_the_client_sends_it(self):
        gateway = self.simple(self.upstream(answer(echo)))
        with RawClient(gateway.plain) as client:
            client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
            self.assertEqual(client.read_response().body, b"hello")

    def test_an_upstream_may_refuse_instead_of_100(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(text("no", status="403 Forbidden"))
            peer.wait_for_end()

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            response = client.read_response()
            self.assertEqual(response.status, 403)
            self.assertIn([interim.status for interim in response.interim], ([], [100]))

    def test_a_body_that_is_too_large_is_refused_before_it_is_sent(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, tenant="max_body 1k;")
        with RawClient(gateway.plain) as client:
            client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n")
            response = client.read_response()
            self.assert_problem(response, 413, "content-too-large")
            self.assertEqual(response.interim, [])
        self.assertEqual(upstream.connections, [])

    def test_100_continue_to_an_http_1_0_client_is_not_sent(self):
        gateway = self.simple(self.upstream(answer(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + text("ok"))))
        with RawClient(gateway.plain) as client:
            response = client.request("GET", "/", "acme.test", version="HTTP/1.0")
            self.assertEqual((response.status, response.interim), (200, []))

    def test_interim_answers_are_passed_on(self):
        gateway = self.simple(
            self.upstream(
                answer(
                    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                    + text("ok")
                )
            )
        )
        with RawClient(gateway.plain) as client:
            for _ in range(3):
                response = client.request("GET", "/", "acme.test")
                self.assertEqual((response.status, [r.status for r in response.interim]), (200, [103, 102]))
                self.assertEqual(response.interim[0]["link"], "</a.css>; rel=preload")

    def test_an_interim_answer_comes_as_soon_as_it_was_sent(self):
        passed = threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
            passed.wait(5)
            peer.send(text("ok"))

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.assertEqual(client.read_head().status, 103)
            passed.set()
            self.assertEqual(client.read_response().status, 200)


class Streams(Case):
    def stream(self, head, frame, finish, tls=False):
        """Times how long each of 20 events takes through the gateway; the upstream sends one when the last was seen."""
        seen = threading.Semaphore(0)
        sent = []

        def behaviour(peer):
            peer.read_request()
            peer.send(head)
            for number in range(20):
                sent.append(time.monotonic())
                peer.send(frame(f"data: {number}\n\n".encode()))
                seen.acquire(timeout=5)
            peer.send(finish)

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream, top=self.tls_listener(self.leaf("acme.test")))
        options = {"tls": self.authority.context(), "sni": "acme.test"} if tls else {}
        client = self.connect(gateway.tls if tls else gateway.plain, **options)
        client.send("GET /events HTTP/1.1\r\nHost: acme.test\r\nAccept: text/event-stream\r\n\r\n")
        response = client.read_head()
        self.assertEqual((response.status, response["content-type"]), (200, "text/event-stream"))
        data, delays = b"", []
        for part in client.stream.chunks():
            data += part
            while data.count(b"\n\n") > len(delays):
                delays.append(time.monotonic() - sent[len(delays)])
                seen.release()
        self.assertEqual(data, b"".join(f"data: {n}\n\n".encode() for n in range(20)))
        self.assertLess(sorted(delays)[10], 0.05, delays)
        self.assertLess(max(delays), 1, delays)

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

    def test_events_pass_at_once_when_chunked(self):
        self.stream(self.HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, b"0\r\n\r\n")

    def test_events_pass_at_once_when_close_delimited(self):
        self.stream(self.HEAD + b"\r\n", bytes, b"")

    def test_events_pass_at_once_over_tls(self):
        self.stream(self.HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, b"0\r\n\r\n", tls=True)

    def test_the_head_of_an_answer_does_not_wait_for_its_body(self):
        go = threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.send(self.HEAD + b"Content-Length: 2\r\n\r\n")
            go.wait(5)
            peer.send(b"ok")

        client = self.connect(self.simple(self.upstream(behaviour)).plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        response = client.read_head()
        go.set()
        self.assertEqual(client.read_body(response).body, b"ok")

    def test_an_upload_passes_piece_by_piece_while_the_answer_comes(self):
        def behaviour(peer):
            request = peer.read_head()
            self.assertEqual(request["transfer-encoding"], "chunked")
            peer.send(CHUNKED)
            for part in peer.stream.chunks():
                peer.send(chunk(part.upper()))
            peer.send(b"0\r\n\r\n")

        client = self.connect(self.simple(self.upstream(behaviour)).plain)
        client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(client.read_head().status, 200)
        parts = client.stream.chunks()
        for word in (b"one", b"two", b"three"):
            client.send(chunk(word))
            got = b""
            while len(got) < len(word):
                got += next(parts)
            self.assertEqual(got, word.upper())
        client.send(b"0\r\n\r\n")
        self.assertEqual(list(parts), [])

    def test_a_client_that_leaves_takes_its_upstream_request_with_it(self):
        started, ended = threading.Event(), threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.send(CHUNKED + chunk(b"x"))
            started.set()
            peer.wait_for_end()
            ended.set()

        gateway = self.simple(self.upstream(behaviour))
        for leave in (RawClient.close, RawClient.reset):
            with self.subTest(leave=leave.__name__):
                started.clear(), ended.clear()
                client = RawClient(gateway.plain)
                client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                self.assertTrue(started.wait(5))
                leave(client)
                self.assertTrue(ended.wait(5), "the upstream's connection stays open")
