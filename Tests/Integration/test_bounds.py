"""What one peer sends is worked at in bounded pieces and kept in bounded memory, whatever it is."""

import select
import socket
import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.tls_messages import Messages

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
        self.assert_bar(most / many, 100 << 10, "bytes a connection")

    def test_empty_lines_for_ever_are_refused(self):
        gateway = self.edge()
        client = self.connect(gateway.plain)
        self.assert_bar(self.longest_wait(gateway, lambda: self.send_all(client.socket, b"\r\n" * 5_000_000)), WAIT)
        self.assert_problem(client.read_response(), 400)
        self.assert_closed(client)
