"""HTTP/2 for long: open streams through reloads, bodies larger than any memory, connections that only wait.

GATEWAY_RELOADS=1000 and GATEWAY_BODY_MIB=10240 for the long runs.
"""

import collections
import os
import select
import socket
import ssl
import threading
import time

from Support import h2
from Support.h2 import frame, serving
from Support.upstream import answer, text
from test_h2 import H2Case

RELOADS = int(os.environ.get("GATEWAY_RELOADS", "20"))
BODY = int(os.environ.get("GATEWAY_BODY_MIB", "200")) << 20
CONNECTIONS, STREAMS = 10, 100
IDLE = 200


class Duplex:
    """Reads in a thread of its own while it sends: whoever only sends may wait for one who waits for him. Windows that are owed are
    given by the one who sends."""

    def pour(self, stream, size, now_and_then=lambda: None):
        """Sends so many bytes on the stream and takes what comes, until both have ended. A server ends last: of a request whose
        answer is over nothing more is wanted."""
        self.owed, self.given, self.received = collections.deque(), collections.Counter(), 0
        for one, more in self.windows:
            self.given[one] += more
        answer = self.answers[stream]
        self.received += len(answer.body)
        answer.body.clear()
        reader = threading.Thread(target=self._reads, args=(answer,), daemon=True)
        reader.start()
        piece, sent, pieces = b"x" * 16384, 0, 0
        while sent < size or reader.is_alive():
            while self.owed:
                self.send(self.owed.popleft())
            own = self.settings.get(4, 65535) + self.given[stream] - self.sent.get(stream, 0)
            if sent < size and min(own, 65535 + self.given[0] - self.sent.get(0, 0)) >= len(piece):
                sent, pieces = sent + len(piece), pieces + 1
                self.data(stream, piece, sent == size and not self.ends_last)
                if pieces % 256 == 0:
                    now_and_then()
            else:
                time.sleep(0.0002)
        if self.ends_last:
            self.data(stream, ends=True)

    def _reads(self, answer):
        while not answer.ended:
            self.read(time.monotonic() + 60)
            self.frames.clear()

    def reply(self, data):
        if hasattr(self, "owed"):
            self.owed.append(data)
        else:
            super().reply(data)

    def take(self, kind, flags, stream, payload):
        if kind == h2.WINDOW_UPDATE and hasattr(self, "owed"):
            self.given[stream] += int.from_bytes(payload, "big")
            return
        super().take(kind, flags, stream, payload)
        if kind == h2.DATA and hasattr(self, "owed"):
            self.received += len(payload)
            self.answers[stream].body.clear()


class TLSPipe:
    """TLS to that port for one who connects to `port` in plain text and does not know of it: one thread has both directions, which
    a connection of TLS wants."""

    held = 256 << 10

    def __init__(self, port, context, name):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname=name)
        self.protocol = self.tls.selected_alpn_protocol()
        threading.Thread(target=self._pass, daemon=True).start()

    def _pass(self):
        plain, _ = self.listener.accept()
        self.listener.close()
        ways = {plain: (self.tls, bytearray()), self.tls: (plain, bytearray())}
        for one in ways:
            one.setblocking(False)
        try:
            with plain, self.tls:
                while True:
                    for source, (sink, kept) in ways.items():
                        self._move(source, sink, kept)
                    reads = [one for one, (_, kept) in ways.items() if len(kept) < self.held]
                    writes = [sink for sink, kept in ways.values() if kept]
                    # What TLS has decrypted already no event tells of.
                    waits = 0 if self.tls in reads and self.tls.pending() else 60
                    select.select(reads, writes, [], waits)
        except (OSError, EOFError):
            pass

    def _move(self, source, sink, kept):
        try:
            while len(kept) < self.held:
                data = source.recv(64 << 10)
                if not data:
                    raise EOFError
                kept += data
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        try:
            while kept:
                # A write of TLS that was not taken is to be made again with the same bytes.
                count = sink.send(bytes(memoryview(kept)[: 16 << 10]))
                del kept[:count]
        except (ssl.SSLWantWriteError, BlockingIOError):
            pass


class DuplexClient(Duplex, h2.Client):
    ends_last = False


class DuplexServed(Duplex, h2.Served):
    ends_last = True


class Endurance(H2Case):
    seconds = 120 + RELOADS + 2 * (BODY >> 20)

    def configuration(self, number):
        return (
            self.tls_listener(self.leaf("acme.test"))
            # Nothing is given up because the machine is slow.
            + "overload { lag 60s; }\n"
            + f"upstream app {{ server 127.0.0.1:$app; protocols h2; response_timeout {600 + number}s; }}\n"
            + f"tenant acme {{ host acme.test; upstream app; rate {1_000_000 + number}/s burst=1000000; }}\n"
        )

    def test_reloads_break_no_open_stream(self):
        """A thousand streams have the first half of their answers, and get the other one after all of the reloads."""
        go, held = threading.Event(), []

        def behaviour(server):
            own = []
            while True:
                taken = server.request(within=0.2)
                if taken and taken[1].get(":path") == "/new":
                    server.respond(taken[0], b"new")
                elif taken:
                    own.append(taken[0])
                    held.append(taken[0])
                    server.send(frame(h2.HEADERS, h2.END_HEADERS, taken[0], server.encoder.encode([(":status", "200")])))
                    server.data(taken[0], b"begun ")
                elif go.is_set():
                    for stream in own:
                        server.data(stream, b"ended", ends=True)
                    own = []

        upstream = self.upstream(serving(behaviour, settings=[(3, 200)]), record=False)
        gateway = self.gateway(self.configuration(0), app=upstream)
        clients = [self.open(gateway, tls=number % 2 == 0) for number in range(CONNECTIONS)]
        other = self.open(gateway)
        asked = [(client, client.head(client.fields(path="/held"))) for client in clients for _ in range(STREAMS)]
        for client, stream in asked:
            client.until(lambda: bytes(client.answers[stream].body) == b"begun ", 30)
        for number in range(1, RELOADS + 1):
            gateway.write(self.configuration(number))
            gateway.reload()
            for client in clients:
                # Answers what PING asks.
                client.for_a_while(0.001)
            self.assertEqual(bytes(other.get("/new").body), b"new")
        self.assertEqual(gateway.metrics().sum("gateway_config_reloads_total", result="success"), RELOADS)
        go.set()
        for client, stream in asked:
            self.assertEqual(bytes(client.answer(stream, 30).body), b"begun ended")
        self.assertEqual([client.goaway for client in clients], [[]] * CONNECTIONS)

    def bodies(self, connect):
        """Both ways at once, through windows that are kept to; what the gateway holds does not grow with them."""

        def behaviour(peer):
            server = DuplexServed(peer, settings=[(4, 1 << 20)])
            stream, _ = server.request(whole=False)
            server.send(frame(h2.HEADERS, h2.END_HEADERS, stream, server.encoder.encode([(":status", "200")])))
            server.pour(stream, BODY)
            received.append(server.received)

        received = []
        # One way may be well ahead of the other, and is silent at its end.
        gateway = self.edge(self.upstream(behaviour, record=False), block="protocols h2; response_timeout 10m;")
        client = DuplexClient(connect(gateway))
        self.addCleanup(client.close)
        client.until(lambda: client.settings)
        before, most = gateway.resident, [0]
        began = time.monotonic()
        stream = client.head(client.fields("POST"), ends=False)
        client.pour(stream, BODY, lambda: most.append(max(most.pop(), gateway.resident)))
        self.until(lambda: received, "the server has all of it", 20)
        self.assertEqual((client.received, received), (BODY, [BODY]))
        print(
            f"     {BODY >> 20} MiB each way in {time.monotonic() - began:.0f} s, {(most[0] - before) >> 10} KiB more than before,"
            f" {gateway.peak >> 10} KiB at most",
            flush=True,
        )
        self.assert_bar((most[0] - before) >> 20, 24, "MiB more than before")

    def test_bodies_larger_than_memory_pass_through(self):
        self.bodies(lambda gateway: gateway.plain)

    def test_bodies_larger_than_memory_pass_through_from_and_to_a_client_of_tls(self):
        def connect(gateway):
            pipe = TLSPipe(gateway.tls, self.authority.context(alpn=("h2",)), "acme.test")
            self.assertEqual(pipe.protocol, "h2")
            return pipe.port

        self.bodies(connect)

    def test_an_idle_connection_takes_hardly_more_than_one_of_http1(self):
        """Each has had a request. The bound is an HTTP/1.1 connection's memory and 4 KiB."""

        def each(opens):
            gateway = self.edge(self.upstream(answer(text("ok")), record=False), workers=1)
            # What the first ones bring with them, none of the next ones does.
            kept = [opens(gateway) for _ in range(20)]
            before = gateway.resident
            kept += [opens(gateway) for _ in range(IDLE)]
            more = (gateway.resident - before) / IDLE
            for one in kept:
                one.close()
            return round(more)

        def of_http1(gateway):
            client = self.connect(gateway.tls, tls=self.authority.context(), sni="acme.test")
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            return client

        def of_http2(gateway):
            client = self.open(gateway)
            self.assertEqual(client.get().status, 200)
            return client

        figures = {opens.__name__: each(opens) for opens in (of_http2, of_http1)}
        print(f"     {figures} bytes a connection", flush=True)
        self.assert_bar(figures["of_http2"], figures["of_http1"] + 4096)
