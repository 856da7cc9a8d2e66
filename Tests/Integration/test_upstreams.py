"""Upstreams that are down, slow, broken or hostile, and how the gateway spreads, retries and gives up."""

import collections
import socket
import threading
import time

from Support.case import Case
from Support.client import RawClient, Truncated
from Support.ports import free_port
from Support.upstream import answer, answer_and_close, answer_and_reset, chunk, drained, goes_stale, text

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


class Failing(Case):
    def test_an_upstream_that_is_down(self):
        gateway = self.simple(free_port())
        for method in ("GET", "POST"):
            with self.subTest(method), RawClient(gateway.plain) as client:
                response = client.request(method, "/", "acme.test", body=b"x" if method == "POST" else None)
                self.assertIn(response.status, (502, 503))
                self.assert_problem(
                    response, response.status, {502: "bad-upstream", 503: "no-healthy-upstream"}[response.status]
                )

    def test_an_upstream_that_comes_back_is_used_again(self):
        port = free_port()
        gateway = self.simple(port)
        self.assertIn(self.get(gateway).status, (502, 503))
        self.upstream(port=port)
        self.until(lambda: self.get(gateway).status == 200, "the upstream to be used again", within=10)

    def test_a_server_that_is_down_costs_no_request_while_another_is_up(self):
        upstream = self.upstream()
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$down; server 127.0.0.1:$app; balance round_robin; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=upstream,
            down=free_port(),
        )
        for method in ("GET", "POST") * 10:
            with RawClient(gateway.plain) as client:
                self.assertEqual(
                    client.request(method, "/", "acme.test", body=b"x" if method == "POST" else None).status, 200
                )

    def test_connecting_takes_no_longer_than_connect_timeout(self):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.addCleanup(listener.close)
        for _ in range(4):  # fills the queue of connections: the kernel then answers no further one
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.addCleanup(filler.close)
        gateway = self.simple(listener.getsockname()[1], block="connect_timeout 300ms; response_timeout 20s;")
        began = time.monotonic()
        response = self.get(gateway)
        self.assertIn(response.status, (502, 503, 504))
        self.assert_problem(response, response.status)
        self.assertLess(time.monotonic() - began, 3)

    def test_response_timeout_until_the_head(self):
        upstream = self.upstream(lambda peer: peer.read_request() and peer.wait_for_end())
        gateway = self.simple(upstream, block="response_timeout 300ms;")
        for method in ("GET", "POST"):
            with self.subTest(method), RawClient(gateway.plain) as client:
                self.assert_problem(client.request(method, "/", "acme.test", body=b"x"), 504, "upstream-timeout")

    def test_response_timeout_of_a_route(self):
        def behaviour(peer):
            peer.read_request()
            if not peer.stream.buffer:
                peer.socket.settimeout(0.6)
                try:
                    peer.stream.fill()
                except TimeoutError:
                    peer.send(text("late"))

        gateway = self.simple(
            self.upstream(behaviour), block="response_timeout 200ms;", tenant="route /slow/ { response_timeout 5s; }"
        )
        self.assert_problem(self.get(gateway), 504, "upstream-timeout")
        self.assertEqual(self.get(gateway, "/slow/x").body, b"late")

    def test_a_head_that_stops_halfway(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
            peer.wait_for_end()

        gateway = self.simple(self.upstream(behaviour), block="response_timeout 300ms;")
        self.assert_problem(self.get(gateway), 504, "upstream-timeout")

    def test_a_body_that_stops_is_a_broken_transfer(self):
        for head, part in ((LENGTH, b"x" * 50), (CHUNKED, chunk(b"x" * 50)), (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 50)):
            with self.subTest(head=head):

                def behaviour(peer):
                    peer.read_request()
                    peer.send(head + part)
                    peer.wait_for_end()

                gateway = self.simple(self.upstream(behaviour), block="response_timeout 300ms;")
                with self.assertRaises(Truncated):
                    self.get(gateway)

    def test_a_resetting_upstream(self):
        for name, behaviour in (
            ("at once", lambda peer: peer.reset()),
            ("after the request", lambda peer: peer.read_request() and peer.reset()),
            ("in the head", answer_and_reset(b"HTTP/1.1 200 OK\r\nContent-Le")),
            ("close in the head", answer_and_close(b"HTTP/1.1 200 OK\r\nContent-Le")),
        ):
            for method in ("GET", "POST"):
                with self.subTest(name, method=method):
                    gateway = self.simple(self.upstream(behaviour))
                    with RawClient(gateway.plain) as client:
                        self.assert_problem(client.request(method, "/", "acme.test", body=b"x"), 502, "bad-upstream")


class Truncation(Case):
    """An upstream that dies inside a body: no client may take what came for the whole."""

    BROKEN = {
        "length, closed": answer_and_close(LENGTH + b"x" * 99),
        "length, reset": answer_and_reset(LENGTH + b"x" * 99),
        "length, closed before the body": answer_and_close(LENGTH),
        "chunked, closed between chunks": answer_and_close(CHUNKED + chunk(b"x" * 99)),
        "chunked, reset between chunks": answer_and_reset(CHUNKED + chunk(b"x" * 99)),
        "chunked, closed inside a chunk": answer_and_close(CHUNKED + b"64\r\n" + b"x" * 50),
        "chunked, closed before the last CRLF": answer_and_close(CHUNKED + chunk(b"x" * 99) + b"0\r\n"),
        "chunked, closed in the trailers": answer_and_close(CHUNKED + chunk(b"x" * 99) + b"0\r\nX-T: 1\r\n"),
        "chunked, malformed size": answer_and_close(CHUNKED + chunk(b"x" * 99) + b"zz\r\n\r\n"),
        "chunked, more data than announced": answer_and_close(CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n"),
        "close-delimited, reset": answer_and_reset(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 99),
        "large, length, reset": answer_and_reset(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 999_999
        ),
    }

    def broken(self, tls, version="HTTP/1.1"):
        for name, behaviour in self.BROKEN.items():
            with self.subTest(name):
                gateway = self.simple(self.upstream(behaviour), top=self.tls_listener(self.leaf("acme.test")))
                options = {"tls": self.authority.context(), "sni": "acme.test"} if tls else {}
                with RawClient(gateway.tls if tls else gateway.plain, **options) as client:
                    client.send(f"GET / {version}\r\nHost: acme.test\r\n\r\n")
                    with self.assertRaises(Truncated):
                        response = client.read_response()
                        if response.status == 502:  # nothing had been passed on yet: an honest answer too
                            raise Truncated("refused")
                gateway.stop()

    def test_of_a_plain_answer(self):
        self.broken(tls=False)

    def test_of_an_answer_over_tls(self):
        self.broken(tls=True)

    def test_of_an_answer_to_an_http_1_0_client(self):
        self.broken(tls=False, version="HTTP/1.0")

    def test_of_an_answer_over_tls_to_an_http_1_0_client(self):
        self.broken(tls=True, version="HTTP/1.0")

    def test_curl_notices(self):
        import subprocess

        for name in ("length, closed", "chunked, closed between chunks", "close-delimited, reset"):
            with self.subTest(name):
                gateway = self.simple(self.upstream(self.BROKEN[name]))
                done = subprocess.run(
                    ["curl", "-sS", "--max-time", "10", "-H", "Host: acme.test", f"http://127.0.0.1:{gateway.plain}/"],
                    capture_output=True,
                )
                self.assertNotEqual(done.returncode, 0, done)
                gateway.stop()

    def test_of_an_upload_is_not_taken_for_a_whole_one(self):
        for framing, part in (
            ("Content-Length: 100", b"x" * 99),
            ("Transfer-Encoding: chunked", chunk(b"x" * 99)),
            ("Transfer-Encoding: chunked", chunk(b"x" * 99) + b"0\r\n"),
        ):
            for leave in (RawClient.close, RawClient.reset):
                with self.subTest(framing=framing, leave=leave.__name__):
                    seen, ended = threading.Event(), threading.Event()

                    def behaviour(peer):
                        request = peer.read_head()
                        seen.set()
                        try:
                            peer.read_body(request)
                        except Truncated:
                            ended.set()

                    upstream = self.upstream(behaviour)
                    gateway = self.simple(upstream)
                    client = RawClient(gateway.plain)
                    client.send(f"POST / HTTP/1.1\r\nHost: acme.test\r\n{framing}\r\n\r\n".encode() + part)
                    self.assertTrue(seen.wait(5))
                    leave(client)
                    self.assertTrue(ended.wait(5), "the upload's end is not passed on")
                    self.assertEqual(upstream.requests, [])
                    gateway.stop()


class Retries(Case):
    def test_a_stale_connection_is_retried_once_for_an_idempotent_request(self):
        upstream = self.upstream(goes_stale(text("first"), text("second")))
        gateway = self.simple(upstream, workers=1)
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/1", "acme.test").body, b"first")
            self.assertEqual(client.request("GET", "/2", "acme.test").body, b"second")
        self.assertEqual([r.target for r in upstream.requests], ["/1", "/2", "/2"])

    def test_a_post_that_was_sent_is_never_sent_again(self):
        upstream = self.upstream(goes_stale(text("first"), text("second")))
        gateway = self.simple(upstream, workers=1)
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/1", "acme.test").body, b"first")
            self.assert_problem(client.request("POST", "/2", "acme.test", body=b"x"), 502, "bad-upstream")
        self.assertEqual([r.target for r in upstream.requests], ["/1", "/2"])

    def test_a_request_is_tried_twice_at_most(self):
        upstream = self.upstream(lambda peer: peer.read_request())
        gateway = self.simple(upstream, workers=1)
        self.assert_problem(self.get(gateway), 502, "bad-upstream")
        self.assertLessEqual(len(upstream.requests), 2)

    def test_a_retry_goes_to_another_server(self):
        bad = self.upstream(lambda peer: peer.read_request())
        good = self.upstream()
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$bad; server 127.0.0.1:$good; balance round_robin; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            workers=1,
            bad=bad,
            good=good,
        )
        for _ in range(4):
            self.assertEqual(self.get(gateway).status, 200)

    def test_nothing_is_retried_once_the_answer_has_begun(self):
        upstream = self.upstream(answer_and_close(LENGTH + b"x" * 10))
        with self.assertRaises(Truncated):
            self.get(self.simple(upstream))
        self.assertEqual(len(upstream.requests), 1)

    def test_a_connection_that_the_upstream_closed_while_idle_costs_no_request(self):
        upstream = self.upstream(answer_and_close(text("ok")))
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            for _ in range(30):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_connection_close_of_an_upstream_is_honoured(self):
        upstream = self.upstream(answer(text("ok", fields=["Connection: close"])))
        gateway = self.simple(upstream, workers=1)
        with RawClient(gateway.plain) as client:
            for _ in range(5):
                response = client.request("POST", "/", "acme.test", body=b"x")
                self.assertEqual(response.status, 200)
                self.assertTrue(response.keeps_alive)
        self.assertEqual(len(upstream.connections), 5)


class Balance(Case):
    def several(self, *names, behaviour=None, options="", **more):
        servers = {name: self.upstream(behaviour(name) if behaviour else answer(text(name))) for name in names}
        weights = more.pop("weights", {})
        lines = "".join(f"server 127.0.0.1:${n}{' weight=%d' % weights[n] if n in weights else ''}; " for n in names)
        gateway = self.gateway(
            f"upstream app {{ {lines} {options} }}\n"
            "tenant acme { host acme.test; authenticate none; upstream app; }",
            **servers,
            **more,
        )
        return servers, gateway

    def test_round_robin_keeps_to_the_weights_exactly(self):
        _, gateway = self.several("a", "b", "c", options="balance round_robin;", weights={"a": 3, "b": 2}, workers=1)
        with RawClient(gateway.plain) as client:
            got = collections.Counter(client.request("GET", "/", "acme.test").body for _ in range(60))
        self.assertEqual(got, {b"a": 30, b"b": 20, b"c": 10})

    def test_least_requests_goes_where_least_is_going_on(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def behaviour(name):
            def serve(peer):
                while request := peer.read_request():
                    if request.target == "/hold":
                        release.wait(20)
                    peer.send(text(name))

            return serve

        servers, gateway = self.several("a", "b", behaviour=behaviour, options="balance least_requests;", workers=1)
        holder = self.connect(gateway.plain)
        holder.send("GET /hold HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: any(u.requests for u in servers.values()), "the held request")
        busy = next(name for name, u in servers.items() if u.requests)
        with RawClient(gateway.plain) as client:
            got = collections.Counter(client.request("GET", "/", "acme.test").body.decode() for _ in range(20))
        self.assertEqual(got, {"b" if busy == "a" else "a": 20})
        release.set()
        self.assertEqual(holder.read_response().status, 200)

    def test_least_requests_spreads_over_idle_servers(self):
        _, gateway = self.several("a", "b", options="balance least_requests;", workers=1)
        with RawClient(gateway.plain) as client:
            got = collections.Counter(client.request("GET", "/", "acme.test").body for _ in range(40))
        self.assertGreaterEqual(min(got[b"a"], got[b"b"]), 10, got)

    def test_health_checks_take_a_server_out_and_bring_it_back(self):
        ill = {"a": False, "b": False}

        def behaviour(name):
            return answer(
                lambda request: text(name, status="503 Ill" if request.target == "/healthz" and ill[name] else "200 OK")
            )

        servers, gateway = self.several(
            "a",
            "b",
            behaviour=behaviour,
            options="balance round_robin; health_check /healthz interval=50ms timeout=1s fall=3 rise=2;",
        )

        def healthy(name):
            server = f"127.0.0.1:{servers[name].port}"
            return gateway.metrics().sum("gateway_upstream_healthy", server=server)

        def bodies():
            with RawClient(gateway.plain) as client:
                return {client.request("GET", "/", "acme.test").body for _ in range(12)}

        self.until(lambda: healthy("a") == 1 and healthy("b") == 1, "both healthy")
        self.until(lambda: bodies() == {b"a", b"b"}, "both in use")
        ill["a"] = True
        self.until(lambda: healthy("a") == 0, "a out")
        self.until(lambda: bodies() == {b"b"}, "a unused")
        ill["b"] = True
        self.until(lambda: healthy("b") == 0, "b out")
        self.until(lambda: self.get(gateway).status == 503, "503 with no server left")
        self.assert_problem(self.get(gateway), 503, "no-healthy-upstream")
        self.assertEqual(gateway.get("/readyz")[0], 200)
        ill["a"] = False
        self.until(lambda: healthy("a") == 1, "a back")
        self.until(lambda: self.get(gateway).body == b"a", "a in use")
        checks = [r for r in servers["a"].requests if r.target == "/healthz"]
        self.assertTrue(checks)
        self.assertIn("host", checks[0].fields)

    def test_a_server_falls_only_after_so_many_failures_in_a_row(self):
        count = [0]

        def behaviour(peer):
            while request := peer.read_request():
                bad = False
                if request.target == "/healthz":
                    count[0] += 1
                    bad = count[0] % 3 != 0  # two failures, one success, over and over
                peer.send(text("x", status="500 Ill" if bad else "200 OK"))

        gateway = self.simple(
            self.upstream(behaviour), block="health_check /healthz interval=20ms timeout=1s fall=3 rise=1;"
        )
        while count[0] < 25:
            self.assertEqual(gateway.metrics().sum("gateway_upstream_healthy"), 1)
            self.assertEqual(self.get(gateway).status, 200)

    def test_a_health_check_that_hangs_counts_as_failed(self):
        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/healthz":
                    peer.wait_for_end()
                    return
                peer.send(text("ok"))

        gateway = self.simple(
            self.upstream(behaviour), block="health_check /healthz interval=50ms timeout=50ms fall=2 rise=1;"
        )
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") == 0, "the server out")

    def test_max_connections_queues_and_loses_nothing(self):
        lock, now, most = threading.Lock(), [0], [0]
        gate = threading.Semaphore(0)

        def behaviour(peer):
            while peer.read_request():
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                gate.acquire(timeout=10)
                with lock:
                    now[0] -= 1
                peer.send(text("ok"))

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream, block="max_connections 2;", workers=1)
        clients = [self.connect(gateway.plain) for _ in range(8)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: now[0] == 2, "two at once")
        for _ in clients:
            gate.release()
        self.assertEqual([client.read_response().status for client in clients], [200] * 8)
        self.assertEqual(most[0], 2)
        self.assertEqual(len(upstream.connections), 2)

    def test_a_queue_that_is_too_long_is_overloaded(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def behaviour(peer):
            while peer.read_request():
                release.wait(20)
                peer.send(text("ok"))

        gateway = self.simple(self.upstream(behaviour), block="max_connections 1;", workers=1)
        clients = [self.connect(gateway.plain) for _ in range(60)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: gateway.metrics().sum("gateway_refused_total", reason="overloaded") > 0, "some refused")
        release.set()
        answers = [client.read_response() for client in clients]
        self.assertEqual({response.status for response in answers}, {200, 503})
        for response in answers:
            if response.status == 503:
                self.assert_problem(response, 503, "overloaded")

    def test_retries_have_a_budget(self):
        upstream = self.upstream(lambda peer: peer.read_request(), record=False)
        gateway = self.simple(upstream, workers=1)
        count, began = 300, time.monotonic()
        with RawClient(gateway.plain) as client:
            for _ in range(count):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 502)
        # Ten are there to begin with, ten more at the first look, ten come each second, and one with five attempts.
        most = (5 * (20 + 10 * (time.monotonic() - began)) + count) / 4
        self.assertLessEqual(len(upstream.requests) - count, most, "an upstream that is ill gets twice the load")

    def test_an_upstream_over_ipv6(self):
        upstream = self.upstream(host="::1")
        gateway = self.gateway(
            """upstream app { server [::1]:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=upstream,
        )
        self.assertEqual(self.get(gateway).status, 200)

    def test_names_are_resolved(self):
        upstream = self.upstream()
        gateway = self.gateway(
            """upstream app { server localhost:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=upstream,
        )
        self.until(lambda: self.get(gateway).status == 200, "localhost resolved")


class Hostile(Case):
    """What an upstream sends beyond or beside an answer reaches nobody."""

    def twice(self, data, second=b"clean", status=200, method="GET"):
        """The first connection answers with `data`, any other with `second`: the next request must get the latter."""

        def behaviour(peer):
            if peer.number == 0:
                peer.read_request()
                peer.send(data)
                drained(peer.socket)
                peer.wait_for_end()
            else:
                answer(text(second))(peer)

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream, workers=1)
        with RawClient(gateway.plain) as client:
            client.send(f"{method} / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            first = client.read_response(method)
            self.assertEqual(first.status, status, first)
            if not first.keeps_alive:
                client = self.connect(gateway.plain)
            next_one = client.request("GET", "/2", "acme.test")
            self.assertEqual((next_one.status, next_one.body), (200, second))
        return first

    def test_bytes_after_an_answer(self):
        for extra in (b"x", b"\r\n", text("smuggled"), b"HTTP/1.1 100 Continue\r\n\r\n"):
            for data in (text("ok"), CHUNKED + chunk(b"ok") + b"0\r\n\r\n"):
                with self.subTest(extra=extra, data=data):
                    self.assertEqual(self.twice(data + extra).body, b"ok")

    def test_bytes_after_an_answer_that_ends_with_a_read(self):
        """Of so slow a tenant 2048 bytes are read at a time: what stands behind them stays in the kernel."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        data = head % (2048 - len(head) - 2) + b"x" * (2048 - len(head) - 2)
        self.assertEqual(len(data), 2048)

        def behaviour(peer):
            while peer.read_request():
                peer.send(data + text("smuggled") if peer.number == 0 else text("clean"))

        gateway = self.simple(self.upstream(behaviour), "bandwidth 1k/s burst=100k;", workers=1)
        with RawClient(gateway.plain) as client:
            self.assertEqual(len(client.request("GET", "/", "acme.test").body), 2048 - len(head) - 2)
            self.assertEqual(client.request("GET", "/", "acme.test").body, b"clean")

    def test_a_body_where_there_must_be_none(self):
        self.twice(b"HTTP/1.1 204 No Content\r\n\r\n" + text("smuggled"), status=204)
        self.twice(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", status=304)
        self.twice(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", method="HEAD")

    def test_an_answer_that_nobody_asked_for(self):
        def behaviour(peer):
            if peer.number == 0:
                peer.read_request()
                peer.send(text("ok"))
                drained(peer.socket)
                sent_extra.set()
                peer.send(text("poison"))
                drained(peer.socket)
                poisoned.set()
                peer.wait_for_end()
            else:
                answer(text("clean"))(peer)

        sent_extra, poisoned = threading.Event(), threading.Event()
        gateway = self.simple(self.upstream(behaviour), workers=1)
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").body, b"ok")
            self.assertTrue(poisoned.wait(5))
            self.assertEqual(client.request("GET", "/", "acme.test").body, b"clean")

    def test_an_early_answer_to_an_upload(self):
        def behaviour(peer):
            if peer.number == 0:
                peer.read_head()
                peer.send(text("early", status="403 Forbidden"))
                peer.wait_for_end()
            else:
                answer(text("clean"))(peer)

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream, workers=1)
        with RawClient(gateway.plain) as client:
            client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 100000\r\n\r\n" + "x" * 1000)
            self.assertEqual(client.read_response().status, 403)
        response = self.get(gateway)
        self.assertEqual((response.status, response.body), (200, b"clean"))
        self.assertEqual(upstream.connections[1].requests[0].method, "GET")

    def test_an_early_answer_and_a_close_while_the_client_still_sends(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(text("too much", status="413 Content Too Large", fields=["Connection: close"]))

        gateway = self.simple(self.upstream(behaviour))
        for _ in range(5):
            with RawClient(gateway.plain) as client:
                client.send_as_taken(
                    b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000
                )
                response = client.read_response()
                self.assertIn(response.status, (413, 502), response)

    def test_an_unasked_101(self):
        upstream = self.upstream(
            answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw")
        )
        gateway = self.simple(upstream)
        self.assert_problem(self.get(gateway), 502, "bad-upstream")

    def test_a_storm_of_interim_answers(self):
        for data in (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 40000, b"HTTP/1.1 100 Continue\r\n\r\n" * 100000):
            with self.subTest(size=len(data)):
                gateway = self.simple(self.upstream(answer(data + text("ok"))))
                self.assert_problem(self.get(gateway), 502, "bad-upstream")

    def test_many_interim_answers_are_no_storm(self):
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        gateway = self.simple(self.upstream(answer(hint * 5000 + text("ok"))), workers=1)
        with RawClient(gateway.plain) as client:
            for _ in range(3):
                response = client.request("GET", "/", "acme.test")
                self.assertEqual((response.status, response.body, len(response.interim)), (200, b"ok", 5000))

    def test_a_client_that_takes_no_interim_answers_fills_no_memory(self):
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 1000 + b"\r\n\r\n"
        gateway = self.simple(
            self.upstream(answer(hint * 900 + text("ok")), record=False), top="limits { body_timeout 20s; }", workers=1
        )
        clients = [RawClient(gateway.plain, receive_buffer=4096) for _ in range(40)]
        before = gateway.resident
        for client in clients:
            self.addCleanup(client.close)
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" * 20)
        time.sleep(1)
        self.assert_bar(gateway.resident - before, 40 << 20)
        response = clients[0].read_response()
        self.assertEqual((response.status, len(response.interim)), (200, 900))

    def test_an_answer_without_a_body_has_none_whatever_it_says(self):
        for head in (
            b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + text("ok"),
            b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 None\r\n\r\n",
        ):
            for behind in (b"", b"hello", text("smuggled")):
                with self.subTest(head=head, behind=behind):
                    upstream = self.upstream(answer(head + behind))
                    gateway = self.simple(upstream, workers=1)
                    with RawClient(gateway.plain) as client:
                        for number in range(3):
                            response = client.request("GET", f"/{number}", "acme.test")
                            self.assertIn((response.status, response.body), ((204, b""), (200, b"ok")))
                            self.assertIsNone(response["content-length"] if response.status == 204 else None)
                            self.assertTrue(response.keeps_alive)
                    # No connection carries a second request: what else comes on it is nobody's answer.
                    self.assertEqual([len(peer.requests) for peer in upstream.connections], [1, 1, 1])
                    gateway.stop()

    def test_an_endless_head(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n")
            for number in range(1_000_000):
                peer.send(b"X-%d: %s\r\n" % (number, b"y" * 1000))

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream)
        self.assert_problem(self.get(gateway), 502, "bad-upstream")

    def test_control_bytes_in_an_answers_fields(self):
        for line in (
            b"X: a\0b",
            b"X: a\rb",
            b"X: a\nY: b",
            b"X\0: a",
            b"X : a",
            b" X: a",
            b"X: a\r\n folded",
            b"Content-Length: 5, 5",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding: chunked\r\nContent-Length: 3",
            b"Content-Length: -1",
        ):
            with self.subTest(line=line):
                gateway = self.simple(self.upstream(answer_and_close(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\nabc")))
                self.assert_problem(self.get(gateway), 502, "bad-upstream")
                gateway.stop()

    def test_a_tenants_broken_upstream_is_nobody_elses_trouble(self):
        bad = self.upstream(lambda peer: peer.read_request() and peer.wait_for_end())
        good = self.upstream()
        gateway = self.gateway(
            """upstream bad { server 127.0.0.1:$bad; max_connections 4; response_timeout 20s; }
            upstream good { server 127.0.0.1:$good; }
            tenant acme { host acme.test; authenticate none; upstream bad; }
            tenant globex { host globex.test; authenticate none; upstream good; }""",
            bad=bad,
            good=good,
        )
        for _ in range(100):
            self.connect(gateway.plain).send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.get(gateway, host="globex.test").status, 200)
        self.assertLess(time.monotonic() - began, 3)


class HealthChecks(Case):
    """What a server may do to whoever checks it."""

    def checked(self, behaviour, options="interval=50ms timeout=300ms fall=1 rise=1"):
        def serve(peer):
            while request := peer.read_request():
                if request.target != "/healthz":
                    peer.send(text("ok"))
                elif behaviour(peer) is not True:
                    return

        return self.simple(self.upstream(serve), block=f"health_check /healthz {options};")

    def healthy(self, gateway):
        return gateway.metrics().sum("gateway_upstream_healthy")

    def test_an_interim_answer_is_no_answer(self):
        def behaviour(peer):
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            time.sleep(0.02)
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" + text("ok"))

        gateway = self.checked(behaviour)
        time.sleep(0.5)
        self.assertEqual(self.healthy(gateway), 1)
        self.assertNotIn("is out", gateway.stderr)

    def test_many_interim_answers_are_no_answer(self):
        gateway = self.checked(
            lambda peer: peer.send(b"HTTP/1.1 102 Processing\r\nContent-Length: 7\r\n\r\n" * 200 + text("ok")) is None
        )
        time.sleep(0.5)
        self.assertEqual(self.healthy(gateway), 1)
        self.assertNotIn("is out", gateway.stderr)

    def test_a_storm_of_interim_answers_ends(self):
        stop = []

        def behaviour(peer):
            while not stop:
                peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

        self.addCleanup(stop.append, True)
        gateway = self.checked(behaviour)
        self.until(lambda: self.healthy(gateway) == 0, "the server out")
        self.assertEqual(gateway.get("/healthz")[0], 200)
        self.assertIn("too many interim answers", gateway.stderr)

    def test_an_answer_that_comes_byte_by_byte_is_late(self):
        def behaviour(peer):
            for byte in text("ok"):
                peer.send(bytes([byte]))
                time.sleep(0.05)

        gateway = self.checked(behaviour)
        self.until(lambda: self.healthy(gateway) == 0, "the server out")
        self.assertIn("no answer in time", gateway.stderr)
