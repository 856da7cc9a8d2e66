"""`gateway upgrade` and USR2: another process takes over sockets, sessions, meters and ledger, and nobody notices."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from Support import h2
from Support.books import Clients, Seen, assert_ids_are_unique, settle, usage
from Support.case import SANITIZED, Case
from Support.client import RawClient
from Support.gateway import BINARY, CRASH
from Support.load import Load
from Support.ports import free_port
from Support.upstream import text

FAST = "ledger_interval 100ms;\n"
ASK = (
    "GET /socket HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class H2Load:
    """Requests over one kept HTTP/2 connection after another: a new one once the gateway has said that it goes."""

    def __init__(self, port):
        self.port, self.count, self.failures = port, 0, []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join(15)

    def _run(self):
        client = None
        while not self._ending.is_set():
            try:
                if client is None:
                    client = h2.Client(self.port)
                answer = client.get(f"/h2/{self.count}")
                self.count += 1
                if answer.status != 200:
                    self.failures.append(answer.status)
                if client.goaway:
                    client.close()
                    client = None
            except Exception as error:  # whatever it is, a request failed
                self.failures.append(repr(error))
                client = None
                if len(self.failures) > 20:
                    return
        if client:
            client.close()


class Resuming:
    """TLS handshakes one after the other, each with the session of the one before."""

    def __init__(self, port, context):
        self.port, self.context, self.count, self.full, self.failures = port, context, 0, 0, []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    __enter__ = H2Load.__enter__
    __exit__ = H2Load.__exit__

    def _run(self):
        session = None
        while not self._ending.is_set():
            try:
                with RawClient(self.port, tls=self.context, sni="acme.test", session=session) as client:
                    response = client.request("GET", f"/tls/{self.count}", "acme.test")
                    self.count += 1
                    if response.status != 200:
                        self.failures.append(repr(response))
                    if session is not None and not client.socket.session_reused:
                        self.full += 1
                    session = client.socket.session
            except Exception as error:
                self.failures.append(repr(error))
                if len(self.failures) > 20:
                    return


class Sockets(Seen):
    """Answers, and echoes what comes on an upgraded connection."""

    def __call__(self, peer):
        while request := peer.read_request():
            self.targets.add(request.target)
            if request.target.startswith("/socket"):
                peer.send(SWITCH)
                while peer.stream.buffer or peer.stream.fill():
                    peer.send(peer.stream.take(len(peer.stream.buffer)))
                return
            if request.target.startswith("/slow"):
                time.sleep(1.5)
            peer.send(text("ok"))


class Upgrade(Case):
    seconds = 60

    # --- processes

    def gateway(self, *arguments, **options):
        gateway = super().gateway(*arguments, **options)
        self.addCleanup(self.end_all, gateway)
        return gateway

    def processes(self, gateway):
        """Every process of this gateway's configuration that is not a zombie."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/cmdline") as file:
                        words = file.read().split("\0")
                except OSError:
                    continue
                if gateway.file in words and "run" in words:
                    found.append(int(name))
        return sorted(found)

    def end_all(self, gateway):
        """In order, the newest too; none may have said anything that looks like a crash."""
        for number, patience in ((signal.SIGTERM, 8), (signal.SIGKILL, 2)):
            for pid in self.processes(gateway):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + patience
            while self.processes(gateway) and time.monotonic() < deadline:
                if gateway.process is not None:
                    gateway.process.poll()
                time.sleep(0.02)
        self.assertEqual(self.processes(gateway), [])
        self.assertIsNone(CRASH.search(gateway.stderr), gateway.stderr)

    def running(self, gateway):
        with open(os.path.join(gateway.folder, "state", "running")) as file:
            return int(file.read().split()[0])

    def ended(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def upgrade(self, gateway):
        """`gateway upgrade`. The new process."""
        before = self.running(gateway)
        done = gateway.command("upgrade", "-c", gateway.file, within=90)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + gateway.stderr)
        pid = self.running(gateway)
        self.assertNotEqual(pid, before)
        self.assertEqual(done.stdout, f"process {pid} has taken over from process {before}\n")
        return pid

    def refused(self, gateway, *words):
        """`gateway upgrade` that changes nothing, and says why in these words."""
        before = self.running(gateway)
        done = gateway.command("upgrade", "-c", gateway.file, within=90)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(self.running(gateway), before)
        self.assertEqual(self.get(gateway).status, 200)
        # Nothing of it is left.
        self.until(lambda: self.processes(gateway) == [before], "the new process to end", 5)

    def own_binary(self, gateway):
        """A place of its own for the binary, so that it can be replaced."""
        place = os.path.join(gateway.folder, "gateway-binary")
        os.symlink(BINARY, place)
        gateway.start(program=place)
        return place

    def replace(self, place, script):
        with open(place + ".new", "w") as out:
            out.write("#!/bin/sh\n" + script)
        os.chmod(place + ".new", 0o755)
        os.replace(place + ".new", place)

    def web_socket(self, gateway):
        client = self.connect(gateway.plain)
        client.send(ASK)
        self.assertEqual(client.read_head().status, 101)
        return client

    def echo(self, client, number):
        client.send(f"{number:04}")
        self.assertEqual(client.stream.exactly(4), f"{number:04}".encode())

    # --- it works

    def test_many_upgrades_under_load(self):
        seen = Sockets()
        gateway = self.simple(
            self.upstream(seen, record=False), "quota 1000000000/month; concurrency 100;",
            top=FAST + self.tls_listener(self.leaf("acme.test")))
        socket = self.web_socket(gateway)
        rounds = 5 if SANITIZED else 20
        with (
            Clients(gateway.plain, 4, pause=0.005) as kept,
            Load(gateway.plain, target="/fresh", connections=2, fresh=True, pause=0.005) as fresh,
            Load(gateway.tls, target="/kept-tls", connections=1, pause=0.005,
                 tls=self.authority.context(alpn=()), sni="acme.test") as secure,
            Resuming(gateway.tls, self.authority.context(alpn=())) as resuming,
            H2Load(gateway.plain) as streams,
        ):
            for number in range(rounds):
                pid = self.upgrade(gateway)
                self.echo(socket, number)
                self.assertEqual(gateway.json("/v1/tenants/acme")["id"], "acme")
            time.sleep(0.5)
        print(f"     {rounds} upgrades: {kept.all_sent} kept, {fresh.count} fresh, {secure.count} kept over TLS, {resuming.count} "
              f"handshakes ({resuming.full} not resumed), {streams.count} by HTTP/2", flush=True)
        self.assertEqual((fresh.failures, secure.failures, resuming.failures, streams.failures), ([], [], [], []))
        self.assertEqual(resuming.full, 0)
        self.assertEqual(kept.answered(200), kept.all_sent)
        # The first process holds the tunnel; those between have gone.
        self.until(lambda: len(self.processes(gateway)) == 2, "those without a connection to end", 10)
        # An answer may be read before it is settled.
        self.until(lambda: gateway.json("/v1/tenants/acme")["live"]["in_flight"] == 1, "the tunnel alone in flight", 5)
        self.assertIsNone(gateway.process.poll())
        self.echo(socket, 9999)
        socket.close()
        self.assertEqual(gateway.wait(), 0)
        figures = settle(gateway)
        sent = kept.all_sent + fresh.count + secure.count + resuming.count + streams.count + 1
        self.assertEqual((figures["admitted"], figures["settled"]), (sent, sent))
        os.kill(pid, signal.SIGTERM)
        self.until(lambda: self.ended(pid), "the last one to end", 10)
        row = usage(gateway)
        self.assertEqual((row["admitted"], row["settled"]), (sent, sent))
        assert_ids_are_unique(self, os.path.join(gateway.folder, "state", "ledger"))

    def test_by_signal(self):
        gateway = self.simple(self.upstream(), top=FAST)
        before = gateway.pid
        gateway.signal(signal.SIGUSR2)
        self.assertEqual(gateway.wait(20), 0)
        self.assertNotEqual(self.running(gateway), before)
        self.assertEqual(self.get(gateway).status, 200)
        self.assertIn(f"took over from process {before}", gateway.stderr)
        self.assertIn("drained: no request was cut", gateway.stderr)
        # And the admin listener, the ledger: all there at once.
        self.assertEqual(gateway.get("/readyz")[0], 200)
        self.until(lambda: "ledger: taken over" in gateway.stderr, "the ledger", 2)

    def test_signals_in_a_storm(self):
        gateway = self.simple(self.upstream(Seen(), record=False), top=FAST)
        with Load(gateway.plain, fresh=True, connections=2, pause=0.005) as load:
            for _ in range(200):
                try:
                    os.kill(self.running(gateway), signal.SIGUSR2)
                except ProcessLookupError:
                    pass
                time.sleep(0.01)
            self.until(lambda: len(self.processes(gateway)) == 1, "one to serve alone", 20)
        self.assertEqual(load.failures, [])
        self.assertGreater(gateway.stderr.count("took over from"), 1)

    def test_a_kept_connection_is_told_with_its_next_answer(self):
        gateway = self.simple(self.upstream(), top=FAST)
        rests, other = self.connect(gateway.plain), h2.Client(gateway.plain)
        self.addCleanup(other.close)
        self.assertTrue(rests.request("GET", "/", "acme.test").keeps_alive)
        self.assertEqual(other.get().status, 200)
        self.upgrade(gateway)
        other.until(lambda: other.goaway)
        self.assertFalse(rests.is_closed(0.5))
        last = rests.request("GET", "/", "acme.test")
        self.assertEqual((last.status, last.keeps_alive), (200, False))
        self.assert_closed(rests)
        self.assertEqual(gateway.wait(), 0)

    def test_a_connection_that_turns_to_http2_late_is_told_at_once(self):
        gateway = self.simple(self.upstream(), top=FAST)
        late = h2.Client(gateway.plain, hello=False)
        self.addCleanup(late.close)
        accepted = lambda: sum(value for _, value in gateway.metrics().samples("gateway_connections")) == 1
        self.until(accepted, "the connection to be accepted")
        self.upgrade(gateway)
        late.send(h2.PREFACE + h2.frame(h2.SETTINGS))
        self.assertEqual(late.get().status, 200)
        late.until(lambda: late.goaway)
        self.assertEqual(late.end(), 0)
        self.assertEqual(gateway.wait(), 0)

    def test_a_connection_that_rests_ends_with_idle_timeout(self):
        gateway = self.simple(self.upstream(), top=FAST + "limits { idle_timeout 1s; }\n")
        rests = self.connect(gateway.plain)
        self.assertEqual(rests.request("GET", "/", "acme.test").status, 200)
        self.upgrade(gateway)
        self.assertTrue(rests.is_closed(5))
        self.assertEqual(gateway.wait(), 0)

    def test_upgrade_timeout(self):
        gateway = self.simple(self.upstream(Sockets()), "concurrency 5;", top=FAST + "upgrade_timeout 1s;\n")
        client = self.web_socket(gateway)
        self.upgrade(gateway)
        self.assertEqual(gateway.json("/v1/tenants/acme")["live"]["in_flight"], 1)
        self.assertTrue(client.is_closed(5))
        self.assertEqual(gateway.wait(), 0)
        self.assertIn("upgrade_timeout is over: 1 request is cut", gateway.stderr)
        figures = settle(gateway)
        self.assertEqual((figures["admitted"], figures["settled"]), (1, 1))

    def test_what_leaves_counts_with_what_has_come(self):
        gateway = self.simple(self.upstream(Sockets()), "concurrency 3;", top=FAST)
        held = [self.web_socket(gateway)]
        for _ in range(2):
            self.upgrade(gateway)
            held.append(self.web_socket(gateway))
        self.upgrade(gateway)
        self.assertEqual(len(self.processes(gateway)), 4)
        self.assertEqual(self.get(gateway).status, 429)
        held[1].close()
        self.until_served(gateway)
        # One that is killed while it leaves counts until the last one that does has gone.
        gateway.process.kill()
        gateway.process.wait()
        gateway.process = None
        time.sleep(1.5)
        self.assertEqual(gateway.json("/v1/tenants/acme")["live"]["in_flight"], 2)
        held[2].close()
        self.until(lambda: gateway.json("/v1/tenants/acme")["live"]["in_flight"] == 0, "nothing in flight", 5)

    def test_a_limit_holds_over_all_processes(self):
        most, now, lock = [0], [0], threading.Lock()

        def slow(peer):
            while peer.read_request():
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                time.sleep(0.01)
                with lock:
                    now[0] -= 1
                peer.send(text("ok"))

        gateway = self.simple(self.upstream(slow, record=False), "concurrency 3;", top=FAST)
        with Clients(gateway.plain, 8) as clients:
            for _ in range(5):
                self.upgrade(gateway)
                time.sleep(0.2)
        self.assertLessEqual(most[0], 3)
        self.assertEqual(clients.answered(200) + clients.answered(429), clients.all_sent)
        self.assertGreater(clients.answered(200), 100)
        self.assertEqual(settle(gateway)["admitted"], clients.answered(200))

    def test_another_number_of_workers(self):
        gateway = self.simple(self.upstream(Seen(), record=False), top=FAST, workers=4)
        with Load(gateway.plain, fresh=True, connections=3, pause=0.002) as load:
            for workers in (1, 3, 2, 4):
                gateway.write(FAST + "upstream app { server 127.0.0.1:$app; }\n"
                              "tenant acme { host acme.test; authenticate none; upstream app; }\n", workers=workers)
                self.upgrade(gateway)
                self.assertIn(f"({workers} worker", gateway.stderr.rpartition(" serves ")[2])
                time.sleep(0.2)
        self.assertEqual(load.failures, [])

    def test_another_configuration(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, top=FAST + "listen 127.0.0.1:$tls;\n")
        with RawClient(gateway.tls) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        old = gateway.admin
        added = free_port()
        gateway.write(FAST + f"listen 127.0.0.1:{added};\n" + "upstream app { server 127.0.0.1:$app; }\n"
                      "tenant acme { host acme.test; authenticate none; upstream app; }\n")
        waiting = self.connect(gateway.tls)
        self.upgrade(gateway)
        with RawClient(added) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        # What came to the listener that is no more is served; nobody listens there then.
        self.assertEqual(waiting.request("GET", "/", "acme.test").status, 200)
        with self.assertRaises(OSError):
            RawClient(gateway.tls)
        self.assertEqual(gateway.admin, old)

    def test_a_reload_goes_to_the_new_one(self):
        gateway = self.simple(self.upstream(Sockets()), top=FAST)
        client = self.web_socket(gateway)
        self.upgrade(gateway)
        gateway.reload()
        gateway.signal(signal.SIGHUP)
        self.until(lambda: "HUP is for process" in gateway.stderr, "the signal heard")
        gateway.signal(signal.SIGUSR2)
        self.until(lambda: "has taken over already" in gateway.stderr, "the signal heard")
        self.echo(client, 1)
        # TERM ends it as ever: within shutdown_timeout.
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(8), 0)
        self.assertEqual(self.get(gateway).status, 200)

    def test_nothing_else_is_inherited(self):
        gateway = self.simple(self.upstream(Sockets()), top=FAST + self.tls_listener(self.leaf("acme.test")))
        clients = [self.web_socket(gateway) for _ in range(3)]
        first = self.kinds(gateway.pid)
        for number in range(3):
            pid = self.upgrade(gateway)
            # Of the tunnels each has two sockets, of the client and of the server.
            deadline = time.monotonic() + 5
            while self.kinds(pid) != {**first, "socket": first["socket"] - 6} and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(self.kinds(pid), {**first, "socket": first["socket"] - 6})
            for client in clients:
                self.echo(client, number)
            with open(f"/proc/{pid}/environ", "rb") as file:
                names = {entry.split(b"=")[0] for entry in file.read().split(b"\0")}
            with open(f"/proc/{gateway.pid}/environ", "rb") as file:
                self.assertEqual(names, {entry.split(b"=")[0] for entry in file.read().split(b"\0")})

    def test_it_has_the_same_priority(self):
        gateway = self.simple(self.upstream(Sockets()), top=FAST)
        client = self.web_socket(gateway)
        pid = self.upgrade(gateway)
        self.assertEqual(self.priorities(pid), self.priorities(gateway.pid))
        self.echo(client, 1)

    def priorities(self, pid):
        """Of the threads of a process that serve, by their names."""
        found = {}
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{thread}/stat") as file:
                    name, rest = re.fullmatch(r"\d+ \((.*)\) (.*)\n", file.read()).groups()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile: none that serves
            if name.startswith("worker") or int(thread) == pid:
                found["main" if int(thread) == pid else name] = int(rest.split()[16])
        return found

    def kinds(self, pid):
        """How many descriptors of each kind a process has."""
        kinds = {}
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                kind = re.split(r":|\[", os.readlink(f"/proc/{pid}/fd/{name}"))[0]
            except OSError:
                continue
            # The ledger's file of the day is opened with its first line; what is read of a process is its own.
            if not kind.endswith(".jsonl") and not kind.startswith("/proc/"):
                kinds[kind] = kinds.get(kind, 0) + 1
        return kinds

    # --- it does not

    def test_a_binary_that_is_none(self):
        gateway = self.simple(self.upstream(), top=FAST, start=False)
        place = self.own_binary(gateway)
        os.unlink(place)
        self.refused(gateway, "can't start", place)
        self.replace(place, "exit 0")
        os.chmod(place, 0o644)
        self.refused(gateway, "Permission denied")
        self.replace(place, "echo no library >&2; exit 127")
        self.refused(gateway, "no library", "it ended with 127")
        self.replace(place, "kill -SEGV $$")
        self.refused(gateway, "signal 11")
        # And then one that works.
        os.unlink(place)
        os.symlink(BINARY, place)
        self.upgrade(gateway)

    def test_a_binary_that_checks_and_does_not_run(self):
        gateway = self.simple(self.upstream(), top=FAST, start=False)
        place = self.own_binary(gateway)
        with Load(gateway.plain, fresh=True, connections=2, pause=0.002) as load:
            self.replace(place, f'[ "$1" = check ] && exec {BINARY} "$@"\nexit 3')
            self.refused(gateway, "it ended with 3")
            self.replace(place, f'[ "$1" = check ] && exec {BINARY} "$@"\nkill -ABRT $$')
            self.refused(gateway, "signal 6")
        self.assertEqual(load.failures, [])

    def test_a_binary_that_hangs(self):
        gateway = self.simple(self.upstream(), top=FAST, start=False)
        place = self.own_binary(gateway)
        self.replace(place, f'[ "$1" = check ] && exec {BINARY} "$@"\nexec sleep 1000')
        with Load(gateway.plain, fresh=True, connections=2, pause=0.01) as load:
            asked = threading.Thread(target=lambda: self.refused(gateway, "was not ready within 30 s"))
            asked.start()
            self.until(lambda: "upgrade: tries" in gateway.stderr, "the upgrade to begin")
            done = gateway.command("upgrade", "-c", gateway.file)
            self.assertEqual(done.returncode, 1)
            self.assertIn("another upgrade is under way", done.stderr)
            done = gateway.command("reload", "-c", gateway.file)
            self.assertEqual(done.returncode, 1)
            self.assertIn("an upgrade is under way", done.stderr)
            asked.join(50)
        self.assertEqual(load.failures, [])
        self.assertIn("upgrade failed, this gateway goes on", gateway.stderr)

    def test_a_configuration_that_is_wrong(self):
        gateway = self.simple(self.upstream(), top=FAST)
        gateway.write("nonsense;\n")
        self.refused(gateway, "gateway.conf:", "error:", "nonsense")


    def test_another_state_takes_a_start(self):
        gateway = self.simple(self.upstream(), top=FAST)
        with open(gateway.file) as file:
            before = file.read()
        with open(gateway.file, "w") as out:
            out.write(before.replace("state ./state;", "state ./elsewhere;"))
        pid = gateway.pid
        gateway.signal(signal.SIGUSR2)
        self.until(lambda: "that takes a stop and a start" in gateway.stderr, "the refusal", 20)
        self.until(lambda: "upgrade failed, this gateway goes on" in gateway.stderr, "the failure", 5)
        self.assertEqual(self.get(gateway).status, 200)
        self.assertIsNone(gateway.process.poll())
        self.until(lambda: self.processes(gateway) == [pid], "the new process to end", 5)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root and unshare")
    def test_the_first_process_of_a_container_stays(self):
        # With its end the kernel ends all others there: the new one too.
        gateway = self.simple(self.upstream(), top=FAST, start=False)
        gateway.start(
            arguments=["--pid", "--fork", "--mount-proc", "--kill-child", BINARY, "run", "-c", gateway.file], program="unshare"
        )
        done = gateway.command("upgrade", "-c", gateway.file)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("process 1, with whose end its container ends", done.stderr)
        self.assertIn("the process that runs goes on", done.stderr)
        self.assertEqual(self.get(gateway).status, 200)

    def test_take_over_by_hand_is_told(self):
        gateway = self.simple(self.upstream(), top=FAST)
        done = gateway.command("run", "-c", gateway.file, "--take-over")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is for `gateway upgrade` alone", done.stderr)

    # --- somebody is killed

    def test_the_old_one_is_killed_at_any_moment(self):
        for delay in (0.0, 0.05, 0.2, 0.4, 0.8):
            with self.subTest(delay=delay):
                gateway = self.simple(self.upstream(Seen(), record=False), "concurrency 50;", top=FAST)
                with Clients(gateway.plain, 4, pause=0.002) as clients:
                    gateway.signal(signal.SIGUSR2)
                    time.sleep(delay)
                    gateway.process.kill()
                    gateway.process.wait()
                    # Whatever was there of the new one goes on or ends; another start finds everything in order.
                    deadline = time.monotonic() + 5
                    while time.monotonic() < deadline and self.processes(gateway) and not self.serves(gateway):
                        time.sleep(0.05)
                    if not self.processes(gateway):
                        gateway.start()
                    self.until(lambda: self.serves(gateway), "service", 10)
                    time.sleep(0.3)
                figures = settle(gateway)
                self.assertGreaterEqual(figures["admitted"], clients.answered(200))
                self.assertLessEqual(figures["admitted"] - figures["settled"], 4)
                self.end_and_compare(gateway, figures)

    def test_the_new_one_is_killed_while_the_old_one_leaves(self):
        gateway = self.simple(self.upstream(Sockets()), "concurrency 10;", top=FAST)
        client = self.web_socket(gateway)
        pid = self.upgrade(gateway)
        held = self.web_socket(gateway)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: f"process {pid} took over: it was ended by signal 9" in gateway.stderr, "the end to be seen", 5)
        # Another start finds everything free, and what the old one has in flight.
        self.echo(client, 1)
        old = gateway.process
        gateway.start()
        self.assertEqual(self.get(gateway).status, 200)
        self.until(lambda: gateway.json("/v1/tenants/acme")["live"]["in_flight"] == 1, "the tunnel alone in flight", 5)
        self.upgrade(gateway)
        self.echo(client, 2)
        client.close()
        held.close()
        self.assertEqual(old.wait(10), 0)
        self.assertEqual(gateway.wait(), 0)
        figures = settle(gateway)
        self.assertEqual((figures["admitted"], figures["settled"]), (3, 2))

    def test_the_old_one_is_ended_while_it_tries(self):
        gateway = self.simple(self.upstream(), top=FAST, start=False)
        place = self.own_binary(gateway)
        self.replace(place, f'[ "$1" = check ] && exec {BINARY} "$@"\nexec sleep 1000')
        gateway.signal(signal.SIGUSR2)
        self.until(lambda: self.children(gateway.pid), "the new process", 10)
        child = self.children(gateway.pid)[0]
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(), 0)
        self.until(lambda: self.ended(child), "the new process to end", 5)

    def children(self, pid):
        """Those that sleep."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat") as file:
                        fields = file.read().rpartition(")")
                    if int(fields[2].split()[1]) == pid and fields[0].endswith("(sleep"):
                        found.append(int(name))
                except OSError:
                    pass
        return found

    def test_the_new_one_is_killed_before_it_is_ready(self):
        gateway = self.simple(self.upstream(Seen(), record=False), top=FAST, start=False)
        place = self.own_binary(gateway)
        pid = gateway.pid
        with Load(gateway.plain, fresh=True, connections=2, pause=0.002) as load:
            for delay in (0.0, 0.02, 0.05):
                self.replace(place, f'[ "$1" = check ] && exec {BINARY} "$@"\n'
                             f'(sleep {delay}; kill -9 $$) &\nexec {BINARY} "$@"')
                gateway.command("upgrade", "-c", gateway.file)
                self.until(lambda: self.processes(gateway) in ([pid], []), "the new one to end", 5)
                if self.processes(gateway) == []:
                    return  # it was ready before
        self.assertEqual(load.failures, [])
        self.assertEqual(self.get(gateway).status, 200)

    def serves(self, gateway):
        try:
            return self.get(gateway).status == 200 and gateway.get("/readyz")[0] == 200
        except Exception:
            return False

    def end_and_compare(self, gateway, figures):
        for pid in self.processes(gateway):
            os.kill(pid, signal.SIGTERM)
        self.until(lambda: all(self.ended(pid) for pid in self.processes(gateway)), "all to end", 10)
        gateway.process.poll()
        row = usage(gateway)
        self.assertEqual(row["settled"], figures["settled"])
        self.assertGreaterEqual(row["admitted"], figures["admitted"])
        assert_ids_are_unique(self, os.path.join(gateway.folder, "state", "ledger"))
        gateway.process = None

    # --- systemd

    def test_systemd_is_told_who_it_is_now(self):
        server = self.systemd(timeout=10)
        gateway = self.simple(self.upstream(Sockets()), top=FAST, start=False)
        gateway.start(environment={"NOTIFY_SOCKET": server.getsockname(), "WATCHDOG_USEC": "400000"})
        client = self.web_socket(gateway)
        pid = self.upgrade(gateway)
        lines = []
        while not any(line.startswith("MAINPID=") for line in lines):
            lines += server.recv(4096).decode().split("\n")
        self.assertIn(f"MAINPID={pid}", lines)
        lines = lines[lines.index(f"MAINPID={pid}"):]
        # From here on the new one speaks, and it alone.
        while "READY=1" not in lines or "WATCHDOG=1" not in lines:
            lines += server.recv(4096).decode().split("\n")
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(), 0)
        client.close()
        for _ in range(3):
            lines += server.recv(4096).decode().split("\n")
        self.assertNotIn("STOPPING=1", lines)

    def test_sockets_of_systemd_go_on(self):
        gateway = self.simple(self.upstream(Seen(), record=False), top=FAST, start=False, workers=3)
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", gateway.plain))
        listener.listen(100)
        code = (
            "import os, sys\nos.dup2(int(sys.argv[1]), 3)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
            "os.execv(sys.argv[2], [sys.argv[2], 'run', '-c', sys.argv[3]])"
        )
        gateway._out, gateway._err = (open(os.path.join(gateway.folder, name), "ab") for name in ("stdout", "stderr"))
        gateway.process = subprocess.Popen(
            [sys.executable, "-c", code, str(listener.fileno()), BINARY, gateway.file], cwd=gateway.folder,
            stdin=subprocess.DEVNULL, stdout=gateway._out, stderr=gateway._err, pass_fds=[listener.fileno()])
        gateway.wait_ready()
        with Load(gateway.plain, fresh=True, connections=2, pause=0.002) as load:
            for _ in range(3):
                self.upgrade(gateway)
        self.assertEqual(load.failures, [])
        self.assertGreater(load.count, 10)
