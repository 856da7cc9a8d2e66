"""Each timeout ends what it is for, and nothing else: whoever moves on, however slowly, is left alone."""

import threading
import time

from Support.case import Case
from Support.client import RawClient, Truncated
from Support.upstream import answer, chunk, text

SHORT = "limits { header_timeout 300ms; body_timeout 300ms; idle_timeout 300ms; }\n"


class Timeouts(Case):
    def late(self, seconds):
        """An upstream that answers after so long."""

        def behaviour(peer):
            while peer.read_request():
                threading.Event().wait(seconds)
                peer.send(text("late"))

        return behaviour

    def test_a_long_wait_for_an_answer_is_not_idleness(self):
        gateway = self.simple(self.upstream(self.late(1)), top=SHORT + self.tls_listener(self.leaf("acme.test")))
        for port, options in (
            (gateway.plain, {}),
            (gateway.tls, {"tls": self.authority.context(), "sni": "acme.test"}),
        ):
            client = self.connect(port, **options)
            for body in (None, b"hello"):
                self.assertEqual(client.request("POST", "/", "acme.test", body=body).body, b"late")

    def test_an_upload_that_moves_on_may_take_longer_than_body_timeout(self):
        gateway = self.simple(self.upstream(answer(lambda request: text(request.body))), top=SHORT)
        client = self.connect(gateway.plain)
        client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            time.sleep(0.1)
            client.send("x")
        self.assertEqual(client.read_response().body, b"x" * 12)

    def test_a_download_that_moves_on_may_take_longer_than_response_timeout(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(12):
                time.sleep(0.1)
                peer.send(chunk(b"x"))
            peer.send(b"0\r\n\r\n")

        gateway = self.simple(self.upstream(behaviour), top=SHORT, block="response_timeout 300ms;")
        self.assertEqual(self.get(gateway).body, b"x" * 12)

    def test_a_client_that_reads_on_may_take_longer_than_any_timeout(self):
        size = 24 << 20
        gateway = self.simple(
            self.upstream(answer(text(b"x" * size)), record=False), top=SHORT, block="response_timeout 300ms;"
        )
        client = self.connect(gateway.plain, receive_buffer=65536)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertEqual(client.read_head().status, 200)
        read, began = len(client.stream.buffer), time.monotonic()
        while read < size:
            if time.monotonic() - began < 1.5:
                time.sleep(0.02)
            data = client.socket.recv(65536)
            self.assertTrue(data, f"broken off after {read}")
            read += len(data)
        self.assertEqual(read, size)

    def test_interim_answers_keep_a_slow_answer_alive(self):
        def behaviour(peer):
            while peer.read_request():
                for _ in range(12):
                    time.sleep(0.1)
                    peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
                peer.send(text("late"))

        gateway = self.simple(self.upstream(behaviour), block="response_timeout 400ms;")
        with RawClient(gateway.plain) as client:
            for body in (None, b"hello"):
                response = client.request("POST", "/", "acme.test", body=body)
                self.assertEqual((response.body, len(response.interim)), (b"late", 12))

    def test_interim_answers_that_stop_keep_nothing_alive(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 3)
            peer.wait_for_end()

        gateway = self.simple(self.upstream(behaviour), block="response_timeout 400ms;")
        began = time.monotonic()
        self.assert_problem(self.get(gateway), 504, "upstream-timeout")
        self.assertLess(time.monotonic() - began, 3)

    def test_requests_after_pauses_shorter_than_idle_timeout(self):
        gateway = self.simple(self.upstream(), top=SHORT)
        client = self.connect(gateway.plain)
        for _ in range(8):
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            time.sleep(0.12)

    def test_idle_timeout_begins_anew_after_each_answer(self):
        gateway = self.simple(self.upstream(), top=SHORT)
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        began = time.monotonic()
        self.assert_closed(client)
        self.assertGreater(time.monotonic() - began, 0.2)

    def test_header_timeout_begins_with_each_request(self):
        gateway = self.simple(self.upstream(), top="limits { header_timeout 400ms; }\n")
        client = self.connect(gateway.plain)
        for _ in range(4):
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            time.sleep(0.15)
        client.send("GET / HT")
        self.assert_problem(client.read_response(), 408, "timeout", closes=True)

    def test_an_event_stream_with_pauses_shorter_than_response_timeout(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            for _ in range(4):
                time.sleep(0.35)
                peer.send(b"data: x\n\n")

        gateway = self.simple(self.upstream(behaviour), top=SHORT, block="response_timeout 600ms;")
        self.assertEqual(self.get(gateway).body, b"data: x\n\n" * 4)

    def test_a_timeout_of_one_request_leaves_the_next_alone(self):
        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/silent":
                    peer.wait_for_end()
                    return
                peer.send(text("ok"))

        gateway = self.simple(self.upstream(behaviour), block="response_timeout 300ms;")
        client = self.connect(gateway.plain)
        client.send("GET /silent HTTP/1.1\r\nHost: acme.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        first = client.read_response()
        self.assert_problem(first, 504, "upstream-timeout")
        if first.keeps_alive:
            self.assertEqual(client.read_response().body, b"ok")

    def test_an_upload_that_stalls_upstream_is_given_up(self):
        release = threading.Event()
        self.addCleanup(release.set)
        upstream = self.upstream(lambda peer: peer.read_head() and release.wait(20), record=False, receive_buffer=65536)
        gateway = self.simple(upstream, block="response_timeout 500ms;", top="limits { body_timeout 500ms; }")
        with RawClient(gateway.plain) as client:
            began = time.monotonic()
            client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                while time.monotonic() - began < 10:
                    client.socket.settimeout(8)
                    client.socket.send(b"x" * 65536)
            except OSError:
                pass
            self.assertLess(time.monotonic() - began, 8, "an upstream that takes nothing is waited for without end")
            try:
                response = client.read_response()
                self.assertIn(response.status, (408, 502, 504))
            except (Truncated, OSError):
                pass
