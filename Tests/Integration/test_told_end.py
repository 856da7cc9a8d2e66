"""What signals do, and what the log says at the end and in general."""

import os
import re
import signal
import threading

from Support.case import Case
from Support.client import RawClient
from Support.ports import free_port
from Support.upstream import answer, text

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .")


class Signals(Case):
    def test_none_that_means_nothing_here_ends_it(self):
        gateway = self.simple(self.upstream())
        kinds = [signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR, signal.SIGPIPE,
                 signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG, 16, signal.SIGRTMIN, signal.SIGRTMIN + 7, signal.SIGRTMAX]
        for kind in kinds:
            gateway.signal(kind)
        self.assertEqual(self.get(gateway).status, 200)
        self.until(lambda: "USR2 is ignored" in gateway.stderr, "USR2 in the log")

    def test_nor_before_it_is_ready(self):
        gateway = self.simple(self.upstream(), start=False)
        gateway.start(wait=False)
        gateway.wait_ready()
        for _ in range(50):
            gateway.signal(signal.SIGUSR2)
        self.assertEqual(self.get(gateway).status, 200)


class Log(Case):
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
