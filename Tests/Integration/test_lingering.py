"""A refusal that its client can read: many send a whole request before they read a word of the answer."""

import http.client
import socket
import ssl
import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.upstream import text

SIZE = 10_000_000

TENANTS = """
upstream app { server 127.0.0.1:$app; }
upstream dead { server 127.0.0.1:1; }
upstream unhealthy { server 127.0.0.1:1; health_check /healthz interval=50ms timeout=50ms fall=1; }
defaults { upstream app; response_header X-Wanted yes; response_header Server off; }
tenant small { host small.test; max_body 1m; }
tenant keys { host keys.test; authenticate api_key; key sha256:%s name=a; }
tenant slow { host slow.test; rate 1/h; }
tenant full { host full.test; quota 1/day; }
tenant out { host out.test; suspended on; }
tenant dead { host dead.test; upstream dead; }
tenant unhealthy { host unhealthy.test; upstream unhealthy; }
tenant open { host open.test; }
tenant routed { host routed.test; max_body 1k; response_header X-Wanted tenant; route /r { response_header X-Wanted route; } }
""" % ("0" * 64)


class Lingering(Case):
    seconds = 60

    def served(self, behaviour=None, top=""):
        names = [f"{name}.test" for name in "small keys slow full out dead unhealthy open routed nobody".split()]
        gateway = self.gateway(
            top + self.tls_listener(self.leaf(*names)) + TENANTS, app=self.upstream(behaviour, record=False), workers=1
        )
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") < 3, "a server out")
        return gateway

    def ended(self, gateway, how):
        return gateway.metrics().sum("gateway_lingered_total", end=how)

    def post(self, gateway, host, tls=False, fields={}, body=None, path="/"):
        """As Python's library does it: all of the body, and then the answer."""
        if tls:
            context = ssl._create_unverified_context()
            client = http.client.HTTPSConnection(host, gateway.tls, timeout=15, context=context)
            client._create_connection = lambda address, *rest: socket.create_connection(("127.0.0.1", gateway.tls), 15)
        else:
            client = http.client.HTTPConnection("127.0.0.1", gateway.plain, timeout=15)
        self.addCleanup(client.close)
        client.request("POST", path, body=body or b"x" * SIZE, headers={"Host": host, **fields})
        response = client.getresponse()
        response.read()
        client.close()
        return response

    REFUSALS = [
        ("small.test", {}, 413),
        ("keys.test", {}, 401),
        ("keys.test", {"X-API-Key": "no"}, 401),
        ("slow.test", {}, 429),
        ("full.test", {}, 429),
        ("out.test", {}, 403),
        ("nobody.test", {}, 421),
        ("dead.test", {}, 502),
        ("unhealthy.test", {}, 503),
        ("small.test", {"Content_Length": "5"}, 400),
    ]

    def test_every_refusal_reaches_a_client_that_sends_first(self):
        gateway = self.served()
        for host in ("slow.test", "full.test"):
            self.assertEqual(self.get(gateway, host=host).status, 200)
        for tls in (False, True):
            for host, fields, status in self.REFUSALS:
                with self.subTest(host=host, fields=fields, tls=tls):
                    self.assertEqual(self.post(gateway, host, tls, fields).status, status)
            with self.subTest(tls=tls, body="in chunks"):
                chunks = (b"x" * 100_000 for _ in range(100))
                self.assertEqual(self.post(gateway, "small.test", tls, body=chunks).status, 413)
        self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "no connection left")
        self.assertGreaterEqual(self.ended(gateway, "whole"), 15)
        self.assertEqual((self.ended(gateway, "bytes"), self.ended(gateway, "time")), (0, 0))
        self.assertGreater(gateway.metrics().sum("gateway_lingered_bytes_total"), 15 * (SIZE - (3 << 20)))

    def test_an_upstreams_refusal_reaches_it_as_well(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(text("no", status="403 Forbidden"))
            peer.wait_for_end()

        gateway = self.served(behaviour)
        for tls in (False, True):
            with self.subTest(tls=tls):
                self.assertEqual(self.post(gateway, "open.test", tls).status, 403)

    def test_refused_bodies_take_no_memory(self):
        gateway = self.served()
        self.post(gateway, "small.test")
        before = gateway.resident
        threads = [threading.Thread(target=self.post, args=(gateway, "small.test", n % 2 == 0)) for n in range(16)]
        for thread in threads:
            thread.start()
        most = before
        while any(thread.is_alive() for thread in threads):
            most = max(most, gateway.resident)
            time.sleep(0.005)
        self.assert_bar(most - before, 16 << 20)

    def test_who_sends_no_more_is_waited_for_as_long_as_for_a_body(self):
        gateway = self.served(top="limits { body_timeout 500ms; }\n")
        with RawClient(gateway.plain) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: {SIZE}\r\n\r\n")
            self.assert_problem(client.read_response(), 413, closes=True)
            self.assert_closed(client)
            for _ in range(10):
                time.sleep(0.2)
                client.send("x" * 1000)
            self.assertEqual(gateway.metrics().sum("gateway_connections"), 1)
            self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "the end", 2)
        self.assertEqual(self.ended(gateway, "time"), 1)

    def test_more_than_a_bound_is_not_read(self):
        gateway = self.served()
        with RawClient(gateway.plain) as client:
            client.send("POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: 1000000000\r\n\r\n")
            sent = 0
            try:
                while sent < 1_000_000_000:
                    sent += client.socket.send(b"x" * (1 << 20))
            except OSError:
                pass
        # With what the two kernels keep.
        self.assertGreater(sent, 64 << 20)
        self.assertLess(sent, 80 << 20)
        self.until(lambda: self.ended(gateway, "bytes") == 1, "it counted")

    def test_drips_come_to_an_end(self):
        """A body that drips, and what drips behind a refusal: a byte before each timeout."""
        gateway = self.served(lambda peer: peer.read_request())
        began = time.monotonic()
        head = "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000000\r\n\r\n"
        body, refused, fast, tunnel = (self.connect(gateway.plain) for _ in range(4))
        body.send(head % "open.test")
        fast.send(head % "open.test")
        refused.send(head % "small.test")
        self.assert_problem(refused.read_response(), 413, closes=True)
        taken = {}
        while time.monotonic() - began < 40 and len(taken) < 2:
            time.sleep(0.25)
            fast.send(b"x" * 50)
            for name, client in (("body", body), ("refused", refused)):
                try:
                    client.send(b"x")
                except OSError:
                    taken.setdefault(name, time.monotonic() - began)
                if name == "body" and not client.is_open_and_quiet(0):
                    taken.setdefault(name, time.monotonic() - began)
        self.assertEqual(set(taken), {"body", "refused"})
        for name, seconds in taken.items():
            self.assertTrue(29 < seconds < 35, f"{name} after {seconds:.1f} s")
        self.assert_problem(body.read_response(), 408, "timeout", closes=True)
        self.assertTrue(fast.is_open_and_quiet())

    def test_who_asks_first_has_the_answer_at_once_and_the_connection_ends(self):
        gateway = self.served()
        for host, status in (("small.test", 413), ("keys.test", 401), ("nobody.test", 421)):
            with self.subTest(host=host), RawClient(gateway.plain) as client:
                client.send(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {SIZE}\r\nExpect: 100-continue\r\n\r\n")
                response = client.read_response()
                self.assertEqual((response.status, response.interim), (status, []))
                self.assert_closed(client)
                # Nobody sends a body, but for those who do not wait: a second is enough to tell.
                self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "the end", 2)
        self.assertEqual([self.ended(gateway, how) for how in ("whole", "bytes", "time")], [3, 0, 0])

    def test_who_asks_and_does_not_wait_is_read_on(self):
        gateway = self.served()
        self.assertEqual(self.post(gateway, "small.test", fields={"Expect": "100-continue"}).status, 413)

    def test_who_is_refused_takes_no_turns_of_others(self):
        gateway = self.served()
        stop = threading.Event()

        def flood():
            while not stop.is_set():
                try:
                    with RawClient(gateway.plain) as client:
                        client.send(f"POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: {1 << 40}\r\n\r\n")
                        while not stop.is_set():
                            client.socket.send(b"x" * (1 << 20))
                except OSError:
                    pass

        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        waits = []
        try:
            with RawClient(gateway.plain) as client:
                for _ in range(100):
                    began = time.monotonic()
                    self.assertEqual(client.request("GET", "/", "open.test").status, 200)
                    waits.append(time.monotonic() - began)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assert_bar(sorted(waits)[50], 0.1, waits)

    def test_a_drain_does_not_wait_for_them(self):
        gateway = self.served()
        with RawClient(gateway.plain) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: {SIZE}\r\n\r\n")
            self.assert_problem(client.read_response(), 413)
            began = time.monotonic()
            gateway.stop()
            self.assertLess(time.monotonic() - began, 2.5)

    def test_a_tenants_fields_stand_on_every_refusal_of_it(self):
        gateway = self.served()
        for host in ("slow.test", "full.test"):
            self.assertEqual(self.get(gateway, host=host)["x-wanted"], "yes")
        body = {"body": b"x" * (1 << 20) + b"x"}
        for host, options, status in (
            ("keys.test", {}, 401),
            ("keys.test", {"fields": [("X-API-Key", "no")]}, 401),
            ("keys.test", {"fields": [("X-API-Key", "a"), ("X-API-Key", "b")]}, 400),
            ("open.test", {"fields": [("X-API-Key", "gw_")], "target": "/a/..%2fb"}, 400),
            ("open.test", {"target": "/%zz/..%2fb"}, 400),
            ("slow.test", {}, 429),
            ("full.test", {}, 429),
            ("out.test", {}, 403),
            ("small.test", body, 413),
            ("small.test", body | {"chunked": True}, 413),
            ("dead.test", {}, 502),
            ("unhealthy.test", {}, 503),
        ):
            with self.subTest(host=host, options=str(options)[:80]):
                response = self.get(gateway, host=host, **options)
                self.assertEqual((response.status, response["x-wanted"]), (status, "yes"))
        for target, wanted in (("/", "tenant"), ("/r/x", "route")):
            response = self.get(gateway, target, "routed.test", body=b"x" * 2000)
            self.assertEqual((response.status, response["x-wanted"]), (413, wanted))
        # Nobody's host is no tenant's.
        self.assertIsNone(self.get(gateway, host="nobody.test")["x-wanted"])
