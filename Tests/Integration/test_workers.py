"""`workers` by reload: event loops come and go under load, and no request, connection or count is lost by it."""

import os
import resource
import subprocess
import sys
import time

from Support import h2
from Support.books import Clients, Seen, settle
from Support.case import Case
from Support.gateway import BINARY
from Support.load import Load
from test_upgrade import ASK, FAST, H2Load, Resuming, Sockets

APP = (
    "upstream app { server 127.0.0.1:$app; $block }\n"
    "tenant acme { host acme.test; authenticate none; upstream app; quota 1000000000/month; concurrency 100; }\n"
)


class Workers(Case):
    seconds = 60

    def served(self, configuration, upstream, workers, block="", **options):
        gateway = self.gateway(configuration.replace("$block", block), workers=workers, app=upstream, **options)
        self.configuration = configuration.replace("$block", block)
        return gateway

    def set(self, gateway, workers):
        gateway.write(self.configuration, workers=workers)
        return gateway.reload()

    def sockets(self, port):
        """How many sockets listen there."""
        with open("/proc/net/tcp") as file:
            return sum(f":{port:04X} " in line and " 0A " in line for line in file)

    def threads(self, gateway):
        count = 0
        for task in os.listdir(f"/proc/{gateway.pid}/task"):
            with open(f"/proc/{gateway.pid}/task/{task}/comm") as file:
                count += file.read().startswith("worker-")
        return count

    def requests(self, gateway):
        return sum(value for _, value in gateway.metrics().samples("gateway_requests_total"))

    def test_up_and_down_under_load(self):
        seen = Sockets()
        gateway = self.served(
            FAST + self.tls_listener(self.leaf("acme.test")) + APP, self.upstream(seen, record=False), 1)
        socket = self.connect(gateway.plain)
        socket.send(ASK)
        self.assertEqual(socket.read_head().status, 101)
        counts, threads = [], []
        with (
            Clients(gateway.plain, 4, pause=0.005) as kept,
            Load(gateway.plain, target="/fresh", connections=2, fresh=True, pause=0.002) as fresh,
            Load(gateway.tls, target="/kept-tls", connections=1, pause=0.005,
                 tls=self.authority.context(alpn=()), sni="acme.test") as secure,
            Resuming(gateway.tls, self.authority.context(alpn=())) as resuming,
            H2Load(gateway.plain) as streams,
        ):
            for number, workers in enumerate([4, 2, 8, 1] * 2):
                said = self.set(gateway, workers)
                time.sleep(0.25)
                socket.send(f"{number:04}")
                self.assertEqual(socket.stream.exactly(4), f"{number:04}".encode())
                counts.append(self.requests(gateway))
                threads.append(self.threads(gateway))
        self.assertIn("workers: 1 instead of 8", gateway.stderr)
        print(f"     {kept.all_sent} kept, {fresh.count} fresh, {secure.count} kept over TLS, {resuming.count} handshakes "
              f"({resuming.full} not resumed), {streams.count} by HTTP/2; threads {threads}", flush=True)
        self.assertEqual((fresh.failures, secure.failures, resuming.failures, streams.failures), ([], [], [], []))
        self.assertEqual(kept.answered(200), kept.all_sent)
        # What a worker has counted stays when it rests; a second round takes no more than the first.
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(threads[3:], [8] * 5)
        socket.close()
        figures = settle(gateway)
        sent = kept.all_sent + fresh.count + secure.count + resuming.count + streams.count + 1
        self.assertEqual((figures["admitted"], figures["settled"]), (sent, sent))
        self.until(lambda: gateway.json("/v1/tenants/acme")["live"]["in_flight"] == 0, "nothing in flight", 5)
        gateway.stop()

    def test_who_is_left_is_told_and_all_goes_back(self):
        gateway = self.served(APP, self.upstream(Sockets()), 4, block="max_connections 8;")
        kept = [self.connect(gateway.plain) for _ in range(24)]
        for client in kept:
            self.assertTrue(client.request("GET", "/", "acme.test").keeps_alive)
        streams = [h2.Client(gateway.plain) for _ in range(8)]
        for client in streams:
            self.addCleanup(client.close)
            self.assertEqual(client.get().status, 200)
        before = gateway.descriptors
        self.set(gateway, 1)
        # Those of the one that stays go on, all others have one more answer.
        last = [client.request("GET", "/", "acme.test") for client in kept]
        self.assertEqual({answer.status for answer in last}, {200})
        told = [client for client, answer in zip(kept, last) if not answer.keeps_alive]
        self.assertGreater(len(told), 0)
        for client in told:
            self.assert_closed(client)
        for client in streams:
            self.assertEqual(client.get().status, 200)
        # No connection to the server, nor any place for one, is held by one that rests.
        open_now = lambda: sum(value for labels, value in gateway.metrics().samples("gateway_upstream_connections"))
        for client in kept + streams:
            client.close()
        self.until(lambda: gateway.descriptors < before, "what was theirs to be closed")
        with Clients(gateway.plain, 16) as clients:
            self.until(lambda: open_now() == 8, "all places to be had by the one that serves")
        self.assertEqual(clients.answered(200), clients.all_sent)
        # And the other way: one that has rested keeps connections again.
        self.set(gateway, 4)
        with Clients(gateway.plain, 16):
            self.until(lambda: open_now() == 8, "all places to be used again")
        again = [self.connect(gateway.plain) for _ in range(24)]
        for _ in range(2):
            self.assertTrue(all(client.request("GET", "/", "acme.test").keeps_alive for client in again))

    def test_no_connection_attempt_is_lost(self):
        gateway = self.served(APP, self.upstream(Seen(), record=False), 8)
        with Load(gateway.plain, connections=8, fresh=True) as load:
            for workers in [1, 8, 3, 5] * 4:
                self.set(gateway, workers)
        print(f"     {load.count} connections, {self.sockets(gateway.plain)} sockets", flush=True)
        self.assertEqual(load.failures, [])
        self.assertLessEqual(self.sockets(gateway.plain), 4 * 8)

    def test_listeners_and_workers_change_at_once(self):
        gateway = self.served(APP, self.upstream(), 3)
        self.configuration = "listen 127.0.0.1:$tls;\n" + APP.replace("$block", "")
        self.set(gateway, 5)
        self.assertEqual((self.sockets(gateway.plain), self.sockets(gateway.tls)), (5, 5))
        self.configuration = APP.replace("$block", "")
        self.set(gateway, 2)
        self.assertEqual(self.sockets(gateway.tls), 0)
        for _ in range(10):
            self.assertEqual(self.get(gateway).status, 200)

    def test_a_socket_that_nobody_may_join_is_shared(self):
        gateway = self.served(APP, self.upstream(), 1, start=False)
        # As systemd binds one: without SO_REUSEPORT.
        starter = (
            "import os, socket, sys\n"
            "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
            f"s.bind(('127.0.0.1', {gateway.plain})); s.listen(128)\n"
            "os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
            f"os.execv({BINARY!r}, ['gateway', 'run', '-c', {gateway.file!r}])\n"
        )
        gateway._err = open(os.path.join(gateway.folder, "stderr"), "ab")
        gateway._out = open(os.path.join(gateway.folder, "stdout"), "ab")
        gateway.process = subprocess.Popen(
            [sys.executable, "-c", starter], cwd=gateway.folder, stdout=gateway._out, stderr=gateway._err)
        gateway.wait_ready()
        with Load(gateway.plain, connections=2, fresh=True) as load:
            for workers in (4, 1, 2):
                self.set(gateway, workers)
                time.sleep(0.1)
        self.assertEqual(load.failures, [])
        self.assertEqual(self.sockets(gateway.plain), 1)

    def test_an_end_and_an_upgrade_with_workers_that_rest(self):
        gateway = self.served(FAST + APP, self.upstream(), 4)
        self.set(gateway, 2)
        with Load(gateway.plain, fresh=True, connections=2) as load:
            done = gateway.command("upgrade", "-c", gateway.file, within=30)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(load.failures, [])
        self.assertEqual(gateway.wait(), 0)
        self.assertEqual(self.sockets(gateway.plain), 4)
        self.set(gateway, 3)
        self.assertEqual(self.get(gateway).status, 200)
        with open(os.path.join(gateway.folder, "state", "running")) as file:
            os.kill(int(file.read().split()[0]), 15)
        self.until(lambda: "stopped" in gateway.stderr.split("drained")[-1], "the end")

    def test_one_that_has_no_room_is_refused(self):
        gateway = self.served(APP, self.upstream(), 1)
        limit = len(os.listdir(f"/proc/{gateway.pid}/fd")) + 12
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (limit, limit))
        gateway.write(self.configuration, workers=64)
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(self.get(gateway).status, 200)
        # Those that were made ahead are there for the next one.
        self.set(gateway, 2)
        self.assertEqual(self.get(gateway).status, 200)
