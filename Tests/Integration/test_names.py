"""Names of servers: looked up again as they change, and never by a loop that others wait for.

The gateway runs in a mount namespace of its own with another /etc/hosts and /etc/resolv.conf, which only root may make.
"""

import os
import shutil
import socket
import subprocess
import time
import unittest

from Support.case import SANITIZED, Case
from Support.client import RawClient
from Support.gateway import BINARY
from Support.upstream import answer, text


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root and unshare")
class Names(Case):
    def apart(self, gateway, hosts, resolver=None):
        """Starts the gateway where the names are those of `hosts`; gives the file to write others into."""
        files = {"hosts": hosts, "resolv.conf": f"nameserver {resolver or '127.0.0.1'}\noptions timeout:5 attempts:1\n"}
        for name, content in files.items():
            with open(os.path.join(gateway.folder, name), "w") as out:
                out.write(content)
        mounts = " && ".join(f"mount --bind {gateway.folder}/{name} /etc/{name}" for name in files)
        script = f'{mounts} && exec "$0" "$@"'
        gateway.start(
            arguments=["-m", "--propagation", "private", "sh", "-c", script, BINARY, "run", "-c", gateway.file],
            program="unshare",
        )
        return os.path.join(gateway.folder, "hosts")

    def test_a_name_that_changes_is_looked_up_again(self):
        one = self.upstream(answer(text("one")))
        two = self.upstream(answer(text("two")), host="127.0.0.2", port=one.port)
        gateway = self.gateway(
            """upstream app { server app.internal:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=one,
            start=False,
        )
        hosts = self.apart(gateway, "127.0.0.1 app.internal\n")
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/", "acme.test").body, b"one")
        with open(hosts, "w") as out:
            out.write("127.0.0.2 app.internal\n")
        self.until(
            lambda: client.request("GET", "/", "acme.test").body == b"two", "the new address", within=20, every=0.1
        )
        with open(hosts, "w") as out:
            out.write("")  # the name is gone: what was known goes on
        time.sleep(0.2)
        self.assertEqual(client.request("GET", "/", "acme.test").body, b"two")
        self.assertTrue(two.requests)

    def test_a_name_that_only_health_checks_ask_is_looked_up_again(self):
        # Where nothing listens any more. Nobody's request reaches a server that is down, and its name is followed all the same.
        two = self.upstream(answer(text("two")), host="127.0.0.2")
        gateway = self.gateway(
            """upstream app { server app.internal:$app; health_check /healthz interval=100ms timeout=100ms fall=1 rise=1; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=two,
            start=False,
        )
        hosts = self.apart(gateway, "127.0.0.1 app.internal\n")
        self.until(lambda: self.get(gateway).status == 503, "the server to be down", every=0.1)
        with open(hosts, "w") as out:
            out.write("127.0.0.2 app.internal\n")
        self.until(lambda: self.get(gateway).status == 200, "the new address", within=25, every=0.2)

    def test_a_name_with_several_addresses_outlives_one_of_them(self):
        upstream = self.upstream(host="127.0.0.2")
        gateway = self.gateway(
            """upstream app { server app.internal:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=upstream,
            start=False,
        )
        self.apart(gateway, "127.0.0.1 app.internal\n127.0.0.2 app.internal\n")
        self.assertEqual([self.get(gateway).status for _ in range(6)], [200] * 6)

    def test_a_name_server_that_is_silent_holds_nobody_else_up(self):
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(("127.0.0.9", 53))
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$app; }
            upstream lost { server app.{tenant}.nowhere.test:80; }
            tenant acme { host acme.test; authenticate none; upstream app; }
            tenant globex { host globex.test; authenticate none; upstream lost; }""",
            app=self.upstream(),
            start=False,
        )
        self.apart(gateway, "127.0.0.1 localhost\n", resolver="127.0.0.9")
        waiting = [self.connect(gateway.plain, timeout=15) for _ in range(20)]
        for client in waiting:
            client.send("GET / HTTP/1.1\r\nHost: globex.test\r\n\r\n")
        with RawClient(gateway.plain) as client:
            for _ in range(50):
                began = time.monotonic()
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
                self.assertLess(time.monotonic() - began, 0.5)
        for client in waiting:
            response = client.read_response()
            self.assertIn(response.status, (502, 503, 504))
            self.assert_problem(response, response.status)


@unittest.skipIf(SANITIZED, "a sanitizer has a getaddrinfo of its own")
@unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
class Stalling(Case):
    """Names whose server says nothing for half a minute, by a `getaddrinfo` of the test's own."""

    def edge(self, configuration, **options):
        library, self.log = os.path.join(self.folder, "names.so"), os.path.join(self.folder, "names")
        source = os.path.join(os.path.dirname(__file__), "Support", "stalling_names.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True, timeout=30)
        gateway = self.gateway(configuration, app=self.upstream(), start=False, **options)
        return gateway.start(environment={"LD_PRELOAD": library, "STALLING_NAMES": self.log})

    def asked(self, name):
        try:
            with open(self.log) as log:
                return log.read().split().count(name)
        except FileNotFoundError:
            return 0

    def send(self, gateway, host):
        client = self.connect(gateway.plain, timeout=15)
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
        return client

    def timed(self, gateway, host):
        began = time.monotonic()
        response = self.get(gateway, host=host)
        return response.status, time.monotonic() - began

    def test_dead_names_of_many_tenants_hold_up_no_other_name(self):
        gateway = self.edge(
            """upstream own { server app.{tenant}.stalls.test:80; }
            upstream app { server app.fine.test:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }"""
            + "".join(f"tenant t{n} {{ host t{n}.test; authenticate none; upstream own; }}\n" for n in range(20))
        )
        waiting = [self.send(gateway, f"t{n}.test") for n in range(20)]
        self.until(lambda: self.asked("app.t0.stalls.test"), "a look-up")
        status, taken = self.timed(gateway, "acme.test")
        self.assertEqual(status, 200)
        self.assertLess(taken, 3)
        for client in waiting:
            self.assert_problem(client.read_response(), 502)
        self.assertLess(self.timed(gateway, "acme.test")[1], 1)

    def test_a_name_that_hangs_fails_in_five_seconds_and_from_then_on_at_once(self):
        gateway = self.edge(
            """upstream own { server app.stalls.test:80; }
            tenant acme { host acme.test; authenticate none; upstream own; }"""
        )
        status, taken = self.timed(gateway, "acme.test")
        self.assertEqual(status, 502)
        self.assertLess(taken, 5.8)
        time.sleep(1.5)
        for _ in range(5):
            status, taken = self.timed(gateway, "acme.test")
            self.assertEqual(status, 502)
            self.assertLess(taken, 0.5)
        self.assertEqual(self.asked("app.stalls.test"), 1)

    def test_a_name_that_is_not_there_is_not_asked_for_at_every_request(self):
        gateway = self.edge(
            """upstream own { server app.gone.test:80; }
            tenant acme { host acme.test; authenticate none; upstream own; }"""
        )
        began = time.monotonic()
        while time.monotonic() - began < 2:
            self.assert_problem(self.get(gateway), 502)
        self.assertIn(self.asked("app.gone.test"), (1, 2))

    def test_two_upstreams_of_one_name_ask_once(self):
        gateway = self.edge(
            """upstream a { server app.slow.test:$app; } upstream b { server app.slow.test:$app; }
            tenant acme { host acme.test; authenticate none; upstream a; }
            tenant globex { host globex.test; authenticate none; upstream b; }"""
        )
        both = [self.send(gateway, "acme.test"), self.send(gateway, "globex.test")]
        self.assertEqual([client.read_response().status for client in both], [200, 200])
        self.assertEqual(self.asked("app.slow.test"), 1)

    def test_a_health_check_waits_for_the_look_up_of_its_name(self):
        gateway = self.edge(
            """upstream app { server app.slow.test:$app; health_check / interval=10s timeout=5s fall=1 rise=1; }
            tenant acme { host acme.test; authenticate none; upstream app; }"""
        )
        self.until(lambda: self.asked("app.slow.test"), "the look-up for the check")
        time.sleep(1)
        self.assertNotIn("is out", gateway.stderr)
        self.assertEqual(self.timed(gateway, "acme.test")[0], 200)

    def test_the_deadline_of_a_health_check_holds_for_the_look_up_too(self):
        gateway = self.edge(
            """upstream app { server app.stalls.test:$app; health_check / interval=10s timeout=500ms fall=1 rise=1; }
            tenant acme { host acme.test; authenticate none; upstream app; }"""
        )
        self.until(lambda: "is out: its name is not looked up in time" in gateway.stderr, "the server out", within=3)
