"""Lack of something never ends the process: every call that the gateway makes of the system, failed in every plausible
way, one at a time and at random. The job or the connection that it hits fails with a reason; the rest goes on.

Here a part of it, another one each time (the seed is told with a failure). All of it, and ten minutes at random:
`Tests/faults --all`, `Tests/faults --seconds 600`."""

import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from Support import books, faults
from Support.case import SANITIZED, Case
from Support.client import Malformed, RawClient, Truncated, until
from Support.gateway import BINARY, CRASH, REPOSITORY, Gateway
from Support.ports import free_port
from Support.tokens import Key, token
from test_jwt import Provider

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 30))
SECONDS = float(os.environ.get("FAULTS_SECONDS") or 12)
ALL = bool(os.environ.get("FAULTS_ALL"))
DAY = 86400
# No clock before it is believed: 2026-01-01.
FIRST_TIME = 1_767_225_600

# Made at a start alone, or so seldom that no traffic is to wait for it.
AT_A_START = set(
    """epoll_create1 eventfd fchmod flock fopen gethostname getifaddrs getsockname link mkdir mmap msync munmap poll posix_fallocate posix_spawn posix_spawnp
    fsync getcwd lstat pipe2 pthread_sigmask readlink recvmsg rename sendmsg sendto setrlimit sigaction signalfd socketpair sysconf unlink waitid waitpid ioctl ftruncate""".split()
)

# Seconds: names are looked up again so often, and remembered until then.
NAMES = 11

# With these failing all the time nothing can be asked of the gateway, or it can't be heard.
BROKEN = OSError, Truncated, Malformed, EOFError

CONFIGURATION = """\
workers 2; state ./state; shutdown_timeout 2s; access_log ./access.log;
ledger_interval 100ms; ledger_compress 1d;
limits { header_timeout 2s; body_timeout 2s; idle_timeout 2s; }
listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;
$more
jwt idp { issuer https://id.test; audience api.test; keys $keys; algorithms ES256; tenant_claim tenant; }
upstream app   { server 127.0.0.1:$app; response_timeout 2s; health_check /healthz interval=150ms timeout=2s fall=5 rise=1; }
upstream named { server localhost:$app; response_timeout 2s; }
tenant acme   { host acme.test;   authenticate none; upstream app; quota 1000000/month; quota_reset_day 20; }
tenant globex { host globex.test; authenticate none; upstream named; }
tenant token  { host token.test;  authenticate jwt; jwt idp; upstream app; }
include $folder/more/*.conf;
"""


def behaviour(peer):
    """Answers, and now and then does not keep the connection: the next request needs a new one."""
    while request := peer.read_request():
        closes = peer.upstream.draw.random() < 0.5
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"Connection: close\r\n" * closes + b"\r\nok")
        if closes:
            return


# Called, and never failing for want of anything but memory; or only where a test of its own makes it.
HARMLESS = set(
    """calloc clock_gettime closedir exit free freeaddrinfo freeifaddrs gai_strerror getenv geteuid getpid globfree inet_ntop inet_pton
    isatty kill log malloc_trim
    memchr memcmp memcpy memmem memmove posix_spawn_file_actions_adddup2 posix_spawn_file_actions_addopen posix_spawn_file_actions_destroy
    posix_spawn_file_actions_init posix_spawnattr_destroy posix_spawnattr_init posix_spawnattr_setflags
    posix_spawnattr_setsigdefault posix_spawnattr_setsigmask pthread_cond_destroy pthread_cond_init pthread_cond_signal
    pthread_cond_timedwait pthread_cond_wait pthread_condattr_destroy pthread_condattr_init pthread_condattr_setclock
    pthread_detach pthread_join pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock
    sched_yield setgid setgroups setuid sigaddset sigemptyset signal strdup strerror strlen time timegm unsetenv usleep""".split()
)


@unittest.skipIf(SANITIZED, "a sanitizer's library calls some more")
class Calls(unittest.TestCase):
    def test_every_call_of_libc_can_be_failed(self):
        """A new one in the sources has to be added to faults.c, or be known to fail for nothing."""
        called = set()
        for folder, _, names in os.walk(os.path.join(REPOSITORY, "Sources")):
            for name in names:
                with open(os.path.join(folder, name)) as file:
                    called |= set(re.findall(r"\b([a-z][a-z_0-9]+)\(", file.read()))
        self.assertEqual(called & faults.imported(BINARY) - set(faults.CALLS) - HARMLESS, set())


@unittest.skipIf(SANITIZED, "a sanitizer's library wants to be the first")
class Faulty(Case):
    """A gateway with a bit of everything."""

    seconds = 60

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.library = faults.library(self.folder)
        self.provider = Provider(self, Key("ES256", "one"))
        self.provider.server.handle_error = lambda *_: None
        self.app = self.upstream(behaviour, record=False)
        self.app.draw = random.Random(1)
        self.served = 0

    def edge(self, folder=None):
        folder = folder or tempfile.mkdtemp(dir=self.folder)
        os.makedirs(os.path.join(folder, "more"), exist_ok=True)
        self.configuration = self.tls_listener(self.leaf("acme.test")) + CONFIGURATION
        edge = Gateway(folder, self.configuration, preamble=False, app=self.app.port, keys=self.keys(0), more="")
        edge.faults = faults.Faults(folder, self.library)
        self.gateways.append(edge)
        self.addCleanup(edge.kill)
        return edge

    def keys(self, number):
        return f"https://localhost:{self.provider.port}/keys/{number}"

    def start(self, edge, **options):
        environment = {"SSL_CERT_FILE": self.authority.certificate, **edge.faults.environment}
        return edge.start(environment=environment, **options)

    # --- traffic

    def ask(self, edge, port, host, within=5.0, fields=(), **options):
        with RawClient(port, timeout=within, **options) as client:
            return client.request("GET", "/", host, fields=fields).status

    def secure(self, edge, within=5.0):
        return self.ask(edge, edge.tls, "acme.test", within, tls=self.authority.context(), sni="acme.test")

    def admin(self, edge, path, within=5.0):
        with RawClient(edge.admin, timeout=within) as client:
            return client.request("GET", path, "localhost", fields=[("Authorization", "Bearer " + edge.token)]).status

    def traffic(self, edge, number, within=0.15, listens=True):
        """A bit of everything that a gateway does; what fails, fails. `listens`: at a new address too."""

        def edit():
            listener = f"listen 127.0.0.1:{free_port()};" if listens else ""
            edge.write(self.configuration, keys=self.keys(number), more=listener)
            with open(os.path.join(edge.folder, "more", "one.conf"), "w") as out:
                out.write(f"tenant t{number} {{ host t{number}.test; authenticate none; upstream app; }}\n")

        def refused_early():
            with RawClient(edge.plain, timeout=within) as client:
                client.send("POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 10\r\n\r\n")
                client.read_response()

        for one in (
            edit,
            lambda: edge.signal(signal.SIGHUP),
            lambda: self.ask(edge, edge.plain, "acme.test", within),
            lambda: self.secure(edge, within),
            lambda: self.ask(edge, edge.plain, "globex.test", within),
            lambda: self.ask(edge, edge.plain, "token.test", within, [("Authorization", "Bearer " + token(self.provider.keys[0]))]),
            refused_early,
            lambda: self.admin(edge, "/metrics", within),
            lambda: self.admin(edge, "/v1/tenants/acme/usage?by=hour", within),
            lambda: edge.signal(signal.SIGUSR1),
            lambda: self.ask(edge, edge.plain, "acme.test", within),
        ):
            try:
                one()
            except BROKEN:
                pass

    # --- what is expected

    def assert_lives(self, edge, what):
        if edge.process.poll() is not None:
            self.fail(f"{what} ended it with {edge.process.returncode}:\n{edge.stderr[-3000:]}")

    def assert_serves(self, edge, what, within=10.0):
        """Nothing fails any more: all is as it was, soon."""

        def works(one):
            def tried():
                self.assert_lives(edge, what)
                try:
                    return one() == 200
                except BROKEN:
                    return False

            return tried

        for name, one in (
            ("a request", lambda: self.ask(edge, edge.plain, "acme.test", 1)),
            ("TLS", lambda: self.secure(edge, 1)),
            ("a server by its name", lambda: self.ask(edge, edge.plain, "globex.test", 1)),
            ("/healthz", lambda: self.admin(edge, "/healthz", 1)),
            ("/metrics", lambda: self.admin(edge, "/metrics", 1)),
        ):
            until(works(one), f"{name} after {what} (seed {SEED})\n{edge.stderr[-2000:]}", within)
        if found := CRASH.search(edge.stderr):
            self.fail(f"{found.group()!r} after {what}:\n{edge.stderr[-3000:]}")

    def assert_reloads(self, edge, what):
        edge.write(self.configuration, more="", keys=self.keys(0))
        done = edge.command("reload", "-c", edge.file)
        self.assertEqual(done.returncode, 0, f"reload after {what}: {done.stdout}{done.stderr}\n{edge.stderr[-2000:]}")
        edge.reload_by_signal()
        self.assert_log_goes_on(edge)

    def assert_log_goes_on(self, edge):
        """What is served now is logged; and no line is glued to one that was torn."""
        self.served += 1
        target = f"/logged/{self.served}"
        with RawClient(edge.plain) as client:
            client.request("GET", target, "acme.test")
        until(lambda: target in edge._read("access.log"), "a line in the access log")
        for line in edge._read("access.log").splitlines():
            self.assertLessEqual(line.count('{"time":'), 1, f"lines are glued together: {line}")

    def assert_books_agree(self, edge, what):
        """Admitted is counted, settled and in the ledger."""
        figures = books.settle(edge)
        self.assertEqual(figures["in_flight"], 0)

        def agrees():
            live, used = books.live(edge), books.usage(edge)
            return used and (live["admitted"], live["settled"]) == (used["admitted"], used["settled"])

        until(agrees, f"the ledger says what the meters say after {what} (seed {SEED})", 10, every=0.1)
        books.assert_ids_are_unique(self, os.path.join(edge.folder, "state", "ledger"))


class Running(Faulty):
    seconds = 600 if ALL else 180

    def test_each_call_fails_while_it_serves(self):
        edge, hit = None, set()
        for number, call in enumerate(faults.CALLS):
            codes = faults.errors(call)
            with self.subTest(call, seed=SEED):
                if edge is None or edge.process.poll() is not None:
                    edge = self.start(self.edge())
                    self.assert_serves(edge, "the start")
                before = edge.faults.failed(call)
                for code in codes if ALL else self.random.sample(codes, min(2, len(codes))):
                    self.fail_while_serving(edge, call, code, number)
                if edge.faults.failed(call) > before:
                    hit.add(call)
                    self.assert_reloads(edge, call)
                    self.assert_books_agree(edge, call)
        self.assertLessEqual(set(faults.CALLS) - hit, AT_A_START, "calls that the traffic does not make any more")
        edge.stop()

    def fail_while_serving(self, edge, call, code, number):
        began, failed = time.monotonic(), edge.faults.failed(call)
        edge.faults.arm(call, code)
        self.traffic(edge, number)
        # An interval of the ledger, a health check, a reload; and what is done once in a second.
        patience = 0.3 if call in AT_A_START else NAMES if call == "getaddrinfo" else 1.5
        while time.monotonic() < began + (0.3 if edge.faults.failed(call) > failed else patience):
            time.sleep(0.02)
        edge.faults.disarm()
        if edge.faults.failed(call) > failed:
            self.assert_serves(edge, f"{call}: {faults.name(code)}")

    def test_calls_fail_at_random_while_it_serves(self):
        """What comes together when much goes wrong at once."""
        self.seconds = int(SECONDS) + 120
        signal.alarm(self.seconds)
        edge = self.start(self.edge())
        self.assert_serves(edge, "the start")
        end, number = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            chance = self.random.choice((0.003, 0.01, 0.03, 0.1, 0.3))
            seed = self.random.randrange(1 << 40)
            what = f"chance {chance}, seed {seed}"
            edge.faults.arm_all(chance, seed)
            for _ in range(self.random.randrange(1, 8)):
                number += 1
                self.traffic(edge, number, listens=self.random.random() < 0.7)
                self.assert_lives(edge, what)
            time.sleep(self.random.choice((0, 0.1, 1.1)))
            edge.faults.disarm()
            self.assert_serves(edge, what)
            self.assert_reloads(edge, what)
            self.assert_books_agree(edge, what)
        edge.stop()


class Starting(Faulty):
    seconds = 1200 if ALL else 120

    def template(self):
        """A state in which a start finds something to do: a day that is over, a table with tenants."""
        edge = self.edge()
        edge.faults.move_clock(-3 * DAY)
        self.start(edge)
        self.assert_serves(edge, "the start")
        books.settle(edge)
        until(lambda: books.usage(edge), "usage in the ledger")
        edge.faults.move_clock(0)
        edge.stop()
        return os.path.join(edge.folder, "state"), {call: edge.faults.calls(call) for call in faults.CALLS}

    def test_each_call_fails_at_a_start(self):
        """It serves, or it ends with 1 and says what it lacks; it never dies of it, and it never hangs."""
        state, calls = self.template()
        jobs = []
        for call in faults.CALLS:
            codes = faults.errors(call)
            for code in codes if ALL else self.random.sample(codes, 1):
                jobs.append((call, code, 0, faults.ALWAYS))
                # One alone, the first or any later one.
                for skip in range(min(calls[call], 60)) if ALL else [self.random.randrange(max(1, min(calls[call], 20)))]:
                    jobs.append((call, code, skip, 1))
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for job, wrong in zip(jobs, pool.map(lambda job: self.start_with(state, *job), jobs)):
                with self.subTest(call=job[0], code=faults.name(job[1]), skip=job[2], limit=job[3], seed=SEED):
                    self.assertIsNone(wrong)

    def start_with(self, state, call, code, skip, limit):
        """What went wrong; None where all is well."""
        edge = self.edge()
        shutil.copytree(state, os.path.join(edge.folder, "state"))
        edge.faults.arm(call, code, skip=skip, limit=limit)
        self.start(edge, wait=False)
        try:
            try:
                # Of what comes after the start too: the first interval, the sums of the day that is over.
                edge.process.wait(0.4)
            except subprocess.TimeoutExpired:
                pass
            edge.faults.disarm()
            if edge.process.poll() is None:
                self.assert_serves(edge, "that")
                if found := CRASH.search(edge.stderr):
                    return f"{found.group()!r} in {edge.stderr}"
                edge.stop()
            elif edge.process.returncode != 1:
                return f"it ended with {edge.process.returncode}: {edge.stderr}"
            elif not edge.stderr.strip() and call != "say":
                return "it says nothing"
        except AssertionError as error:
            return str(error)
        finally:
            edge.kill()
        return None


class TimeOfDay(Faulty):
    """A clock that nobody has set, or set wrongly."""

    # The beginning, before it, before the first day that a month's quota begins on, before February; far ahead.
    TIMES = (0, -3000, 10 * DAY, 25 * DAY, 4_102_444_800, 16_000_000_000)

    def assert_books_wait(self, edge):
        """Nothing is dated by a clock that can't be right; it is in the meters, and the operator is told."""
        figures = books.settle(edge)
        self.assertEqual((figures["in_flight"], figures["settled"]), (0, figures["admitted"]))
        self.assertGreater(figures["admitted"], 0)
        self.assertGreaterEqual(edge.metrics().sum("gateway_ledger_unflushed"), figures["admitted"])
        self.assertIsNone(books.usage(edge))
        self.assertIn("ledger: waits until the clock is believed", edge.stderr)

    def test_it_serves_at_any_time_of_day(self):
        edge = self.start(self.edge())
        self.assert_serves(edge, "the start")
        for number, at in enumerate(self.TIMES):
            with self.subTest(at):
                edge.faults.move_clock(at - int(time.time()))
                end = time.monotonic() + 1.2
                while time.monotonic() < end:
                    self.traffic(edge, number)
                self.assert_serves(edge, f"a clock at {at}")
                self.assert_reloads(edge, f"a clock at {at}")
                edge.faults.move_clock(0)
                self.assert_serves(edge, f"a clock that was at {at}")
        edge.stop()

    def test_it_starts_at_any_time_of_day(self):
        for at in self.TIMES:
            with self.subTest(at):
                edge = self.edge()
                edge.faults.move_clock(at - int(time.time()))
                self.start(edge)
                self.traffic(edge, 0)
                self.assert_serves(edge, f"a clock at {at}")
                self.assert_reloads(edge, f"a clock at {at}")
                if at < FIRST_TIME:
                    self.assert_books_wait(edge)
                else:
                    self.assert_books_agree(edge, f"a clock at {at}")
                edge.stop()
