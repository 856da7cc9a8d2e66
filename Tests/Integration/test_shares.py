"""Numbers that hold over all workers together: none of them is divided, whichever worker the connections land on."""

import socket
import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer_and_close, text
from Support.wire import Truncated

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"


class Held:
    """An upstream's behaviour: answers wait until they are let go. `most` is how many requests there were at once."""

    def __init__(self, case):
        self.gate, self.lock = threading.Event(), threading.Lock()
        self.now = self.most = 0
        case.addCleanup(self.gate.set)

    def __call__(self, peer):
        while peer.read_request():
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            self.gate.wait(20)
            with self.lock:
                self.now -= 1
            peer.send(text("ok"))


class Shares(Case):
    def ask(self, gateway):
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        return client

    def test_max_connections_of_clients(self):
        gateway = self.simple(self.upstream(record=False), top="limits { max_connections 60; }", workers=8)
        clients = []
        for _ in range(60):
            clients.append(self.connect(gateway.plain))
            self.assertEqual(clients[-1].request("GET", "/", "acme.test").status, 200)
        for _ in range(5):
            with self.assertRaises((OSError, Truncated)):
                with RawClient(gateway.plain, timeout=3) as one_too_many:
                    one_too_many.request("GET", "/", "acme.test")
        # One that leaves makes room for one, on whichever worker.
        for _ in range(5):
            clients.pop(0).close()

            def served():
                try:
                    client = RawClient(gateway.plain, timeout=3)
                    response = client.request("GET", "/", "acme.test")
                except (OSError, Truncated):
                    return False
                clients.append(client)
                return response.status == 200

            self.until(served, "room for one")

    def test_max_connections_of_a_server(self):
        held = Held(self)
        gateway = self.simple(
            self.upstream(held, record=False), block="max_connections 12; connect_timeout 15s;", workers=8
        )
        clients = [self.ask(gateway) for _ in range(12)]
        self.until(lambda: held.now == 12, "all of them at the server")
        clients += [self.ask(gateway) for _ in range(20)]
        time.sleep(0.3)
        self.assertEqual(held.now, 12)
        held.gate.set()
        self.assertEqual([client.read_response().status for client in clients], [200] * 32)
        self.assertEqual(held.most, 12)

    def test_unused_connections_of_one_worker_are_given_to_another(self):
        gateway = self.simple(self.upstream(record=False), block="max_connections 1; connect_timeout 5s;", workers=8)
        for number in range(40):
            began = time.monotonic()
            self.assertEqual(self.get(gateway).status, 200)
            self.assertLess(time.monotonic() - began, 1, number)

    def test_who_waits_is_served_while_other_workers_are_busy(self):
        """More clients than places on all workers, with and without connections that are kept."""

        def kept(peer):
            while peer.read_request():
                time.sleep(0.003)
                peer.send(text("ok"))

        for behaviour in (kept, answer_and_close(text("ok", fields=["Connection: close"]))):
            for most in (1, 3, 8):
                with self.subTest(most=most, kept=behaviour is kept):
                    lock, now, peak = threading.Lock(), [0], [0]

                    def counted(peer):
                        with lock:
                            now[0] += 1
                            peak[0] = max(peak[0], now[0])
                        behaviour(peer)
                        with lock:
                            now[0] -= 1

                    gateway = self.simple(
                        self.upstream(counted, record=False),
                        block=f"max_connections {most}; connect_timeout 10s;",
                        workers=4,
                    )
                    statuses, slowest = [], [0.0]

                    def load():
                        client = self.connect(gateway.plain)
                        for _ in range(30):
                            began = time.monotonic()
                            statuses.append(client.request("GET", "/", "acme.test").status)
                            slowest[0] = max(slowest[0], time.monotonic() - began)

                    threads = [threading.Thread(target=load) for _ in range(12)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                    self.assertEqual(statuses, [200] * 360)
                    # Nobody is left behind by those whose workers have connections.
                    self.assertLess(slowest[0], 5)
                    gateway.stop()

    def test_the_line_of_an_upstream(self):
        held = Held(self)
        gateway = self.simple(
            self.upstream(held, record=False), block="max_connections 4; connect_timeout 15s;", workers=8
        )
        clients = [self.ask(gateway) for _ in range(4)]
        self.until(lambda: held.now == 4, "all places taken")
        # 16 may wait for each connection.
        clients += [self.ask(gateway) for _ in range(70)]
        refused = lambda: gateway.metrics().sum("gateway_refused_total", reason="overloaded")
        self.until(lambda: refused() == 6, "those beyond the line refused")
        time.sleep(0.2)
        self.assertEqual(refused(), 6)
        held.gate.set()
        self.assertEqual(sorted(client.read_response().status for client in clients), [200] * 68 + [503] * 6)

    def test_retries_have_one_budget(self):
        upstream = self.upstream(lambda peer: peer.read_request(), record=False)
        gateway = self.simple(upstream, workers=8)
        count, began = 200, time.monotonic()
        for _ in range(count):
            self.assertEqual(self.get(gateway).status, 502)
        most = (5 * (20 + 10 * (time.monotonic() - began)) + count) / 4
        self.assertLessEqual(len(upstream.requests) - count, most)

    def test_guesses_are_counted_together(self):
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\ntenant acme { host acme.test; authenticate api_key; upstream app;\n"
            "    key sha256:6b8bc2a1f2da1c2d05a2b9f0a3c8d9e1f00112233445566778899aabbccddeef; }\n",
            app=self.upstream(),
            workers=8,
        )
        statuses = [self.get(gateway, fields=[("X-API-Key", f"gw_wrong{number}")]).status for number in range(11)]
        self.assertEqual(statuses, [401] * 10 + [429])

    def test_lines_of_the_log_on_clients(self):
        gateway = self.simple(self.upstream(), workers=8)
        for number in range(40):
            with socket.create_connection(("127.0.0.1", gateway.plain), source_address=(f"127.0.1.{number + 1}", 0)) as one:
                one.sendall(b"GET / HTTP/9.9\r\n\r\n")
                one.recv(1000)
        # As many as may be told in a second, whichever workers they came to.
        lines = lambda: gateway.stderr.count("client 127.0.1.")
        self.until(lambda: lines() >= 32, "lines of the log")
