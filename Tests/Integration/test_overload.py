"""What the gateway gives up under load, in which order, and what a client address may have."""

import resource
import socket
import time

from Support import h2
from Support.case import Case
from Support.client import RawClient
from Support.upstream import text
from Support.wire import Truncated

SHED = "gateway_shed_total"


class Overload(Case):
    """Of 400 descriptors, where a test says no more, stage 1 begins with 200, stage 2 with 300, stage 3 with 350."""

    seconds = 60

    def slow(self, peer):
        while request := peer.read_request():
            if request.target == "/slow":
                time.sleep(4)
            peer.send(text("ok"))

    def two(self, memory="64g"):
        gateway = self.gateway(
            "overload { memory $memory; descriptors 50%; lag 60s; }\nlimits { header_timeout 60s; }\n"
            "upstream app { server 127.0.0.1:$up; }\ntenant acme { host acme.test; authenticate none; upstream app; }\n"
            "tenant globex { host globex.test; authenticate none; upstream app; }\n",
            up=self.upstream(self.slow), memory=memory)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (400, 400))
        return gateway

    def hold(self, gateway, open_ones):
        """Clients in the middle of a head, until the process has so many descriptors open."""
        held = []
        for _ in range(open_ones - gateway.descriptors):
            client = socket.create_connection(("127.0.0.1", gateway.plain))
            self.addCleanup(client.close)
            client.sendall(b"GET / HTTP/1.1\r\n")
            held.append(client)
        return held

    def let_go(self, gateway, held):
        for client in held:
            client.close()
        self.stage(gateway, 0)
        self.assertIn("overload: over", gateway.stderr)

    def stage(self, gateway, stage, within=8):
        self.until(lambda: gateway.metrics().sum("gateway_overload_stage") == stage, f"stage {stage}", within)
        # Workers look ten times a second.
        time.sleep(0.3)

    def test_stage_1_keeps_no_new_connection_and_ends_idle_ones(self):
        gateway = self.two()
        idle = [self.connect(gateway.plain) for _ in range(4)]
        for client in idle:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        held = self.hold(gateway, 250)
        self.stage(gateway, 1)
        self.assertIn("overload: stage 1 (descriptors: ", gateway.stderr)
        self.assertFalse(self.get(gateway).keeps_alive)
        for client in idle:
            self.assert_closed(client)
        self.assertGreaterEqual(gateway.metrics().sum(SHED, tenant="_none", reason="idle"), 4)
        with h2.Client(gateway.plain) as client:
            self.assertEqual(client.get("/").status, 200)
            client.until(lambda: client.goaway)
        self.let_go(gateway, held)
        self.assertTrue(self.get(gateway).keeps_alive)

    def test_a_connection_that_was_kept_before_goes_on(self):
        gateway = self.two()
        with self.connect(gateway.plain) as client:
            client.request("GET", "/", "acme.test")
            client.send("GET /slow HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.hold(gateway, 250)
            self.stage(gateway, 1)
            answer = client.read_response()
            self.assertEqual((answer.status, answer.keeps_alive), (200, True))

    def test_stage_2_refuses_who_has_more_than_his_share(self):
        gateway = self.two()
        clients = [self.connect(gateway.plain) for _ in range(40)]
        other = self.connect(gateway.plain)
        for client in clients:
            client.request("GET", "/", "acme.test")
        self.assertEqual(other.request("GET", "/", "globex.test").status, 200)
        for client in clients[1:]:
            client.send("GET /slow HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        time.sleep(0.3)
        held = self.hold(gateway, 308)
        self.stage(gateway, 2)
        time.sleep(1)
        # One of the flood's, on whichever of two workers it is, and one of the other tenant's.
        refused = [self.get(gateway) for _ in range(6)]
        self.assertIn(503, [answer.status for answer in refused])
        self.assert_problem(next(answer for answer in refused if answer.status == 503), 503, "overloaded")
        for _ in range(6):
            self.assertEqual(self.get(gateway, host="globex.test").status, 200)
        metrics = gateway.metrics()
        self.assertGreaterEqual(metrics.sum(SHED, tenant="acme", reason="descriptors"), 1)
        self.assertEqual(metrics.sum(SHED, tenant="globex"), 0)
        self.assertGreaterEqual(metrics.sum("gateway_refused_total", tenant="acme", reason="overloaded"), 1)
        for client in clients[1:]:
            self.assertEqual(client.read_response().status, 200)
        self.let_go(gateway, held)
        self.until(lambda: all(self.get(gateway).status == 200 for _ in range(6)), "the tenant let in again", 5)

    def test_stage_3_leaves_new_connections_in_the_kernel(self):
        gateway = self.two(memory="1m")
        self.stage(gateway, 3)
        self.assertIn("overload: stage 3 (memory: ", gateway.stderr)
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertTrue(client.is_open_and_quiet(1))
        # The admin listener answers in every stage.
        self.assertEqual(gateway.get("/healthz")[0], 200)
        self.assertEqual(gateway.get("/readyz")[0], 200)
        with open(gateway.file) as file:
            text = file.read().replace("memory 1m;", "memory 64g;")
        with open(gateway.file, "w") as file:
            file.write(text)
        self.assertIn("overload: changed (memory)", gateway.reload())
        # What has waited is served.
        self.assertEqual(client.read_response().status, 200)
        self.stage(gateway, 0)


class Addresses(Case):
    seconds = 30

    def limited(self, limits, top="", **options):
        return self.gateway(
            f"{top}limits {{ {limits} }}\n" + self.tls_listener(self.leaf("acme.test")) + "upstream app { server 127.0.0.1:$up; }\ntenant acme { host acme.test; authenticate none; upstream app; }\n",
            up=self.upstream(), **options)

    def is_let_in(self, gateway):
        """A new client, which may be reset before it has connected."""
        try:
            return self.is_open(self.connect(gateway.plain))
        except OSError:
            return False

    def is_open(self, client):
        try:
            return client.request("GET", "/", "acme.test").status == 200
        except (OSError, Truncated):
            return False

    def secure(self, gateway):
        with RawClient(gateway.tls, tls=self.authority.context(), sni="acme.test") as client:
            return client.request("GET", "/", "acme.test")

    def test_connections(self):
        gateway = self.limited("address_connections 5;")
        clients = [self.connect(gateway.plain) for _ in range(5)]
        self.assertTrue(all(self.is_open(client) for client in clients))
        self.assertFalse(self.is_let_in(gateway))
        self.assertEqual(gateway.metrics().sum(SHED, tenant="_none", reason="address_connections"), 1)
        self.until(lambda: "address_connections allows" in gateway.stderr, "the word on it")
        clients[0].close()
        self.until(lambda: self.is_let_in(gateway), "the place of the one that has gone")

    def test_handshakes(self):
        gateway = self.limited("address_handshakes 3/m;")
        for _ in range(3):
            self.assertEqual(self.secure(gateway).status, 200)
        with self.assertRaises(OSError):
            self.secure(gateway)
        self.assertEqual(gateway.metrics().sum(SHED, tenant="_none", reason="address_handshakes"), 1)
        # Without TLS there is none.
        self.assertEqual(self.get(gateway, host="acme.test").status, 200)

    def test_trusted_proxies_are_excepted(self):
        gateway = self.limited("address_connections 1; address_handshakes 1/h;", top="trusted_proxies 127.0.0.1;\n")
        clients = [self.connect(gateway.plain) for _ in range(5)]
        self.assertTrue(all(self.is_open(client) for client in clients))
        for _ in range(3):
            self.assertEqual(self.secure(gateway).status, 200)

    def test_this_machine_is_excepted_by_default(self):
        gateway = self.limited("max_connections 3000;")
        held = [socket.create_connection(("127.0.0.1", gateway.plain)) for _ in range(1100)]
        self.addCleanup(lambda: [one.close() for one in held])
        self.assertEqual(self.get(gateway, host="acme.test").status, 200)
        self.assertEqual(gateway.metrics().sum(SHED), 0)
