"""What is left when something runs out: descriptors, room in a file, the file itself, time."""

import os
import resource
import signal
import subprocess

from Support import books
from Support.case import Case
from Support.client import RawClient, Truncated, until
from Support.gateway import BINARY

FAST = "ledger_interval 100ms;\n"


class Descriptors(Case):
    def check(self, configuration, most):
        gateway = self.simple(self.upstream(), top=configuration, start=False)
        return gateway, subprocess.run(
            [BINARY, "check", "-c", gateway.file],
            capture_output=True,
            text=True,
            timeout=20,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)),
        )

    def test_check_warns_where_max_connections_stands(self):
        gateway, done = self.check("limits {\n    max_connections 1000;\n}", 512)
        self.assertEqual(done.returncode, 0, done.stderr)
        line = next(n for n, text in enumerate(open(gateway.file), 1) if "max_connections" in text)
        self.assertRegex(done.stderr, rf"gateway\.conf:{line}:21: warning: max_connections 1000 .*512")
        self.assertIn("\n      max_connections 1000;\n" + " " * 22 + "^~~~", done.stderr)

    def test_check_is_quiet_where_they_can_be_had(self):
        _, done = self.check("limits { max_connections 100; }", 512)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def start(self, most):
        gateway = self.simple(self.upstream(), top=FAST + "limits { max_connections 100000; }", start=False)
        wrapper = os.path.join(gateway.folder, "limited")
        with open(wrapper, "w") as out:
            out.write(f'#!/bin/sh\nulimit -n {most}\nexec {BINARY} "$@"\n')
        os.chmod(wrapper, 0o755)
        return gateway.start(program=wrapper)

    def test_a_start_warns_and_serves_what_can_be_had(self):
        gateway = self.start(200)
        self.assertIn("warning: max_connections 100000", gateway.stderr)
        self.assertEqual(self.get(gateway).status, 200)

    def test_what_clients_leave_is_enough_for_all_else(self):
        """More clients than there are descriptors: the admin listener, the ledger and the log go on."""
        gateway = self.start(200)
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for _ in range(400):
            try:
                clients.append(RawClient(gateway.plain, timeout=0.05))
                clients[-1].send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            except OSError:
                pass
        for _ in range(20):
            self.assertEqual(gateway.get("/healthz")[0], 200)
        with open(os.path.join(gateway.folder, "gateway.conf"), "a") as out:
            out.write("# changed\n")
        gateway.reload()
        os.rename(os.path.join(gateway.folder, "access.log"), os.path.join(gateway.folder, "access.log.1"))
        gateway.signal(signal.SIGUSR1)
        until(lambda: os.path.exists(os.path.join(gateway.folder, "access.log")), "the log opened anew")
        until(lambda: books.usage(gateway), "usage in the ledger")
        self.assertGreater(gateway.metrics().sum("gateway_accept_errors_total"), 0)
        self.assertLess(gateway.descriptors, 200 - 20)
        for client in clients:
            client.close()

        def works():
            try:
                return self.get(gateway).status == 200
            except (OSError, Truncated):
                return False

        until(works, "service again")
