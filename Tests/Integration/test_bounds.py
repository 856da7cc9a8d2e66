"""What one peer sends is worked at in bounded pieces and kept in bounded memory, whatever it is."""

import select
import signal
import socket
import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.tls_messages import Messages
from Support.upstream import text

# Another tenant's longest wait while somebody else's bytes are worked at.
WAIT = 0.25


def silent(peer):
    """Reads what comes, and never answers."""
    peer.wait_for_end(60)


class Bounds(Case):
    def edge(self, upstream=None, **options):
        return self.gateway(
            self.tls_listener(self.leaf("flood.test"), self.leaf("quiet.test"))
            + "upstream app { server 127.0.0.1:$app; }\n"
            + "defaults { authenticate none; upstream app; }\n"
            + "tenant flood { host flood.test; } tenant quiet { host quiet.test; }\n",
            app=upstream or self.upstream(),
            workers=1,
            **options,
        )

    def messages(self, gateway):
        client = Messages(gateway.tls, "flood.test")
        self.addCleanup(client.close)
        return client

    def longest_wait(self, gateway, flood):
        """Of a quiet tenant's requests while `flood` runs in a thread of its own."""
        thread = threading.Thread(target=flood, daemon=True)
        longest = 0
        with RawClient(gateway.plain) as client:
            client.request("GET", "/", "quiet.test")
            thread.start()
            while thread.is_alive():
                began = time.monotonic()
                self.assertEqual(client.request("GET", "/", "quiet.test").status, 200)
                longest = max(longest, time.monotonic() - began)
        return longest

    def send_all(self, sock, data):
        """Until it is taken, or the gateway has had enough."""
        try:
            sock.sendall(data)
        except OSError:
            pass

    def test_key_updates_hold_nobody_up(self):
        gateway = self.edge()
        client = self.messages(gateway)
        flood = client.key_updates(100_000)
        self.assert_bar(self.longest_wait(gateway, lambda: self.send_all(client.socket, flood)), WAIT)
        client.socket.settimeout(5)
        self.assertEqual(self.end_of(client), b"", "so many of them in a row end the connection")

    def end_of(self, client):
        try:
            return client.receive()
        except OSError:
            return b""

    def test_a_few_key_updates_between_data_are_welcome(self):
        gateway = self.edge()
        client = self.messages(gateway)
        for _ in range(8):
            client.socket.sendall(client.key_updates(8))
            client.socket.sendall(client.data(b"GET / HTTP/1.1\r\nHost: flood.test\r\n\r\n"))
            self.assertIn(b"200 OK", client.receive())

    def test_records_of_a_byte_hold_nobody_up(self):
        gateway = self.edge()
        client = self.messages(gateway)
        head = client.data(b"POST / HTTP/1.1\r\nHost: flood.test\r\nContent-Length: 200000\r\n\r\n")
        flood = head + client.data(*[b"x"] * 200_000)
        self.assert_bar(self.longest_wait(gateway, lambda: self.send_all(client.socket, flood)), WAIT)
        self.assertIn(b"200 OK", client.receive())

    def test_chunks_of_a_byte_hold_nobody_up(self):
        gateway = self.edge()
        client = self.connect(gateway.plain)
        flood = b"POST / HTTP/1.1\r\nHost: flood.test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1_000_000
        self.assert_bar(self.longest_wait(gateway, lambda: self.send_all(client.socket, flood)), WAIT)
        client.send(b"0\r\n\r\n")
        self.assertEqual(client.read_response().status, 200)

    def test_requests_ahead_of_a_slow_answer_stay_in_the_kernel(self):
        gateway = self.edge(self.upstream(silent))
        self.assert_kept(gateway, b"GET / HTTP/1.1\r\nHost: flood.test\r\n\r\n" * 100_000)

    def test_requests_ahead_of_a_refusal_stay_in_the_kernel(self):
        gateway = self.edge()
        self.assert_kept(gateway, b"GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n" * 100_000)

    def assert_kept(self, gateway, flood, many=60):
        """Each of many connections costs no more than one head's worth, however much it sends ahead."""
        with RawClient(gateway.plain) as client:
            client.request("GET", "/", "nobody.test")
        before, kept = gateway.resident, []
        for _ in range(many):
            one = socket.create_connection(("127.0.0.1", gateway.plain), 5)
            self.addCleanup(one.close)
            one.setblocking(False)
            kept.append([one, 0])
        until = time.monotonic() + 3
        most = 0
        while time.monotonic() < until:
            for each in kept:
                try:
                    each[1] += each[0].send(flood[each[1] : each[1] + 1_000_000])
                except OSError:
                    pass
            most = max(most, gateway.resident - before)
            select.select([], [], [], 0.01)
        self.assert_bar(most / many, 160 << 10, "bytes a connection")

    def test_requests_behind_a_body_stay_in_the_kernel(self):
        gateway = self.edge(self.upstream(silent, record=False))
        ahead = b"GET / HTTP/1.1\r\nHost: flood.test\r\n\r\n" * 30_000
        kept = []
        for _ in range(40):
            one = socket.create_connection(("127.0.0.1", gateway.plain), 5)
            self.addCleanup(one.close)
            one.sendall(b"POST / HTTP/1.1\r\nHost: flood.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            # A long body first: the kernel takes more at once from then on.
            for _ in range(8):
                one.sendall(b"40000\r\n" + b"x" * 0x40000 + b"\r\n")
            kept.append(one)
        before = self.until(lambda: gateway.resident, "a figure")
        gateway.signal(signal.SIGSTOP)
        for one in kept:
            one.setblocking(False)
            try:
                one.send(b"1\r\nx\r\n0\r\n\r\n" + ahead)
            except OSError:
                pass
        gateway.signal(signal.SIGCONT)
        time.sleep(0.5)
        self.assert_bar((gateway.resident - before) / len(kept), 140 << 10, "bytes a connection")

    def test_empty_lines_for_ever_are_refused(self):
        gateway = self.edge()
        client = self.connect(gateway.plain)
        self.assert_bar(self.longest_wait(gateway, lambda: self.send_all(client.socket, b"\r\n" * 5_000_000)), WAIT)
        self.assert_problem(client.read_response(), 400)
        self.assert_closed(client)


class Wakes(Case):
    """What came before its time is not forgotten: no event tells of it again."""

    def test_a_large_head_with_the_end_of_the_handshake(self):
        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test"))
            + "upstream app { server 127.0.0.1:$app; }\n"
            + "tenant acme { host acme.test; authenticate none; upstream app; }\n",
            app=self.upstream(),
        )
        head = b"GET / HTTP/1.1\r\nHost: acme.test\r\nCookie: " + b"c" * 18_000 + b"\r\n\r\n"
        for pieces in ([head[:16_000], head[16_000:]], [head[i : i + 1] for i in range(900)] + [head[900:]]):
            client = Messages(gateway.tls, "acme.test", timeout=3, first=pieces)
            self.addCleanup(client.close)
            self.assertIn(b"200 OK", client.receive())

    def test_bytes_of_a_tunnel_before_its_101(self):
        heard = []

        def behaviour(peer):
            peer.read_head()
            time.sleep(0.3)
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            heard.append(peer.stream.exactly(5))

        gateway = self.simple(self.upstream(behaviour))
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        time.sleep(0.1)
        client.send(b"EARLY")
        self.until(lambda: heard == [b"EARLY"], "the bytes at the upstream", 3)

    def test_an_answer_that_was_there_before_the_request(self):
        def busy(peer):
            peer.send(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            peer.wait_for_end(20)

        gateway = self.simple(self.upstream(busy), block="response_timeout 20s;")
        for _ in range(30):
            with RawClient(gateway.plain, timeout=3) as client:
                self.assertIn(client.request("GET", "/", "acme.test").status, (502, 503))

    def test_an_interim_answer_that_is_not_taken_holds_no_connection(self):
        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/hints":
                    for _ in range(8):
                        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"y" * 60_000 + b"\r\n\r\n")
                    time.sleep(0.2)
                size = 4_000_000 if request.target == "/large" else 2
                peer.send(text("x" * size))

        gateway = self.simple(
            self.upstream(behaviour),
            top="limits { body_timeout 1s; }",
            block="max_connections 1; response_timeout 1s; connect_timeout 3s;",
            workers=1,
        )
        greedy = RawClient(gateway.plain, receive_buffer=2048)
        self.addCleanup(greedy.close)
        # As much as the kernel takes and a little less than would be kept here: the hints find it full.
        greedy.send("GET /hints HTTP/1.1\r\nHost: acme.test\r\n\r\n" * 12)
        time.sleep(1)
        began = time.monotonic()
        with RawClient(gateway.plain, timeout=15) as client:
            while client.request("GET", "/", "acme.test").status != 200:
                self.assertLess(time.monotonic() - began, 12)
