"""What signals do, and what the log says at the end and in general."""

import os
import re
import signal
import subprocess
import threading

from Support.case import Case
from Support.client import RawClient
from Support.gateway import BINARY
from Support.ports import free_port
from Support.upstream import answer, text

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .")


class Signals(Case):
    def test_none_that_means_nothing_here_ends_it(self):
        gateway = self.simple(self.upstream())
        kinds = [signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR, signal.SIGPIPE,
                 signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG, 16, signal.SIGRTMIN, signal.SIGRTMIN + 7, signal.SIGRTMAX]
        for kind in kinds:
            gateway.signal(kind)
        self.assertEqual(self.get(gateway).status, 200)

    def test_nor_before_it_is_ready(self):
        gateway = self.simple(self.upstream(), start=False)
        gateway.start(wait=False)
        gateway.wait_ready()
        for _ in range(50):
            gateway.signal(signal.SIGUSR1)
        self.assertEqual(self.get(gateway).status, 200)

    def test_commands_survive_what_is_meant_for_the_gateway(self):
        """From the first moment on, while they read what they are to say something about."""
        for command in ("check", "run"):
            with self.subTest(command):
                process = subprocess.Popen(
                    [BINARY, command, "-c", "/dev/fd/0"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder, text=True
                )
                self.addCleanup(process.kill)
                self.until(lambda: self.minds_not(process.pid, (signal.SIGUSR1, signal.SIGUSR2)), "it minds neither")
                for kind in (signal.SIGUSR1, signal.SIGUSR2):
                    process.send_signal(kind)
                said = process.communicate("nonsense;\n", timeout=20)[1]
                self.assertEqual(process.returncode, 1)
                self.assertIn("error: `nonsense` is not a directive", said)

    def minds_not(self, pid, kinds):
        """Whether it ignores or blocks them all."""
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines())
        masks = int(status["SigIgn"], 16) | int(status["SigBlk"], 16)
        return all(masks >> (kind - 1) & 1 for kind in kinds)


class Log(Case):
    def test_a_start_that_fails_carries_times_too(self):
        state = os.path.join(self.folder, "state")
        with open(state, "w"):
            pass
        taken = self.upstream()
        for text in ("nonsense;\n", f"state {state};\nlisten 127.0.0.1:{free_port()};\n", f"listen 127.0.0.1:{taken.port};\n"):
            with self.subTest(text):
                gateway = self.gateway(text + "upstream a { server 127.0.0.1:9; } tenant b { host b.test; upstream a; }\n", start=False)
                gateway.preamble = False
                gateway.write(text + "upstream a { server 127.0.0.1:9; } tenant b { host b.test; upstream a; }\n")
                gateway.start(wait=False)
                self.assertEqual(gateway.wait(), 1)
                self.assertTrue(gateway.stderr)
                for line in gateway.stderr.splitlines():
                    self.assertRegex(line, LINE)
                gateway.process = None

    def test_every_line_carries_a_time(self):
        gateway = self.gateway(
            f"""upstream app {{ server 127.0.0.1:$app; }} upstream spare {{ server 127.0.0.1:{free_port()}; }}
            tenant acme {{ host acme.test; authenticate none; upstream app; }}""", app=self.upstream())
        gateway.reload()
        gateway.write("nonsense;\n  more nonsense;\n")
        gateway.command("reload", "-c", gateway.file)
        with RawClient(gateway.plain) as client:
            client.send(b"nonsense\r\n\r\n")
            client.read_response()
        self.until(lambda: "400" in gateway.stderr, "the 400")
        os.rename(os.path.join(gateway.folder, "access.log"), os.path.join(gateway.folder, "old.log"))
        os.mkdir(os.path.join(gateway.folder, "access.log"))
        gateway.signal(signal.SIGUSR1)
        self.until(lambda: "can't open the access log" in gateway.stderr, "it is said")
        gateway.stop()
        for line in gateway.stderr.splitlines():
            self.assertRegex(line, LINE)
        for part in ("used by no tenant", "nonsense", "reload rejected", "400", "stopped"):
            self.assertIn(part, gateway.stderr)


class Drain(Case):
    def hung(self, count):
        """A gateway with so many requests under way that are never answered."""
        asked = threading.Semaphore(0)

        def hang(peer):
            peer.read_request()
            asked.release()
            peer.wait_for_end(within=30)

        gateway = self.simple(self.upstream(hang))
        for _ in range(count):
            self.connect(gateway.plain).send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.connect(gateway.plain)  # an idle one is no request
        for _ in range(count):
            asked.acquire(timeout=10)
        return gateway

    def test_it_says_how_many_requests_it_cut(self):
        gateway = self.hung(3)
        gateway.signal(signal.SIGTERM)
        gateway.wait()
        self.assertIn("shutdown_timeout is over: 3 requests are cut\n", gateway.stderr)

    def test_a_second_signal_says_it_too(self):
        gateway = self.hung(1)
        gateway.signal(signal.SIGTERM)
        self.until(lambda: "draining" in gateway.stderr, "draining")
        gateway.signal(signal.SIGTERM)
        gateway.wait()
        self.assertIn("stopped at once: 1 request is cut\n", gateway.stderr)

    def test_one_that_cuts_none_says_so(self):
        gateway = self.simple(self.upstream(answer(text("ok"))))
        self.assertEqual(self.get(gateway).status, 200)
        gateway.stop()
        self.assertIn("drained: no request was cut\n", gateway.stderr)
