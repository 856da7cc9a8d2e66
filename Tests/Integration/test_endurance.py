"""Large bodies, slow peers and many connections: memory stays flat, and others do not notice."""

import resource
import socket
import threading
import time

from Support.case import Case
from Support.client import RawClient, Truncated
from Support.load import Load
from Support.upstream import text

GIB = 1 << 30
BLOCK = bytes(1 << 20)


class Memory:
    """Watches a gateway's resident memory in a thread."""

    def __init__(self, gateway):
        self.gateway, self.first, self.most = gateway, gateway.resident, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            self.most = max(self.most, self.gateway.resident)
            self._stop.wait(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)

    @property
    def growth(self):
        return max(self.most, self.gateway.resident) - self.first


def download(size):
    def behaviour(peer):
        while peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            left = size
            while left:
                peer.send(BLOCK[: min(left, len(BLOCK))])
                left -= min(left, len(BLOCK))

    return behaviour


def swallow(stream, size, buffer=bytearray(1 << 20)):
    """Reads so many bytes without keeping them."""
    left = size - len(stream.take(len(stream.buffer)))
    view = memoryview(buffer)
    while left:
        count = stream.sock.recv_into(view[: min(left, len(buffer))])
        if not count:
            raise Truncated("end")
        left -= count


class Large(Case):
    seconds = 60

    def test_a_download_of_2_gb_holds_no_more_than_buffers(self):
        gateway = self.simple(self.upstream(download(2 * GIB), record=False))
        client = self.connect(gateway.plain)
        client.request("GET", "/", "nobody.test")
        with Memory(gateway) as memory:
            client = self.connect(gateway.plain)
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.assertEqual(client.read_head().status, 200)
            swallow(client.stream, 2 * GIB)
        self.assert_bar(memory.growth, 32 << 20)

    def test_an_upload_of_2_gb_holds_no_more_than_buffers(self):
        def behaviour(peer):
            request = peer.read_head()
            swallow(peer.stream, int(request["content-length"]))
            peer.send(text("done"))

        gateway = self.simple(self.upstream(behaviour, record=False))
        with Memory(gateway) as memory:
            client = self.connect(gateway.plain)
            client.send(f"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {2 * GIB}\r\n\r\n")
            for _ in range(2 * GIB // len(BLOCK)):
                client.send(BLOCK)
            self.assertEqual(client.read_response().body, b"done")
        self.assert_bar(memory.growth, 32 << 20)

    def test_a_download_over_tls(self):
        size = GIB // 4
        gateway = self.simple(
            self.upstream(download(size), record=False), top=self.tls_listener(self.leaf("acme.test"))
        )
        with Memory(gateway) as memory:
            client = self.connect(gateway.tls, tls=self.authority.context(), sni="acme.test")
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.assertEqual(client.read_head().status, 200)
            swallow(client.stream, size)
        self.assert_bar(memory.growth, 32 << 20)

    def test_a_chunked_upload_over_tls(self):
        size = GIB // 8

        def behaviour(peer):
            peer.read_body(peer.read_head(), keep=False)
            peer.send(text("done"))

        gateway = self.simple(self.upstream(behaviour, record=False), top=self.tls_listener(self.leaf("acme.test")))
        with Memory(gateway) as memory:
            client = self.connect(gateway.tls, tls=self.authority.context(), sni="acme.test")
            client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(size // len(BLOCK)):
                client.send(b"%x\r\n" % len(BLOCK))
                client.send(BLOCK)
                client.send("\r\n")
            client.send("0\r\n\r\n")
            self.assertEqual(client.read_response().body, b"done")
        self.assert_bar(memory.growth, 32 << 20)

    def stalls(self, sent, what):
        """Waits until `sent()` stands still: the other side is being held back."""
        state = {"last": -1, "since": time.monotonic()}

        def still():
            now = sent()
            if now != state["last"]:
                state.update(last=now, since=time.monotonic())
            return now > 0 and time.monotonic() - state["since"] > 0.5

        self.until(still, what, within=20)
        return sent()

    def test_a_client_that_does_not_read_holds_its_upstream_back(self):
        upstream = self.upstream(download(4 * GIB), record=False)
        gateway = self.simple(upstream)
        with Memory(gateway) as memory:
            client = self.connect(gateway.plain, receive_buffer=65536)
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.until(lambda: upstream.connections, "the request")
            sent = self.stalls(lambda: upstream.connections[0].sent, "the upstream held back")
            self.assertLess(sent, 80 << 20)
            self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        self.assert_bar(memory.growth, 8 << 20)

    def test_an_upstream_that_does_not_read_holds_its_client_back(self):
        release = threading.Event()
        self.addCleanup(release.set)
        upstream = self.upstream(lambda peer: peer.read_head() and release.wait(30), record=False, receive_buffer=65536)
        gateway = self.simple(upstream)
        sent = [0]
        with Memory(gateway) as memory:
            client = self.connect(gateway.plain)
            client.send(f"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {4 * GIB}\r\n\r\n")
            client.socket.settimeout(1)
            try:
                while sent[0] < GIB:
                    sent[0] += client.socket.send(BLOCK)
            except TimeoutError:
                pass
        self.assertLess(sent[0], 80 << 20)
        self.assert_bar(memory.growth, 8 << 20)

    def test_many_stalled_downloads_cost_a_few_buffers_each(self):
        upstream = self.upstream(download(GIB), record=False)
        gateway = self.simple(upstream, block="max_connections 1000;")
        before = gateway.resident
        for _ in range(100):
            self.connect(gateway.plain, receive_buffer=16384).send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: len(upstream.connections) == 100, "100 downloads", within=15)
        self.stalls(lambda: sum(peer.sent for peer in upstream.connections), "all held back")
        self.assert_bar(gateway.resident - before, 100 * (512 << 10))


class Slow(Case):
    def test_a_thousand_clients_at_a_byte_a_second_beside_normal_traffic(self):
        upstream = self.upstream(record=False)
        gateway = self.simple(upstream, top="limits { header_timeout 60s; body_timeout 60s; }")
        data = b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\n\r\n"
        slow = [self.connect(gateway.plain) for _ in range(1000)]
        with Load(gateway.plain, connections=2, pause=0.002) as load:
            began = time.monotonic()
            for second in range(6):
                for client in slow:
                    client.send(data[second : second + 1])
                while (left := began + second + 1 - time.monotonic()) > 0:
                    time.sleep(left)
        self.assertEqual(load.failures, [])
        self.assertGreater(load.count, 500)
        self.assertLess(load.percentile(0.5), 0.02)
        self.assertLess(load.percentile(0.99), 0.25)
        for client in slow[::20]:
            client.send(data[6:] + b"hello")
            self.assertEqual(client.read_response().status, 200)

    def test_idle_connections_cost_little(self):
        gateway = self.simple(self.upstream(), top=self.tls_listener(self.leaf("acme.test")))
        context = self.authority.context()
        clients = [self.connect(gateway.tls, tls=context, sni="acme.test") for _ in range(20)]
        for client in clients:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        before = gateway.resident
        more = [self.connect(gateway.tls, tls=context, sni="acme.test") for _ in range(300)]
        for client in more:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assert_bar((gateway.resident - before) / 300, 48 << 10)

    def test_slow_heads_end_with_408_and_free_their_place(self):
        gateway = self.simple(self.upstream(), top="limits { header_timeout 500ms; }")
        clients = [self.connect(gateway.plain) for _ in range(200)]
        for client in clients:
            client.send("GET / HT")
        for client in clients:
            self.assert_problem(client.read_response(), 408, "timeout", closes=True)
            self.assert_closed(client)
        self.until(lambda: gateway.metrics().sum("gateway_connections") <= 1, "the places freed")

    def test_a_handshake_that_does_not_come_ends(self):
        self.seconds = 40
        gateway = self.simple(
            self.upstream(), top="limits { header_timeout 500ms; }\n" + self.tls_listener(self.leaf("acme.test"))
        )
        with RawClient(gateway.tls, timeout=15) as client:
            client.send(b"\x16\x03\x01")
            self.assertTrue(client.is_closed(14), "a handshake may take for ever")

    def test_a_client_that_never_reads_its_answer_is_given_up(self):
        ended = threading.Event()

        def behaviour(peer):
            try:
                download(GIB)(peer)
            finally:
                ended.set()

        gateway = self.simple(
            self.upstream(behaviour, record=False),
            top="limits { body_timeout 500ms; idle_timeout 500ms; }",
            block="response_timeout 500ms;",
        )
        client = self.connect(gateway.plain, receive_buffer=16384)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertTrue(ended.wait(15), "an answer that nobody reads is held for ever")

    def test_what_waits_uses_no_cpu(self):
        def behaviour(peer):
            request = peer.read_head()
            if request["upgrade"]:
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            elif request.target == "/half":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            elif request.target == "/large":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
                for _ in range(1024):
                    peer.send(BLOCK)
            ended.wait(20)

        ended = threading.Event()
        self.addCleanup(ended.set)
        gateway = self.simple(
            self.upstream(behaviour, record=False, receive_buffer=65536), top=self.tls_listener(self.leaf("acme.test"))
        )
        get = "GET %s HTTP/1.1\r\nHost: acme.test\r\n\r\n"
        tls = {"tls": self.authority.context(), "sni": "acme.test"}
        for port, options in ((gateway.plain, {}), (gateway.tls, tls)):
            for data in (
                "",
                "GET / HT",
                get % "/silent",
                get % "/half",
                get % "/large",
                "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 9\r\n\r\nhello",
                "GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                get % "/silent" + get % "/pipelined" * 1000,
            ):
                self.connect(port, **options, receive_buffer=65536).send(data)
        filler = self.connect(gateway.plain, timeout=0.5)
        filler.send(f"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {GIB}\r\n\r\n")
        try:
            while True:
                filler.socket.send(BLOCK)
        except TimeoutError:
            pass
        half_closed = self.connect(gateway.plain)
        half_closed.send(get % "/silent")
        half_closed.socket.shutdown(socket.SHUT_WR)
        before, began = gateway.cpu, time.monotonic()
        time.sleep(2)
        self.assertLess((gateway.cpu - before) / (time.monotonic() - began), 0.05, "the gateway spins")

    def test_running_out_of_descriptors_is_survived(self):
        gateway = self.simple(self.upstream())
        self.assertEqual(self.get(gateway).status, 200)
        limit = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (gateway.descriptors + 20, limit[1]))
        clients = []
        for _ in range(100):
            clients.append(RawClient(gateway.plain, timeout=1))
            clients[-1].send_as_taken("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        before = gateway.cpu
        time.sleep(1)
        self.assertLess(gateway.cpu - before, 0.5, "the gateway spins when it can accept nothing")
        for client in clients:
            client.close()
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limit)

        self.until_served(gateway)

    def test_max_connections_holds(self):
        gateway = self.simple(self.upstream(), top="limits { max_connections 50; }")
        clients, served = [], 0
        for _ in range(70):
            try:
                client = RawClient(gateway.plain, timeout=0.3)
                clients.append(client)
                response = client.request("GET", "/", "acme.test")
                if response.status == 200:
                    served += 1
                else:
                    self.assert_problem(response, 503, "overloaded")
            except (OSError, Truncated):
                pass
        self.assertLessEqual(served, 50)
        self.assertGreaterEqual(served, 40)
        self.assertEqual(gateway.get("/healthz")[0], 200)
        for client in clients:
            client.close()

        self.until_served(gateway)

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        gateway = self.simple(self.upstream(record=False), top=self.tls_listener(self.leaf("acme.test")))

        def churn(count):
            for number in range(count):
                client = RawClient(gateway.plain)
                if number % 3 == 0:
                    client.send("GET / HT")
                elif number % 3 == 1:
                    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                else:
                    client.request("GET", "/", "acme.test")
                (client.reset if number % 2 else client.close)()
            self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "every connection forgotten")
            return gateway.resident, gateway.descriptors

        churn(500)
        memory, descriptors = churn(500)
        after, descriptors_after = churn(1500)
        self.assert_bar(after - memory, 4 << 20)
        self.assertLess(descriptors_after - descriptors, 20)
