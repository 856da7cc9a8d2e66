"""What no machine is spared: a network that is cut, five times what can be served, and connections without end.

Short ones; with GATEWAY_LONG=1 as long, and as many, as a production day brings."""

import os
import resource
import subprocess
import sys
import time

from Support.case import Case
from Support.load import Load
from Support.network import Network
from Support.offer import Offer
from Support.upstream import answer, text

LONG = os.environ.get("GATEWAY_LONG") == "1"
ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"


class Cut(Case):
    """The network between the gateway and a server is cut: nothing arrives, and nobody is told."""

    seconds = 60
    TIME = 10 if LONG else 3

    def network(self):
        try:
            network = Network()
        except OSError as error:
            self.skipTest(f"no network of its own here: {error}")
        self.addCleanup(network.close)
        return network

    def test_one_of_two_servers_fails_nothing(self):
        """Detection: response_timeout for what was on its way, connect_timeout for a new connection. Until then requests wait."""
        network = self.network()
        gateway = self.gateway(
            "upstream app { server " + f"{network.there}:{network.server('far')}; server 127.0.0.1:$near; "
            "connect_timeout 1s; response_timeout 300ms; eject failures=3 for=1s; "
            "retry tries=3 on=connect,reset,timeout budget=100%; }\n" + ACME,
            near=self.upstream(answer(text("near")), record=False))
        with Load(gateway.plain, connections=6, pause=0.005) as load:
            time.sleep(0.5)
            network.cut()
            time.sleep(self.TIME)
            network.mend()
            time.sleep(0.5)
            far = lambda: self.get(gateway).body == b"far"
            self.until(far, "the far server to be asked again", 15)
        print(f"     {load.count} requests, the slowest {max(load.latencies):.2f} s", flush=True)
        self.assertEqual(load.failures, [])
        self.assertLess(max(load.latencies), 1.5)

    def test_the_only_server_is_back_at_once(self):
        """While it is away requests end in time, with 502, 503 or 504; a second after it is back they succeed again."""
        network = self.network()
        gateway = self.gateway(
            "upstream app { server " + f"{network.there}:{network.server('far')}; "
            "connect_timeout 500ms; response_timeout 500ms; }\n" + ACME)
        statuses, slowest = [], 0
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        network.cut()
        began = time.monotonic()
        while time.monotonic() < began + self.TIME:
            asked = time.monotonic()
            statuses.append(client.request("GET", "/", "acme.test").status)
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.02)
        self.assertLessEqual(set(statuses), {502, 503, 504})
        self.assertLess(slowest, 1.5)
        network.mend()
        mended = time.monotonic()
        self.until(lambda: self.get(gateway).status == 200, "service again", 5)
        took = time.monotonic() - mended
        print(f"     {len(statuses)} failed while it was cut, the slowest in {slowest:.2f} s; back after {took:.2f} s", flush=True)
        self.assertLess(took, 1.5)
        self.assertEqual({self.get(gateway).status for _ in range(20)}, {200})


class Overload(Case):
    """Five times what the upstream can take is offered: what it can take is served."""

    seconds = 150
    TIME = 60 if LONG else 5

    def served(self, gateway, seconds, rate, connections):
        offer = Offer(gateway.plain, [("acme.test", rate, connections)], seconds)
        self.addCleanup(offer.stop)
        return offer.wait()["acme.test"]["statuses"]

    def test_goodput_memory_and_recovery(self):
        def behaviour(peer):
            while peer.read_request():
                time.sleep(0.04)
                peer.send(text("ok"))

        gateway = self.simple(
            self.upstream(behaviour, record=False), block="max_connections 8; queue size=16 timeout=500ms;")
        for last in (False, False, True):
            try:
                return self.strain(gateway)
            except AssertionError:
                # A machine that does something else for a moment serves less in it.
                if last:
                    raise

    def strain(self, gateway):
        # Eight at once of 40 ms each are at most 200 a second.
        self.served(gateway, 1, 240, 24)
        peak = self.served(gateway, 2, 240, 24)[200] / 2
        self.served(gateway, 1, 1000, 200)
        before = gateway.resident
        statuses = self.served(gateway, self.TIME, 1000, 200)
        growth = gateway.resident - before
        goodput = statuses[200] / self.TIME
        time.sleep(0.5)
        with Load(gateway.plain, connections=2) as after:
            time.sleep(0.5)
        print(f"     peak {peak:.0f}/s, of five times that {goodput:.0f}/s served, {statuses}, memory {growth >> 10:+} KiB, "
              f"then {after.percentile(0.99) * 1000:.0f} ms", flush=True)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertGreater(goodput, 0.9 * peak)
        self.assert_bar(growth, 2 << 20, "memory grows under overload")
        self.assertEqual(after.failures, [])
        self.assertLess(after.percentile(0.99), 0.15)


HOLD = """
import resource, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
kept = []
for number in range(count):
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: acme.test\\r\\n\\r\\n")
    kept.append(client)
    if number % 50 == 49 or number == count - 1:
        for one in kept[number // 50 * 50:]:
            assert one.recv(4096).startswith(b"HTTP/1.1 200"), number
print("all", flush=True)
sys.stdin.readline()
for one in kept:
    one.sendall(b"GET / HTTP/1.1\\r\\nHost: acme.test\\r\\n\\r\\n")
    assert one.recv(4096).startswith(b"HTTP/1.1 200")
print("again", flush=True)
sys.stdin.readline()
"""


class Idle(Case):
    seconds = 120

    def test_many_idle_connections_cost_memory_alone(self):
        """Twenty thousand with GATEWAY_LONG=1, or as many as this machine gives descriptors for."""
        wanted = 20_000 if LONG else 2_000
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3 * wanted, max(3 * wanted, limits[1])))
        except (ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        count = min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 500)
        gateway = self.simple(self.upstream(record=False), top="limits { idle_timeout 10m; address_connections 100000; }\n")
        self.assertEqual(self.get(gateway).status, 200)
        before = gateway.resident
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(gateway.plain), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "all\n")
        each = (gateway.resident - before) / count
        used, began = gateway.cpu, time.monotonic()
        with Load(gateway.plain, connections=1, pause=0.01) as load:
            time.sleep(1)
        busy = (gateway.cpu - used) / (time.monotonic() - began)
        print(f"     {count} idle: {each / 1024:.1f} KiB each; beside them p99 {load.percentile(0.99) * 1000:.1f} ms, "
              f"{busy * 100:.0f} % of a processor", flush=True)
        self.assertEqual(load.failures, [])
        self.assert_bar(each, 6 << 10)
        self.assertLess(busy, 0.5)
        # Every one of them is served again, and leaves nothing behind.
        child.stdin.write("\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), "again\n")
        child.stdin.close()
        self.until(lambda: gateway.descriptors < 200, "their descriptors to be given back", 20)
