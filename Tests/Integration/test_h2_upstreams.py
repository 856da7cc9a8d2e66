"""Upstreams of HTTP/2 in plain text: many requests on few connections, and each of them as over HTTP/1.1."""

import socket
import struct
import threading
import time

from Support import h2
from Support.h2 import Reset, answers, frame, serving
from test_h2 import H2Case


def numbered(behaviour):
    """`serving`, and each server knows the number of its connection."""

    def serve(peer):
        def with_number(server):
            server.number = peer.number
            behaviour(server)

        serving(with_number)(peer)

    return serve


class Upstreams(H2Case):
    def edge(self, behaviour=None, **options):
        return super().edge(behaviour, block=options.pop("block", "") + " protocols h2;", **options)

    def test_requests_of_both_kinds_of_clients(self):
        upstream = self.upstream(answers(lambda request: request.get(":path").encode()), record=False)
        gateway = self.edge(upstream)
        reply = self.get(gateway, "/h1")
        self.assertEqual((reply.status, reply.body, reply.start), (200, b"/h1", "HTTP/1.1 200 OK"))
        for tls in (True, False):
            reply = self.open(gateway, tls).get("/h2")
            self.assertEqual((reply.status, bytes(reply.body)), (200, b"/h2"))

    def test_what_the_server_sees(self):
        seen = []

        def behaviour(server):
            while taken := server.request():
                seen.append(taken[1].fields)
                server.respond(taken[0])

        gateway = self.edge(serving(behaviour))
        fields = [("Connection", "keep-alive, x-hop"), ("X-Hop", "1"), ("Keep-Alive", "1"), ("X-Own", "1"), ("TE", "trailers")]
        self.assertEqual(self.get(gateway, "/a?b", fields=fields).status, 200)
        self.assertEqual(self.open(gateway).get("/a?b", more=[("x-own", "1"), ("te", "trailers")]).status, 200)
        for fields in seen:
            self.assertEqual(fields[:3], [(":method", "GET"), (":scheme", "http"), (":path", "/a?b")])
            self.assertEqual(dict(fields)[":authority"], "acme.test")
            self.assertEqual(dict(fields)["x-own"], "1")
            self.assertEqual(dict(fields)["te"], "trailers")
            self.assertEqual(dict(fields)["x-tenant-id"], "acme")
            for name, _ in fields:
                self.assertNotIn(name, ("host", "connection", "x-hop", "keep-alive", "transfer-encoding", "upgrade"))
                self.assertEqual(name, name.lower())

    def test_many_share_a_connection(self):
        go = threading.Event()

        def behaviour(server):
            held = []
            while taken := server.request():
                held.append(taken[0])
                if len(held) == 50:
                    go.set()
                    for stream in reversed(held):
                        server.respond(stream, b"%d" % stream)

        upstream = self.upstream(serving(behaviour), record=False)
        gateway = self.edge(upstream, workers=1)
        client = self.open(gateway)
        streams = [client.head(client.fields()) for _ in range(50)]
        for stream in streams:
            self.assertEqual(client.answer(stream).status, 200)
        self.assertEqual(len(upstream.connections), 1)

    def test_what_the_server_allows_at_once_is_kept_to(self):
        most = []

        def behaviour(server):
            open_ones = []
            while True:
                taken = server.request(within=0.3)
                if taken:
                    open_ones.append(taken[0])
                    most.append(len(open_ones))
                    if len(open_ones) < 3:
                        continue
                if not open_ones:
                    return
                for stream in open_ones:
                    server.respond(stream, b"ok")
                open_ones = []

        gateway = self.edge(self.upstream(serving(behaviour, settings=[(3, 3)]), record=False), block="max_connections 2;", workers=1)
        client = self.open(gateway)
        self.assertEqual(client.get().status, 200)
        streams = [client.head(client.fields()) for _ in range(20)]
        for stream in streams:
            self.assertEqual(client.answer(stream).status, 200)
        self.assertLessEqual(max(most), 3)

    def test_bodies_and_trailers(self):
        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                said = dict(request.trailers or []).get("x-check", "none")
                server.respond(stream, bytes(request.body), trailers=[("x-sum", said)])

        upstream = self.upstream(serving(behaviour, settings=[(4, 1 << 20)]), record=False)
        gateway = self.edge(upstream)
        client = self.open(gateway)
        for size in (0, 1, 16384, 50_000):
            stream = client.head(client.fields("POST"), ends=False)
            for start in range(0, size, 16384):
                client.data(stream, b"x" * min(16384, size - start))
            client.head([("x-check", "7")], stream=stream)
            reply = client.answer(stream)
            self.assertEqual((len(reply.body), reply.trailers), (size, [("x-sum", "7")]))
        with self.connect(gateway.plain) as plain:
            plain.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Check: 8\r\n\r\n")
            reply = plain.read_response()
            self.assertEqual((reply.body, reply.trailers.get("x-sum")), (b"hello", "8"))

    def test_large_bodies_pass_through_small_windows(self):
        size = 3_000_000

        def behaviour(server):
            while taken := server.request():
                server.respond(taken[0], b"%d" % len(taken[1].body))

        gateway = self.edge(self.upstream(serving(behaviour), record=False))
        self.assertEqual(bytes(self.open(gateway).post(b"x" * size).body), b"%d" % size)

    def test_a_slow_client_stops_the_server_s_stream_alone(self):
        size = 8 << 20

        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                if request.get(":path") == "/small":
                    server.respond(stream, b"small")
                    continue
                server.send(frame(h2.HEADERS, h2.END_HEADERS, stream, server.encoder.encode([(":status", "200")])))
                sent[0] = 0
                threading.Thread(target=pours, args=(server, stream), daemon=True).start()

        sent = [0]

        def pours(server, stream):
            while sent[0] < size:
                if server.allowed(stream) >= 16384:
                    server.data(stream, b"x" * 16384, sent[0] + 16384 >= size)
                    sent[0] += 16384
                else:
                    time.sleep(0.001)

        gateway = self.edge(self.upstream(serving(behaviour), record=False), workers=1)
        client = self.open(gateway, window=65535, gives=False)
        client.window(0, 1 << 28)
        large = client.head(client.fields(path="/large"))
        client.until(lambda: len(client.answers[large].body) == 65535)
        for _ in range(5):
            self.assertEqual(bytes(client.get("/small").body), b"small")
        self.assertLess(sent[0], 1 << 20)

    def test_a_request_that_was_not_processed_goes_elsewhere(self):
        def refuses(server):
            if server.request():
                server.reset(1, h2.REFUSED_STREAM)
            while taken := server.request():
                server.respond(taken[0], b"again")

        def leaves(server):
            server.request()
            server.go_away(0)
            time.sleep(0.2)

        for first in (refuses, leaves):
            calls = []

            def behaviour(server):
                calls.append(server)
                if len(calls) == 1:
                    return first(server)
                while taken := server.request():
                    server.respond(taken[0], b"again " + bytes(taken[1].body))

            with self.subTest(first=first.__name__):
                gateway = self.edge(self.upstream(serving(behaviour), record=False), workers=1)
                client = self.open(gateway)
                stream = client.open()
                block = client.encoder.encode(client.fields("POST", more=[("content-length", "5")]))
                client.send(frame(h2.HEADERS, h2.END_HEADERS, stream, block) + frame(h2.DATA, h2.END_STREAM, stream, b"hello"))
                self.assertIn(bytes(client.answer(stream).body), (b"again", b"again hello"))

    def test_a_connection_that_takes_no_more_gives_its_place(self):
        """What still runs on it, however long, keeps nobody waiting."""
        go = threading.Event()

        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                if request.get(":path") != "/long":
                    server.respond(stream, b"quick")
                    continue
                server.go_away(stream)
                go.wait(20)
                server.respond(stream, b"long")
                return

        gateway = self.edge(self.upstream(serving(behaviour), record=False), block="max_connections 1; connect_timeout 3s;", workers=1)
        client = self.open(gateway)
        long = client.head(client.fields(path="/long"))
        time.sleep(0.2)
        for _ in range(3):
            self.assertEqual(bytes(client.get("/quick").body), b"quick")
        go.set()
        self.assertEqual(bytes(client.answer(long).body), b"long")
        self.assertEqual(bytes(client.get("/quick").body), b"quick")

    def test_those_that_take_no_more_are_not_without_number(self):
        """A server that sends each connection away amid its request gets `max_connections` and a few more."""
        go = threading.Event()

        def behaviour(server):
            taken = server.request()
            if taken:
                server.go_away(taken[0])
                go.wait(20)
                server.respond(taken[0], b"long")

        upstream = self.upstream(serving(behaviour), record=False)
        gateway = self.edge(upstream, block="max_connections 2; connect_timeout 1s;", workers=1)
        client = self.open(gateway)
        streams = [client.head(client.fields()) for _ in range(40)]
        time.sleep(0.7)
        self.assertLessEqual(len(upstream.connections), 2 + 16)
        self.assertGreater(len(upstream.connections), 2)
        go.set()
        for stream in streams:
            self.assertIn(client.answer(stream).status, (200, 502, 503))

    def test_how_connections_end_is_told(self):
        def sends_away(server):
            server.request()
            server.go_away(0, h2.ENHANCE_YOUR_CALM)

        def overflows(server):
            server.request()
            server.send(frame(h2.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"))
            server.for_a_while(1)

        for behaviour, said in (
            (sends_away, "it ends connections of HTTP/2: ENHANCE_YOUR_CALM"),
            (overflows, "what it sends is not valid HTTP/2: FLOW_CONTROL_ERROR"),
        ):
            with self.subTest(said):
                gateway = self.edge(serving(behaviour))
                self.assertEqual(self.open(gateway).get(method="POST").status, 502)
                self.until(lambda: said in gateway.stderr, said)

    def test_one_that_refuses_again_and_again_is_given_up(self):
        def behaviour(server):
            while taken := server.request():
                server.reset(taken[0], h2.REFUSED_STREAM)

        client = self.open(self.edge(serving(behaviour)))
        self.assertEqual(client.get().status, 502)

    def test_resets_and_ends(self):
        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                path = request.get(":path")
                if path == "/reset":
                    server.reset(stream, h2.INTERNAL_ERROR)
                elif path == "/half":
                    server.send(frame(h2.HEADERS, h2.END_HEADERS, stream, server.encoder.encode([(":status", "200")])))
                    server.data(stream, b"half")
                    server.reset(stream, h2.INTERNAL_ERROR)
                elif path == "/gone":
                    return
                elif path == "/good":
                    server.respond(stream, b"good")

        gateway = self.edge(serving(behaviour))
        client = self.open(gateway)
        self.assertEqual(client.get("/reset", method="POST").status, 502)
        with self.assertRaises(Reset):
            client.get("/half")
        self.assertEqual(client.get("/gone", method="POST").status, 502)
        self.assertEqual(bytes(client.get("/good").body), b"good")

    def test_a_client_s_reset_reaches_the_server(self):
        seen = []

        def behaviour(server):
            taken = server.request()
            seen.append("request")
            server.until(lambda: taken[1].reset is not None)
            seen.append(taken[1].reset)
            while taken := server.request():
                server.respond(taken[0], b"next")

        upstream = self.upstream(serving(behaviour), record=False)
        gateway = self.edge(upstream, workers=1)
        client = self.open(gateway)
        stream = client.head(client.fields())
        self.until(lambda: seen, "it is there")
        client.reset(stream)
        self.until(lambda: len(seen) == 2, "the server hears of it")
        self.assertEqual(seen[1], h2.CANCEL)
        self.assertEqual(bytes(client.get().body), b"next")
        self.assertEqual(len(upstream.connections), 1)

    def test_time_runs_for_each_request(self):
        def behaviour(server):
            while taken := server.request():
                if taken[1].get(":path") != "/slow":
                    server.respond(taken[0], b"quick")

        client = self.open(self.edge(serving(behaviour), block="response_timeout 1s;"))
        slow = client.head(client.fields(path="/slow"))
        self.assertEqual(bytes(client.get("/quick").body), b"quick")
        self.assertEqual(client.answer(slow).status, 504)
        self.assertEqual(bytes(client.get("/quick").body), b"quick")

    def test_what_is_no_answer(self):
        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                fields = {
                    "/upper": [(":status", "200"), ("X-Upper", "1")],
                    "/connection": [(":status", "200"), ("connection", "close")],
                    "/coding": [(":status", "200"), ("transfer-encoding", "chunked")],
                    "/nostatus": [("x", "1")],
                    "/twice": [(":status", "200"), (":status", "200")],
                    "/switch": [(":status", "101")],
                    "/split": [(":status", "200"), ("x", "a\r\nset-cookie: b")],
                }[request.get(":path")]
                server.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, server.encoder.encode(fields)))

        client = self.open(self.edge(serving(behaviour)))
        for path in ("/upper", "/connection", "/coding", "/nostatus", "/twice", "/switch", "/split"):
            with self.subTest(path=path):
                self.assertEqual(client.get(path).status, 502)

    def test_lengths_that_lie(self):
        def behaviour(server):
            while taken := server.request():
                server.respond(taken[0], b"hello!", fields=[("content-length", taken[1].get(":path")[1:])])

        client = self.open(self.edge(serving(behaviour)))
        self.assertEqual(bytes(client.get("/6").body), b"hello!")
        for length in ("5", "7"):
            with self.assertRaises(Reset):
                client.get("/" + length)

    def test_a_server_of_http1_is_none(self):
        client = self.open(self.edge(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
        self.assertEqual(client.get().status, 502)

    def test_a_websocket_to_a_server_of_http2(self):
        def behaviour(server):
            while taken := server.request(whole=False):
                stream, request = taken
                seen.append(request.fields)
                server.send(frame(h2.HEADERS, h2.END_HEADERS, stream, server.encoder.encode([(":status", "200")])))
                server.data(stream, b"hello")
                server.until(lambda: bytes(request.body) == b"x")
                server.data(stream, b"you said x")
                server.until(lambda: request.ended or request.reset is not None)
                if request.ended:
                    server.data(stream, b"bye", ends=True)

        seen = []
        gateway = self.edge(serving(behaviour, settings=[(8, 1)]))
        client = self.open(gateway)
        fields = client.fields("CONNECT", "/chat", more=[("sec-websocket-version", "13")])
        stream = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
        reply = client.answers[stream]
        client.until(lambda: bytes(reply.body) == b"hello")
        self.assertEqual(reply.status, 200)
        client.data(stream, b"x")
        client.until(lambda: bytes(reply.body) == b"helloyou said x")
        client.data(stream, b"", ends=True)
        self.assertTrue(bytes(client.answer(stream).body).endswith(b"bye"))
        with self.connect(gateway.plain) as plain:
            plain.send(
                b"GET /chat HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            start, fields = plain.stream.head()
            self.assertTrue(start.startswith(b"HTTP/1.1 101"))
            # RFC 6455 section 1.3.
            self.assertEqual(fields.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            self.assertEqual(plain.stream.exactly(5), b"hello")
            plain.send(b"x")
            self.assertEqual(plain.stream.exactly(10), b"you said x")
        for one in seen:
            self.assertEqual(dict(one)[":protocol"], "websocket")
            self.assertNotIn("sec-websocket-key", dict(one))
            self.assertNotIn("upgrade", dict(one))

    def test_a_tunnel_that_its_server_ends_with_its_beginning_ends_with_its_client(self):
        def behaviour(server):
            while taken := server.request(whole=False):
                stream, request = taken
                block = server.encoder.encode([(":status", "200")])
                if request.get(":path") == "/bytes":
                    head = frame(h2.HEADERS, h2.END_HEADERS, stream, block)
                    server.send(head + frame(h2.DATA, h2.END_STREAM, stream, b"all of it"))
                else:
                    server.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, block))
                server.until(lambda: request.ended or request.reset is not None)
                ended.append(request.ended)

        ended = []
        gateway = self.edge(serving(behaviour, settings=[(8, 1)]))
        for path, said in (("/bytes", b"all of it"), ("/nothing", b"")):
            with self.subTest(path=path):
                client = self.connect(gateway.plain)
                client.send(f"GET {path} HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
                start, _ = client.stream.head()
                self.assertTrue(start.startswith(b"HTTP/1.1 101"), start)
                self.assertEqual(client.stream.exactly(len(said)), said)
                client.socket.shutdown(socket.SHUT_WR)
                self.assert_closed(client)
                self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "nothing is left of it")
        self.until(lambda: len(ended) == 2, "both ends reach the server")
        self.assertEqual(ended, [True, True])

    def test_a_tunnel_that_its_server_ends_in_both_directions_is_over(self):
        """END_STREAM, and a reset that only says that nothing more is wanted (RFC 9113 section 8.1)."""

        def behaviour(server):
            while taken := server.request(whole=False):
                stream, request = taken
                block = server.encoder.encode([(":status", "200")])
                server.send(frame(h2.HEADERS, h2.END_HEADERS, stream, block) + frame(h2.DATA, h2.END_STREAM, stream, b"all"))
                if request.get(":path") == "/later":
                    server.until(lambda: bytes(request.body) == b"more")
                server.send(frame(h2.RST_STREAM, 0, stream, struct.pack(">I", h2.NO_ERROR)))

        gateway = self.edge(serving(behaviour, settings=[(8, 1)]))
        for path in ("/at-once", "/later"):
            with self.subTest(path=path):
                client = self.connect(gateway.plain)
                client.send(f"GET {path} HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
                start, _ = client.stream.head()
                self.assertTrue(start.startswith(b"HTTP/1.1 101"), start)
                self.assertEqual(client.stream.exactly(3), b"all")
                if path == "/later":
                    client.send(b"more")
                self.assert_closed(client)
                self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "nothing is left of it")

    def test_answers_that_come_in_one_piece_stay_apart(self):
        """Heads of several streams in one segment, of two tenants, with bodies and trailers behind them."""

        def behaviour(server):
            held = []
            while taken := server.request():
                held.append(taken)
                if len(held) < 12:
                    continue
                out = b""
                for stream, request in held:
                    host = request.get(":authority")
                    fields = [(":status", "200"), ("content-type", "text/plain"), ("x-host", host), ("set-cookie", "of=" + host)]
                    ends = stream % 4 == 1
                    out += frame(h2.HEADERS, h2.END_HEADERS, stream, server.encoder.encode(fields))
                    out += frame(h2.DATA, h2.END_STREAM if ends else 0, stream, host.encode())
                    if not ends:
                        out += frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, server.encoder.encode([("x-sum", host)]))
                server.send(out)
                held = []

        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test")) + "upstream app { server 127.0.0.1:$app; protocols h2; }\n"
            "tenant acme { host acme.test; upstream app; } tenant beta { host beta.test; upstream app; }",
            app=self.upstream(serving(behaviour), record=False), workers=1,
        )  # fmt: skip
        clients = [(self.open(gateway, tls=False), host) for host in ("acme.test", "beta.test") for _ in range(3)]
        for _ in range(5):
            asked = [(client, host, client.head(client.fields(host=host))) for client, host in clients for _ in range(2)]
            for client, host, stream in asked:
                reply = client.answer(stream)
                self.assertEqual((reply.get("x-host"), bytes(reply.body)), (host, host.encode()))
                self.assertEqual([value for name, value in reply.fields if name == "set-cookie"], ["of=" + host])
                self.assertEqual(reply.get("content-type"), "text/plain")
                self.assertIn(reply.trailers, (None, [("x-sum", host)]))

    def test_an_upgrade_that_waits_for_the_server_s_word_holds_nobody_up(self):
        def behaviour(peer):
            server = h2.Served(peer, hello=False)
            time.sleep(0.5)
            server.send(frame(h2.SETTINGS, 0, 0, b""))
            while taken := server.request(whole=False):
                server.respond(taken[0], b"ok")

        gateway = self.edge(self.upstream(behaviour, record=False), workers=1)
        client = self.open(gateway)
        fields = client.fields("CONNECT", "/chat")
        upgrade = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
        others = [client.head(client.fields()) for _ in range(3)]
        for stream in others:
            self.assertEqual(bytes(client.answer(stream).body), b"ok")
        client.until(lambda: client.answers[upgrade].fields)
        self.assertEqual(client.answers[upgrade].status, 502)

    def test_what_has_come_before_a_reset_is_good(self):
        def behaviour(peer):
            server = h2.Served(peer)
            stream, _ = server.request()
            server.respond(stream, b"done")
            server.go_away(stream)
            time.sleep(0.05)
            peer.reset()

        client = self.open(self.edge(behaviour))
        for _ in range(10):
            self.assertEqual(bytes(client.get(method="POST").body), b"done")

    def test_many_that_go_on_a_kept_connection_that_is_dead_go_afresh(self):
        """It ends unheard, so that none of them is a retry: there are fewer of those than requests here."""

        def behaviour(server):
            while taken := server.request():
                if server.number == 0 and taken[1].get(":path") != "/first":
                    # The others are on it as well by then.
                    time.sleep(0.3)
                    return
                server.respond(taken[0], taken[1].get(":path").encode())

        gateway = self.edge(self.upstream(numbered(behaviour), record=False), workers=1)
        client = self.open(gateway)
        self.assertEqual(client.get("/first").status, 200)
        streams = {number: client.head(client.fields(path=f"/{number}")) for number in range(60)}
        for number, stream in streams.items():
            self.assertEqual(bytes(client.answer(stream).body), b"/%d" % number)

    def test_an_upgrade_whose_connection_ends_before_the_server_s_word_goes_on_another(self):
        def behaviour(peer):
            server = h2.Served(peer, hello=False)
            if peer.number == 0:
                time.sleep(0.3)
                return
            server.send(frame(h2.SETTINGS, 0, 0, struct.pack(">HI", 8, 1)))
            while taken := server.request(whole=False):
                server.respond(taken[0], b"hello")

        gateway = self.edge(self.upstream(behaviour, record=False), workers=1)
        client = self.open(gateway)
        fields = client.fields("CONNECT", "/chat")
        upgrade = client.head([fields[0], (":protocol", "websocket"), *fields[1:]], ends=False)
        reply = client.answers[upgrade]
        client.until(lambda: reply.fields)
        self.assertEqual(reply.status, 200)
        client.until(lambda: bytes(reply.body) == b"hello")

    def test_who_kills_connections_is_not_sent_for_ever(self):
        seen = []

        def behaviour(server):
            while taken := server.request():
                seen.append(taken[1].get(":path"))
                if taken[1].get(":path") == "/kill":
                    return
                server.respond(taken[0], b"ok")

        gateway = self.edge(serving(behaviour))
        client, other = self.open(gateway), self.open(gateway)
        for _ in range(5):
            kill = client.head(client.fields(path="/kill"))
            for _ in range(5):
                other.head(other.fields())
            self.assertEqual(client.answer(kill).status, 502)
        self.assertLessEqual(seen.count("/kill"), 25)

    def test_a_client_that_takes_nothing_stops_no_other_tenant(self):
        size = 3 << 20

        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                if request.get(":path") == "/small":
                    server.respond(stream, b"small")
                    continue
                server.send(frame(h2.HEADERS, h2.END_HEADERS, stream, server.encoder.encode([(":status", "200")])))
                threading.Thread(target=pours, args=(server, stream), daemon=True).start()

        def pours(server, stream):
            sent = 0
            try:
                while sent < size:
                    if server.allowed(stream) >= 16384:
                        server.data(stream, b"x" * 16384, sent + 16384 >= size)
                        sent += 16384
                    else:
                        time.sleep(0.002)
            except OSError:
                pass

        gateway = self.edge(self.upstream(serving(behaviour), record=False), workers=1)
        slow, quick = self.open(gateway, window=65535, gives=False), self.open(gateway)
        slow.window(0, 1 << 28)
        streams = [slow.head(slow.fields(path="/large")) for _ in range(40)]
        slow.until(lambda: all(len(slow.answers[stream].body) == 65535 for stream in streams), 20)
        for _ in range(10):
            self.assertEqual(bytes(quick.get("/small").body), b"small")

    def test_a_body_that_a_server_does_not_take_is_in_no_other_one_s_way(self):
        # Of one stream it takes more than of all together: who fills that window leaves nothing to others there.
        def behaviour(server):
            server.gives = False
            while taken := server.request():
                server.respond(taken[0], b"%d" % len(taken[1].body))

        gateway = self.edge(self.upstream(serving(behaviour, settings=[(4, 1 << 20)])), workers=1, block="response_timeout 3s;")
        self.assertEqual(bytes(self.open(gateway).post(b"first").body), b"5")
        rude = self.open(gateway)
        stuck = rude.head(rude.fields("POST", "/stuck"), ends=False)
        rude.upload(stuck, b"x" * 100_000)
        began = time.monotonic()
        reply = self.open(gateway).post(b"small")
        self.assertEqual((reply.status, bytes(reply.body)), (200, b"5"))
        # What has no body needs no window, and no connection of its own.
        self.assertEqual(self.open(gateway).get("/").status, 200)
        self.assert_bar(time.monotonic() - began, 2)

    def test_answers_that_are_too_large_end_nobody_else_s(self):
        # Each is one that somebody has asked for: no more come than that.
        def behaviour(server):
            waiting = None
            while taken := server.request():
                stream, request = taken
                if request.get(":path") == "/large":
                    server.respond(stream, fields=[("x-large", "y" * 3900)] * 20)
                elif waiting is None:
                    waiting = stream
                else:
                    for one in (waiting, stream):
                        server.respond(one, b"ok")

        gateway = self.edge(self.upstream(serving(behaviour), record=False), workers=1)
        patient, client = self.open(gateway), self.open(gateway)
        first = patient.head(patient.fields())
        time.sleep(0.1)
        for _ in range(80):
            self.assertEqual(client.get("/large").status, 502)
        second = patient.head(patient.fields())
        for stream in (first, second):
            reply = patient.answer(stream, 5)
            self.assertEqual((reply.status, bytes(reply.body)), (200, b"ok"))

    def test_an_end_needs_no_window(self):
        def behaviour(server):
            while taken := server.request():
                server.respond(taken[0], b"x" * 5000, trailers=[("x-sum", "1")])

        client = self.open(self.edge(serving(behaviour)), window=5000, gives=False)
        reply = client.answer(client.head(client.fields()), 5)
        self.assertEqual((len(reply.body), reply.trailers), (5000, [("x-sum", "1")]))
        # Towards the server as well: its window is 65,535 bytes.
        sizes = []

        def counts(server):
            server.gives = False
            while taken := server.request():
                sizes.append(len(taken[1].body))
                server.respond(taken[0], b"ok")

        client = self.open(self.edge(serving(counts)))
        stream = client.head(client.fields("POST"), ends=False)
        for start in range(0, 65535, 16384):
            client.data(stream, b"x" * min(16384, 65535 - start))
        time.sleep(0.2)
        client.data(stream, b"", ends=True)
        self.assertEqual(bytes(client.answer(stream, 5).body), b"ok")
        self.assertEqual(sizes, [65535])

    def test_a_server_that_takes_nothing_is_late_and_not_its_client(self):
        def behaviour(server):
            server.gives = False
            server.for_a_while(8)

        client = self.open(self.edge(serving(behaviour), block="response_timeout 1s;", top="limits { body_timeout 3s; }\n"))
        stream = client.head(client.fields("POST"), ends=False)
        client.data(stream, b"x" * 16384)
        for _ in range(4):
            client.data(stream, b"x" * 12500)
        reply = client.answers[stream]
        client.until(lambda: reply.fields)
        self.assertEqual(reply.status, 504)
