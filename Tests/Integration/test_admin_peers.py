"""Whoever speaks to the admin listener, and however: signals, systemd, reloads and everybody else are heard."""

import http.client
import signal
import socket
import threading
import time
import unittest

from Support.case import SANITIZED, Case
from Support.client import RawClient

# Much work for the gateway, and nothing to be read.
HEAD = b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Flood:
    """Clients of the admin port that send as fast as they can, and read as fast as they can."""

    def __init__(self, case, port, clients=1, request=HEAD, reads=True):
        self.stopped = False
        self.threads = []
        for _ in range(clients):
            client = socket.create_connection(("127.0.0.1", port), 10)
            client.settimeout(None)
            case.addCleanup(client.close)
            self.spawn(self.send, client, request * 5000)
            if reads:
                self.spawn(self.read, client)
        case.addCleanup(self.stop)

    def spawn(self, function, *arguments):
        self.threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self.threads[-1].start()

    def send(self, client, data):
        try:
            while not self.stopped:
                client.sendall(data)
        except OSError:
            pass

    def read(self, client):
        try:
            while client.recv(1 << 20):
                pass
        except OSError:
            pass

    def stop(self):
        self.stopped = True


class Flooded(Case):
    def flooded(self, clients=4, environment=None, **options):
        gateway = self.simple(self.upstream(), start=False)
        gateway.start(environment=environment)
        Flood(self, gateway.admin, clients, **options)
        time.sleep(0.5)
        return gateway

    def timed(self, gateway, path="/healthz"):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=5)
        try:
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().status, 200)
        finally:
            connection.close()
        return time.monotonic() - began

    def test_one_client_that_pipelines_keeps_nobody_waiting(self):
        gateway = self.flooded(clients=1)
        self.assertLess(sorted(self.timed(gateway) for _ in range(11))[5], 0.5)

    def test_health_is_told_beside_many_who_pipeline(self):
        gateway = self.flooded(clients=16, request=b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertLess(sorted(self.timed(gateway) for _ in range(11))[5], 1)

    def test_signals_are_heard(self):
        gateway = self.flooded()
        gateway.signal(signal.SIGHUP)
        self.until(lambda: "reloaded: " in gateway.stderr, "the reload")
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(8), 0)

    def test_the_watchdog_is_fed(self):
        server = self.systemd()
        self.flooded(environment={"NOTIFY_SOCKET": server.getsockname(), "WATCHDOG_USEC": "1000000"})
        alive = 0
        while alive < 5:
            alive += server.recv(4096).startswith(b"WATCHDOG=1")
        times = []
        for _ in range(4):
            server.recv(4096)
            times.append(time.monotonic())
        self.assertLess(max(b - a for a, b in zip(times, times[1:])), 1)

    def test_whoever_does_not_read_answers_is_asked_nothing_and_costs_little(self):
        gateway = self.simple(self.upstream())
        gateway.get("/metrics")
        before = gateway.resident
        Flood(self, gateway.admin, clients=50, request=b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", reads=False)
        time.sleep(2)
        self.assertLess(self.timed(gateway), 1)
        self.assert_bar(gateway.resident - before, 24 << 20)

    @unittest.skipIf(SANITIZED, "nothing but memory is measured")
    def test_large_metrics_that_nobody_takes_hold_little_memory(self):
        gateway = self.gateway(
            "metrics_tenants 10000; upstream app { server 127.0.0.1:$app; }\n"
            + "".join(f"tenant t{n} {{ host t{n}.test; upstream app; }}\n" for n in range(6000)),
            app=self.upstream(record=False),
        )
        with RawClient(gateway.plain) as client:
            for n in range(6000):
                client.send(f"GET / HTTP/1.1\r\nHost: t{n}.test\r\n\r\n")
                client.read_response()
        self.assertGreater(len(gateway.get("/metrics")[1]), 5 << 20)
        before = gateway.resident
        for _ in range(60):
            client = self.connect(gateway.admin, receive_buffer=4096)
            client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # Not one rendering for several of them.
            client.socket.recv(1)
        self.assert_bar(gateway.resident - before, 160 << 20)
        self.assertGreater(len(gateway.get("/metrics")[1]), 5 << 20)


class Crowd(Case):
    def test_silent_connections_shut_nobody_out(self):
        gateway = self.simple(self.upstream())
        silent = [self.connect(gateway.admin) for _ in range(200)]
        begun = [self.connect(gateway.admin) for _ in range(200)]
        for client in begun:
            client.send("GET /metr")
        self.assertEqual(gateway.get("/healthz")[0], 200)
        # The oldest have gone.
        self.assert_closed(silent[0])
        self.assertTrue(begun[-1].is_open_and_quiet())
        self.assertLess(gateway.descriptors, 400)

    def test_a_connection_that_is_used_stays_beside_silent_ones(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.admin) as used:
            for _ in range(5):
                self.assertEqual(used.request("GET", "/healthz", "localhost").status, 200)
                for _ in range(100):
                    self.connect(gateway.admin)
                gateway.get("/healthz")

    def test_a_body_is_dropped_as_it_comes(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.admin) as client:
            for _ in range(20):
                self.assertEqual(client.request("GET", "/healthz", "localhost", body=b"x" * (1 << 20)).status, 200)
        with RawClient(gateway.admin) as client:
            client.send_as_taken(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n" + b"x" * 500_000)
            response = client.read_response()
            self.assertEqual((response.status, response.keeps_alive), (413, False))

    def test_a_request_in_pieces(self):
        gateway = self.simple(self.upstream())
        with RawClient(gateway.admin) as client:
            for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabcGET /readyz HTTP/1.1\r\nHost: [::1]:9\r\n\r\n":
                client.send(bytes([byte]))
            self.assertEqual([client.read_response().body for _ in range(2)], [b"ok\n", b"ready\n"])
