"""Under systemd: READY, RELOADING, STOPPING, the watchdog, and sockets that are handed over."""

import os
import signal
import socket
import subprocess
import sys
import time

from Support.case import Case
from Support.gateway import BINARY


class Systemd(Case):
    def notified(self, environment=None):
        """A gateway that is told of a notification socket, and that socket."""
        server = self.systemd()
        gateway = self.simple(self.upstream(), start=False)
        gateway.start(environment={"NOTIFY_SOCKET": server.getsockname(), **(environment or {})})
        return gateway, server

    def wait_for(self, server, *words):
        """Reads messages until each of the words was the start of a line."""
        words, lines = list(words), []
        while words:
            lines += server.recv(4096).decode().split("\n")
            while words and any(line.startswith(words[0]) for line in lines):
                at = next(n for n, line in enumerate(lines) if line.startswith(words[0]))
                lines = lines[at + 1 :]
                words.pop(0)
        return lines

    def test_ready_reloading_and_stopping_are_told(self):
        gateway, server = self.notified()
        self.wait_for(server, "READY=1")
        gateway.signal(signal.SIGHUP)
        self.wait_for(server, "RELOADING=1", "MONOTONIC_USEC=", "READY=1")
        gateway.signal(signal.SIGTERM)
        self.wait_for(server, "STOPPING=1")

    def test_a_rejected_reload_is_ready_again(self):
        gateway, server = self.notified()
        self.wait_for(server, "READY=1")
        gateway.write("nonsense;\n")
        gateway.signal(signal.SIGHUP)
        self.wait_for(server, "RELOADING=1", "READY=1")
        self.assertEqual(self.get(gateway).status, 200)

    def test_an_abstract_socket(self):
        name = f"gateway-test-{os.getpid()}"
        server = self.systemd("\0" + name)
        gateway = self.simple(self.upstream(), start=False)
        gateway.start(environment={"NOTIFY_SOCKET": "@" + name})
        self.wait_for(server, "READY=1")

    def test_the_watchdog_is_fed(self):
        gateway, server = self.notified({"WATCHDOG_USEC": "400000"})
        self.wait_for(server, "READY=1", "WATCHDOG=1", "WATCHDOG=1")

    def test_a_systemd_that_does_not_read_holds_nothing_up(self):
        gateway, server = self.notified({"WATCHDOG_USEC": "20000"})
        # The queue of a socket is full after some messages.
        time.sleep(5)
        self.assertEqual(gateway.get("/healthz")[0], 200)
        gateway.signal(signal.SIGTERM)
        self.until(lambda: "draining" in gateway.stderr, "the signal heard")
        server.settimeout(3)
        self.assertIn("READY=1", server.recv(4096).decode())

    def test_a_socket_that_is_handed_over_is_used(self):
        gateway = self.simple(self.upstream(), start=False)
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", gateway.plain))
        listener.listen(100)
        early = self.connect(gateway.plain)
        early.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        # LISTEN_PID must be the gateway's own: a shell in between becomes it.
        code = (
            "import os, sys\nos.dup2(int(sys.argv[1]), 3)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
            "os.execv(sys.argv[2], [sys.argv[2], 'run', '-c', sys.argv[3]])"
        )
        gateway._out, gateway._err = (open(os.path.join(gateway.folder, name), "ab") for name in ("stdout", "stderr"))
        number = os.dup(listener.fileno())
        os.set_inheritable(number, True)
        gateway.process = subprocess.Popen(
            [sys.executable, "-c", code, str(number), BINARY, gateway.file],
            cwd=gateway.folder,
            stdin=subprocess.DEVNULL,
            stdout=gateway._out,
            stderr=gateway._err,
            pass_fds=[number],
        )
        os.close(number)
        gateway.wait_ready()
        self.assertEqual(early.read_response().status, 200)
        for _ in range(10):
            self.assertEqual(self.get(gateway).status, 200)
