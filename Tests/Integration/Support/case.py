"""The test case that all others come from: it starts what a test needs and takes it down again."""

import json
import os
import shutil
import signal
import socket
import tempfile
import unittest

from .certificates import Authority
from .client import RawClient, until
from .gateway import Gateway, command
from .upstream import ScriptedUpstream
from .wire import Truncated

PROBLEMS = "https://gateway.invalid/problems/"
MEMBERS = ("type", "title", "status", "detail", "instance")

# Set where the gateway was built with a sanitizer, which costs several times the time and the memory.
SANITIZED = bool(os.environ.get("SANITIZER"))

_root = tempfile.mkdtemp(prefix="gateway-tests-")
_authority = None


def remove_root():
    shutil.rmtree(_root, ignore_errors=True)


def authority():
    """The run's certificate authority, made once."""
    global _authority
    if _authority is None:
        _authority = Authority(os.path.join(_root, "certificates"))
    return _authority


class TimeIsUp(Exception):
    pass


class Case(unittest.TestCase):
    """`seconds` bounds each test. `once` is for what must never fail: the others may try again, alone, at the end."""

    seconds = 40
    once = False
    maxDiff = 4000

    def setUp(self):
        def ring(*_):
            raise TimeIsUp(f"{self.id()} took longer than {seconds} s")

        seconds = self.seconds * (5 if SANITIZED else 1)
        signal.signal(signal.SIGALRM, ring)
        signal.alarm(seconds)
        self.addCleanup(signal.alarm, 0)
        self.folder = tempfile.mkdtemp(dir=_root)
        self.gateways = []

    # --- peers

    def upstream(self, behaviour=None, **options):
        upstream = ScriptedUpstream(behaviour, **options)

        def take_down():
            upstream.close()
            if upstream.failures:
                self.fail("the upstream's script failed:\n" + upstream.failures[0])

        self.addCleanup(take_down)
        return upstream

    def systemd(self, path=None, timeout=5):
        """A socket in systemd's place, for NOTIFY_SOCKET: in the test's folder, unless `path` says where."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(path or os.path.join(self.folder, "notify"))
        server.settimeout(timeout)
        return server

    def gateway(self, configuration, start=True, folder=None, **values):
        """A running gateway. A ScriptedUpstream among the values stands for its port."""
        values = {name: value.port if isinstance(value, ScriptedUpstream) else value for name, value in values.items()}
        folder = folder or tempfile.mkdtemp(dir=self.folder)
        gateway = Gateway(folder, configuration, **values)
        self.gateways.append(gateway)
        self.addCleanup(gateway.stop)
        self.addCleanup(signal.alarm, 20)  # a test that ran out of time still takes its gateway down
        if start:
            gateway.start()
        return gateway

    def checked(self, text):
        """What `gateway check` says of a gateway.conf that stands alone in the test's folder."""
        path = os.path.join(self.folder, "gateway.conf")
        with open(path, "w") as out:
            out.write(text)
        return command("check", "-c", path, cwd=self.folder)

    def simple(self, upstream, tenant="", top="", block="", **options):
        """A gateway with the one tenant acme (host acme.test) in front of that upstream."""
        return self.gateway(
            top + "\nupstream app { server 127.0.0.1:$app; " + block + " }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; " + tenant + " }\n",
            app=upstream,
            **options,
        )

    def connect(self, port, **options):
        client = RawClient(port, **options)
        self.addCleanup(client.close)
        return client

    def get(self, gateway, target="/", host="acme.test", **options):
        """One request over a connection of its own."""
        with RawClient(gateway.plain) as client:
            return client.request("GET", target, host, **options)

    def until_served(self, gateway):
        """Waits until acme is served again, after something was used up."""

        def works():
            try:
                return self.get(gateway).status == 200
            except (OSError, Truncated):
                return False

        self.until(works, "service again")

    def tls_listener(self, *leaves, more=""):
        """The `listen ... tls` block for these (certificate, key) pairs; the port is $tls."""
        lines = "".join(f"certificate {certificate} {key};\n" for certificate, key in leaves)
        return f"listen 127.0.0.1:$tls tls {{\n{lines}{more}\n}}\n"

    @property
    def authority(self):
        return authority()

    def leaf(self, *names, **options):
        return authority().leaf(*names, **options)

    # --- what is expected

    def assert_problem(self, response, status, kind=None, closes=None):
        """A refusal of the gateway's own, in the form that the contract gives it."""
        self.assertEqual(response.status, status, response)
        self.assertEqual((response["content-type"] or "").split(";")[0], "application/problem+json", response)
        problem = json.loads(response.body)
        for member in MEMBERS:
            self.assertIn(member, problem)
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["type"].startswith(PROBLEMS), problem)
        if kind:
            self.assertEqual(problem["type"], PROBLEMS + kind)
        self.assertEqual(problem["instance"], response["x-request-id"])
        if status in (503, 429):
            self.assertRegex(response["retry-after"] or "", r"^[1-9][0-9]*$")
        if closes is not None:
            self.assertEqual(response.keeps_alive, not closes, response)
        return problem

    def assert_bar(self, used, bound, what=None):
        """A bar of time or memory: under a sanitizer it says nothing."""
        if not SANITIZED:
            self.assertLess(used, bound, what)

    def assert_closed(self, client, within=3.0):
        self.assertTrue(client.is_closed(within), f"the connection stays open, or sends {client.stream.buffer[:200]!r}")

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before and hasattr(result, "explain"):
            for gateway in self.gateways:
                result.explain(self, gateway)

    until = staticmethod(until)
    command = staticmethod(command)
