"""HTTP/2 clients: what HTTP/1.1 clients get, they get, and on one connection all at once."""

import signal
import socket
import threading
import time

from Support import h2
from Support.case import Case
from Support.gateway import PREAMBLE
from Support.h2 import Client, Ended, Reset, frame
from Support.upstream import answer, chunk, echo, text

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class H2Case(Case):
    def open(self, gateway, tls=True, **options):
        if tls:
            client = Client(gateway.tls, self.authority.context(alpn=("h2",)), **options)
        else:
            client = Client(gateway.plain, **options)
        self.addCleanup(client.close)
        return client

    def edge(self, behaviour=None, **options):
        top = self.tls_listener(self.leaf("acme.test", "www.acme.test")) + options.pop("top", "")
        return self.simple(behaviour if hasattr(behaviour, "port") else self.upstream(behaviour), top=top, **options)


class Requests(H2Case):
    def test_a_request_and_its_answer(self):
        upstream = self.upstream(answer(text("hello", fields=["X-Own: 1", "Connection: x-hop", "X-Hop: 1", "Keep-Alive: 5"])))
        gateway = self.edge(upstream)
        for tls in (True, False):
            with self.subTest(tls=tls):
                client = self.open(gateway, tls)
                reply = client.get("/a?b=c", more=[("x-one", "1")])
                self.assertEqual((reply.status, bytes(reply.body)), (200, b"hello"))
                self.assertEqual(reply.get("content-length"), "5")
                self.assertEqual(reply.get("x-own"), "1")
                for name in ("connection", "x-hop", "keep-alive", "transfer-encoding"):
                    self.assertIsNone(reply.get(name))
                request = upstream.next_request()
                self.assertEqual((request.method, request.target, request.version), ("GET", "/a?b=c", "HTTP/1.1"))
                self.assertEqual(request["host"], "acme.test")
                self.assertEqual(request["x-one"], "1")
                self.assertEqual(request["via"], "2 gateway")
                self.assertEqual(request["x-forwarded-proto"], "https" if tls else "http")

    def test_many_at_once(self):
        def behaviour(peer):
            while request := peer.read_request():
                time.sleep(0.2)
                peer.send(text(request.target))

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        began = time.monotonic()
        streams = [client.head(client.fields(path=f"/{number}")) for number in range(50)]
        for number, stream in enumerate(streams):
            self.assertEqual(bytes(client.answer(stream).body), b"/%d" % number)
        self.assertLess(time.monotonic() - began, 3)

    def test_bodies_both_ways(self):
        upstream = self.upstream(answer(echo), record=False)
        gateway = self.edge(upstream)
        for tls in (True, False):
            client = self.open(gateway, tls)
            for size in (1, 16384, 16385, 100_000, 3_000_000):
                with self.subTest(tls=tls, size=size):
                    body = bytes(range(256)) * (size // 256 + 1)
                    body = body[:size]
                    for more in ([], [("content-length", str(size))]):
                        reply = client.post(body, more=more)
                        self.assertEqual(reply.status, 200)
                        self.assertTrue(bytes(reply.body) == body, "another body")

    def test_a_small_body_goes_out_with_its_head_and_is_sent_again_where_that_is_safe(self):
        upstream = self.upstream(answer(echo))
        gateway = self.edge(upstream)
        client = self.open(gateway)
        stream = client.open()
        block = client.encoder.encode(client.fields("PUT", more=[("content-length", "5")]))
        client.send(frame(h2.HEADERS, h2.END_HEADERS, stream, block) + frame(h2.DATA, h2.END_STREAM, stream, b"hello"))
        self.assertEqual(bytes(client.answer(stream).body), b"hello")

    def test_trailers_both_ways(self):
        def answers(peer):
            while request := peer.read_request():
                peer.send(CHUNKED + chunk(b"body") + b"0\r\nX-Sum: %s\r\n\r\n" % request.trailers.get("x-check").encode())

        gateway = self.edge(answers)
        client = self.open(gateway)
        stream = client.head(client.fields("POST"), ends=False)
        client.data(stream, b"hello")
        client.head([("x-check", "7")], stream=stream)
        reply = client.answer(stream)
        self.assertEqual(bytes(reply.body), b"body")
        self.assertEqual(reply.trailers, [("x-sum", "7")])

    def test_heads_without_bodies(self):
        def behaviour(peer):
            while request := peer.read_request():
                status = request.target[1:]
                if request.method == "HEAD":
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
                else:
                    peer.send(b"HTTP/1.1 %s X\r\nETag: \"a\"\r\n\r\n" % status.encode())

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        reply = client.get("/x", method="HEAD")
        self.assertEqual((reply.status, reply.get("content-length"), reply.body), (200, "1234", b""))
        for status in (204, 304):
            reply = client.get(f"/{status}")
            self.assertEqual((reply.status, reply.body, reply.get("etag")), (status, b"", '"a"'))

    def test_answers_before_the_answer(self):
        def behaviour(peer):
            while peer.read_request():
                peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + text("ok"))

        client = self.open(self.edge(behaviour))
        reply = client.get()
        self.assertEqual(reply.status, 200)
        self.assertEqual([dict(one)[":status"] for one in reply.interim], ["103"])
        self.assertEqual(dict(reply.interim[0])["link"], "</a>; rel=preload")

    def test_who_expects_to_be_asked_is_asked(self):
        client = self.open(self.edge(answer(echo)))
        stream = client.head(client.fields("POST", more=[("expect", "100-continue"), ("content-length", "5")]), ends=False)
        reply = client.answers[stream]
        client.until(lambda: reply.interim)
        self.assertEqual(dict(reply.interim[0])[":status"], "100")
        client.data(stream, b"hello", ends=True)
        self.assertEqual(bytes(client.answer(stream).body), b"hello")

    def test_an_answer_ahead_of_the_request_s_end(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(text("enough", "200 OK", ["Connection: close"]))
            peer.wait_for_end()

        client = self.open(self.edge(behaviour))
        stream = client.head(client.fields("POST"), ends=False)
        client.data(stream, b"part")
        reply = client.answer(stream)
        self.assertEqual(bytes(reply.body), b"enough")
        client.until(lambda: reply.reset is not None)
        self.assertEqual(reply.reset, h2.NO_ERROR)
        # What was on its way is no fault, and the connection goes on.
        client.data(stream, b"more", ends=True)
        self.assertEqual(client.get("/", host="nobody.test").status, 421)

    def test_cookie_crumbs_are_one_field(self):
        upstream = self.upstream()
        client = self.open(self.edge(upstream))
        client.get(more=[("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"), ("cookie", "c=3")])
        request = upstream.next_request()
        self.assertEqual([value for name, value in request.fields if name.lower() == "cookie"], ["a=1; b=2; c=3"])

    def test_a_host_of_nobody_is_misdirected_and_the_connection_goes_on(self):
        client = self.open(self.edge())
        for _ in range(3):
            self.assertEqual(client.get(host="other.test").status, 421)
            self.assertEqual(client.get(host="acme.test").status, 200)

    def test_another_host_of_the_tenant_goes_where_the_certificate_goes(self):
        top = self.tls_listener(self.leaf("acme.test", "www.acme.test"), self.leaf("apart.test"))
        gateway = self.simple(self.upstream(), "host www.acme.test apart.test;", top=top)
        client = self.open(gateway)
        self.assertEqual(client.get(host="acme.test").status, 200)
        self.assertEqual(client.get(host="www.acme.test").status, 200)
        self.assertEqual(client.get(host="apart.test").status, 421)
        self.assertEqual(client.get(host="acme.test").status, 200)
        self.assertEqual(self.open(gateway, sni="apart.test").get(host="apart.test").status, 200)

    def test_a_refused_body_is_not_read(self):
        client = self.open(self.edge(answer(echo), tenant="max_body 10;"))
        stream = client.head(client.fields("POST"), ends=False)
        client.data(stream, b"x" * 1000)
        reply = client.answers[stream]
        client.until(lambda: reply.ended and reply.reset is not None)
        self.assertEqual((reply.status, reply.reset), (413, h2.NO_ERROR))
        self.assertEqual(client.get().status, 200)

    def test_too_large_a_head_is_refused_alone(self):
        client = self.open(self.edge())
        fields = client.fields(more=[(f"x-{number}", "y" * 1000) for number in range(40)])
        block = client.encoder.encode(fields)
        stream = client.open()
        client.send(frame(h2.HEADERS, h2.END_STREAM, stream, block[:16000]))
        for start in range(16000, len(block), 16000):
            last = start + 16000 >= len(block)
            client.send(frame(h2.CONTINUATION, h2.END_HEADERS if last else 0, stream, block[start : start + 16000]))
        self.assertEqual(client.answer(stream).status, 431)
        self.assertEqual(client.get().status, 200)


class Flow(H2Case):
    def test_a_stream_that_takes_nothing_holds_nobody_up(self):
        size = 20 << 20

        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/large":
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    for _ in range(size // 65536):
                        peer.send(b"x" * 65536)
                else:
                    peer.send(text("small"))

        gateway = self.edge(behaviour, top="limits { body_timeout 2s; }\n")
        client = self.open(gateway, window=65535, gives=False)
        client.window(0, 1 << 28)
        large = client.head(client.fields(path="/large"))
        client.until(lambda: len(client.answers[large].body) == 65535)
        for _ in range(20):
            self.assertEqual(bytes(client.get("/small").body), b"small")
        self.assertEqual(len(client.answers[large].body), 65535)
        # Nothing of it is taken: it ends, and nothing else does.
        client.until(lambda: client.answers[large].reset is not None, 10)
        self.assertEqual(bytes(client.get("/small").body), b"small")
        self.assertIsNotNone(client.answers[large].reset)

    def test_an_upload_that_is_not_taken_fills_its_window_only(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def behaviour(peer):
            while request := peer.read_head():
                if request.method == "POST":
                    go.wait(10)
                peer.read_body(request, keep=False)
                peer.send(text("done"))

        upstream = self.upstream(behaviour, record=False, receive_buffer=4096)
        client = self.open(self.edge(upstream))
        stream = client.head(client.fields("POST"), ends=False)
        sent = 0
        # As much as the first window allows.
        client.for_a_while(0.3)
        window = client.settings[4]
        while sent < window:
            client.data(stream, b"x" * min(16384, window - sent))
            sent += min(16384, window - sent)
        self.assertEqual(client.get("/").status, 200)
        go.set()
        client.data(stream, b"", ends=True)
        self.assertEqual(bytes(client.answer(stream).body), b"done")

    def test_windows_grow_while_a_body_goes_through(self):
        client = self.open(self.edge(self.upstream(answer(lambda request: text(str(len(request.body)))), record=False)))
        stream = client.head(client.fields("POST"), ends=False)
        client.for_a_while(0.2)
        allowed, sent, largest = client.settings[4], 0, 0
        total = 8 << 20
        while sent < total:
            count = min(16384, allowed - sent, total - sent)
            if count:
                client.data(stream, b"x" * count)
                sent += count
            else:
                client.read(time.monotonic() + 5)
            updates = [one for one in client.windows if one[0] == stream]
            allowed = client.settings[4] + sum(more for _, more in updates)
            largest = max(largest, allowed - sent)
        client.data(stream, b"", ends=True)
        self.assertEqual(bytes(client.answer(stream).body), str(total).encode())
        self.assertGreater(largest, 4 * client.settings[4])


class Ends(H2Case):
    def test_a_reset_reaches_the_upstream_at_once_and_is_counted(self):
        ended = threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.wait_for_end()
            ended.set()

        gateway = self.edge(behaviour, tenant="quota 100/day;")
        client = self.open(gateway)
        stream = client.head(client.fields())
        self.until(lambda: gateway.metrics().sum("gateway_quota_used", tenant="acme") == 1, "it is let in")
        client.reset(stream)
        self.assertTrue(ended.wait(5), "the upstream's request lives on")
        self.until(lambda: gateway.metrics().sum("gateway_requests_total", tenant="acme", code="499") == 1, "it is counted")
        self.assertEqual(gateway.metrics().sum("gateway_quota_used", tenant="acme"), 1)

    def test_the_client_s_end_ends_what_it_has_not_asked_for_whole(self):
        gone = []

        def behaviour(peer):
            request = peer.read_head()
            if request is None or request.method == "POST":
                peer.wait_for_end()
                return gone.append(True)
            time.sleep(0.3)
            peer.send(text("late"))

        client = self.open(self.edge(behaviour), tls=False)
        whole = client.head(client.fields())
        client.head(client.fields("POST"), ends=False)
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(bytes(client.answer(whole).body), b"late")
        self.until(lambda: gone, "the other's request is given up")
        self.assertEqual(client.end(), h2.NO_ERROR)

    def test_who_has_ended_opens_no_window_and_is_not_waited_for(self):
        gateway = self.edge(answer(text(b"x" * 100_000)))
        for tls in (True, False):
            client = self.open(gateway, tls, window=1000, gives=False)
            stream = client.head(client.fields())
            client.until(lambda: len(client.answers[stream].body) == 1000)
            client.socket.shutdown(socket.SHUT_WR)
            # Well before the time that a client has to take its answer.
            self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "nothing is left of it", 5)

    def test_an_upstream_that_breaks_off_is_a_reset(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        client = self.open(self.edge(behaviour))
        with self.assertRaises(Reset) as caught:
            client.get()
        self.assertEqual(caught.exception.code, h2.INTERNAL_ERROR)
        self.assertEqual(client.get(host="nobody.test").status, 421)

    def test_a_drain_says_so_and_cuts_nothing(self):
        go = threading.Event()

        def behaviour(peer):
            while peer.read_request():
                go.wait(10)
                peer.send(text("done"))

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        stream = client.head(client.fields())
        client.for_a_while(0.2)
        gateway.process.send_signal(signal.SIGTERM)
        client.until(lambda: len(client.goaway) == 2)
        self.assertEqual(client.goaway, [(2**31 - 1, h2.NO_ERROR), (stream, h2.NO_ERROR)])
        go.set()
        self.assertEqual(bytes(client.answer(stream).body), b"done")
        self.assertEqual(client.end(), h2.NO_ERROR)

    def test_a_drain_does_not_wait_for_a_client_that_is_deaf(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/slow":
                    go.wait(10)
                peer.send(text("done"))

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        client.hears_pings = False
        slow = client.head(client.fields(path="/slow"))
        self.assertEqual(client.get().status, 200)
        gateway.process.send_signal(signal.SIGTERM)
        client.until(lambda: len(client.goaway) == 2, 4)
        go.set()
        self.assertEqual(bytes(client.answer(slow).body), b"done")
        self.assertEqual(client.end(), h2.NO_ERROR)

    def test_an_idle_connection_is_closed(self):
        client = self.open(self.edge(top="limits { idle_timeout 1s; }\n"))
        self.assertEqual(client.get().status, 200)
        began = time.monotonic()
        self.assertEqual(client.end(), h2.NO_ERROR)
        self.assertGreater(time.monotonic() - began, 0.5)

    def test_a_block_that_does_not_end_ends_the_connection(self):
        client = self.open(self.edge(top="limits { header_timeout 1s; }\n"))
        self.assertEqual(client.get().status, 200)
        client.head(client.fields(), flags=0)
        self.assertEqual(client.end(), h2.ENHANCE_YOUR_CALM)

    def test_a_reload_cuts_nothing(self):
        go = threading.Event()

        def behaviour(peer):
            while peer.read_request():
                go.wait(20)
                peer.send(text("done"))

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        streams = [client.head(client.fields()) for _ in range(30)]
        client.for_a_while(0.3)
        for _ in range(5):
            gateway.reload()
        go.set()
        for stream in streams:
            self.assertEqual(bytes(client.answer(stream).body), b"done")
        self.assertEqual(client.get().status, 200)


class Tunnels(H2Case):
    def test_a_websocket_over_a_stream(self):
        import base64
        import hashlib

        seen = []

        def behaviour(peer):
            request = peer.read_head()
            seen.append(request)
            key = request["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
            peer.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
                + accept + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello"
            )  # fmt: skip
            while peer.stream.fill():
                peer.send(b"you said " + peer.stream.take(len(peer.stream.buffer)))
            peer.send(b"bye")

        client = self.open(self.edge(behaviour))
        client.for_a_while(0.1)
        self.assertEqual(client.settings[8], 1)
        fields = client.fields("CONNECT", "/chat", more=[("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")])
        stream = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
        reply = client.answers[stream]
        client.until(lambda: bytes(reply.body) == b"hello")
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.get("sec-websocket-protocol"), "chat")
        for name in ("upgrade", "connection", "sec-websocket-accept"):
            self.assertIsNone(reply.get(name))
        self.assertEqual((seen[0].method, seen[0]["upgrade"], seen[0]["connection"]), ("GET", "websocket", "upgrade"))
        client.data(stream, b"x")
        client.until(lambda: bytes(reply.body) == b"helloyou said x")
        client.data(stream, b"", ends=True)
        self.assertTrue(bytes(client.answer(stream).body).endswith(b"bye"))
        self.assertEqual(client.get("/", host="nobody.test").status, 421)

    def test_a_server_that_does_not_shake_hands_is_none(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

        client = self.open(self.edge(behaviour))
        fields = client.fields("CONNECT", "/chat")
        stream = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
        reply = client.answers[stream]
        client.until(lambda: reply.fields)
        self.assertEqual(reply.status, 502)

    def test_a_success_that_switches_nothing_is_no_tunnel(self):
        answers = {
            "/ok": text("hello"),
            "/none": b"HTTP/1.1 204 No Content\r\n\r\n",
            "/endless": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "/other": b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n",
            "/no": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        }

        def behaviour(peer):
            while request := peer.read_request():
                peer.send(answers.get(request.target, text("ok")))

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        for target, status in (("/ok", 502), ("/none", 502), ("/endless", 502), ("/other", 302), ("/no", 403)):
            fields = client.fields("CONNECT", target)
            stream = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
            reply = client.answers[stream]
            client.until(lambda: reply.fields)
            self.assertEqual(reply.status, status, target)
            self.assertNotIn(b"hello", bytes(reply.body))
        self.assertEqual(client.get("/").status, 200)
        # It is no fault of the server's that it should be left out for.
        self.assertNotIn("fails", gateway.stderr)

    def test_a_plain_connect_is_refused(self):
        client = self.open(self.edge())
        stream = client.head([(":method", "CONNECT"), (":authority", "acme.test:443")])
        reply = client.answers[stream]
        client.until(lambda: reply.fields or reply.reset is not None)
        self.assertIn(reply.status, (501, 405, 400))


class Hostile(H2Case):
    def bound(self, act, kind, code=h2.ENHANCE_YOUR_CALM):
        """What `act(client)` does over and over ends its connection, is counted, and nobody else notices."""
        gateway = self.edge(answer(text("ok")))
        other = self.open(gateway)
        client = self.open(gateway)
        # What a client owes, it has said.
        client.until(lambda: client.acks)
        try:
            for number in range(20_000):
                act(client)
                if number % 100 == 0:
                    client.for_a_while(0.002)
            client.for_a_while(5)
        except (OSError, Ended):
            pass
        self.assertEqual([one[1] for one in client.goaway], [code])
        self.assertEqual(other.get().status, 200)
        self.assertEqual(gateway.metrics().sum("gateway_h2_abuse_total", kind=kind), 1)
        self.until(lambda: gateway.metrics().sum("gateway_connections", state="active") == 0, "nothing left of it")

    def test_rapid_resets(self):
        def act(client):
            client.reset(client.head(client.fields()))

        self.bound(act, "resets")

    def test_resets_provoked(self):
        def act(client):
            client.window(client.head(client.fields("POST"), ends=False), 0)

        self.bound(act, "resets")

    def test_pings(self):
        self.bound(lambda client: client.send(frame(h2.PING, 0, 0, b"12345678")), "control")

    def test_settings(self):
        self.bound(lambda client: client.send(frame(h2.SETTINGS, 0, 0, b"")), "control")

    def test_priorities(self):
        self.bound(lambda client: client.send(frame(h2.PRIORITY, 0, 1001, b"\0\0\0\0\1")), "priority")

    def test_empty_data(self):
        opened = []

        def act(client):
            if not opened:
                opened.append(client.head(client.fields("POST"), ends=False))
            client.data(opened[0], b"")

        self.bound(act, "empty_data")

    def test_continuations(self):
        def act(client):
            if client.next == 1:
                client.head(client.fields(), flags=0)
            client.send(frame(h2.CONTINUATION, 0, 1, b""))

        self.bound(act, "headers")

    def test_small_window_updates(self):
        more = frame(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 200
        self.bound(lambda client: client.send(more), "window_updates")

    def test_more_streams_than_allowed_are_refused_and_may_come_again(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def behaviour(peer):
            while peer.read_request():
                go.wait(10)
                peer.send(text("ok"))

        client = self.open(self.edge(behaviour, top="limits { max_streams 5; }\n"))
        streams = [client.head(client.fields()) for _ in range(7)]
        client.until(lambda: sum(client.answers[stream].reset == h2.REFUSED_STREAM for stream in streams) == 2)
        go.set()
        for stream in streams[:5]:
            self.assertEqual(client.answer(stream).status, 200)
        self.assertEqual(client.get().status, 200)

    def test_who_cannot_know_yet_how_many_may_be_open_is_refused_and_no_abuser(self):
        """More than `max_streams` and `max_resets` together, with bodies, sent before our SETTINGS were read."""

        def behaviour(peer):
            while request := peer.read_request():
                time.sleep(0.2)
                peer.send(text(request.target))

        gateway = self.edge(behaviour)
        client = self.open(gateway)
        out, streams = b"", []
        for number in range(400):
            stream = client.open()
            streams.append(stream)
            block = client.encoder.encode(client.fields("POST", f"/{number}"))
            out += frame(h2.HEADERS, h2.END_HEADERS, stream, block) + frame(h2.DATA, h2.END_STREAM, stream, b"hello")
        client.send(out)
        answered = 0
        for number, stream in enumerate(streams):
            try:
                self.assertEqual(bytes(client.answer(stream, 20).body), b"/%d" % number)
                answered += 1
            except Reset as reset:
                self.assertEqual(reset.code, h2.REFUSED_STREAM)
        self.assertGreaterEqual(answered, 100)
        self.assertEqual(client.goaway, [])
        self.assertEqual(client.get("/next").status, 200)

    def test_a_listener_may_speak_one_alone(self):
        gateway = self.gateway(
            PREAMBLE.replace("listen 127.0.0.1:$plain;", "listen 127.0.0.1:$plain { protocols h2; }")
            + self.tls_listener(self.leaf("acme.test"), more="protocols http/1.1;")
            + "upstream app { server 127.0.0.1:$app; } tenant acme { host acme.test; upstream app; }",
            app=self.upstream(), preamble=False,
        )  # fmt: skip
        self.assertEqual(self.open(gateway, tls=False).get().status, 200)
        self.assertEqual(self.get(gateway).status, 505)
        client = self.connect(gateway.tls, tls=self.authority.context(alpn=("h2", "http/1.1")), sni="acme.test")
        self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_what_is_no_http2(self):
        gateway = self.edge()
        for data, code in (
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", None),
            (h2.PREFACE + frame(h2.PING, 0, 0, b"12345678"), h2.PROTOCOL_ERROR),
        ):
            client = self.open(gateway, tls=False, hello=False)
            client.send(data)
            if code is None:
                self.assertIn(b"HTTP/1.1 ", client.socket.recv(100))
            else:
                self.assertEqual(client.end(), code)
        self.assertEqual(self.open(gateway).get().status, 200)

    def test_malformed_requests(self):
        upstream = self.upstream()
        client = self.open(self.edge(upstream))
        good = client.fields()
        for fields in (
            good[1:],
            good + [("X-Upper", "1")],
            good + [("connection", "close")],
            good + [("transfer-encoding", "chunked")],
            good + [("te", "gzip")],
            good + [(":path", "/again")],
            [("x", "1"), *good],
            good + [(":unknown", "1")],
            good + [("x-a", "b\r\nx-c: d")],
            good + [("x-a", "b\0c")],
            good + [("x a", "b")],
            good + [("x:a", "b")],
            [*good[:3], (":path", "")],
            [*good[:3], (":path", "x")],
            [*good[:3], (":path", "/a b")],
            [*good[:3], (":path", "/a\r\nx: y")],
            [*good[:3], (":path", "http://other.test/")],
            [(":method", "GET x"), *good[1:]],
        ):
            with self.subTest(fields=fields):
                stream = client.head(fields)
                reply = client.answers[stream]
                client.until(lambda: reply.reset is not None or reply.ended)
                self.assertTrue(reply.reset == h2.PROTOCOL_ERROR or reply.status == 400, (reply.reset, reply.status))
        for fields in (good + [("host", "other.test")],):
            self.assertEqual(client.answer(client.head(fields)).status, 400)
        self.assertEqual(client.get("/good").status, 200)
        self.assertEqual([request.target for request in upstream.requests], ["/good"])

    def test_lengths_that_lie(self):
        client = self.open(self.edge(answer(echo)))
        for length, data in (("5", b"hello!"), ("5", b"hell"), ("5", b"")):
            stream = client.head(client.fields("POST", more=[("content-length", length)]), ends=False)
            client.data(stream, data, ends=True)
            with self.assertRaises(Reset) as caught:
                client.answer(stream)
            self.assertEqual(caught.exception.code, h2.PROTOCOL_ERROR)
        reply = client.answers[client.head(client.fields("POST", more=[("content-length", "5")]))]
        client.until(lambda: reply.reset is not None or reply.ended)
        self.assertTrue(reply.reset == h2.PROTOCOL_ERROR or reply.status == 400)
        self.assertEqual(client.get().status, 200)
