"""What is left when something runs out: descriptors, room in a file, the file itself, time."""

import json
import os
import resource
import signal
import subprocess
import time

from Support import books
from Support.case import Case
from Support.client import RawClient, until
from Support.gateway import BINARY
from Support.load import Load
from Support.upstream import answer, text

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

    def test_nobody_is_warned_of_the_default(self):
        _, done = self.check("", 512)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        gateway = self.start(200, limits="")
        self.assertRegex(gateway.stderr, r"Z max_connections is \d+ instead of 20000: this process may have no more descriptors")
        self.assertNotIn("warning", gateway.stderr)

    def start(self, most, limits="limits { max_connections 100000; }"):
        gateway = self.simple(self.upstream(), top=FAST + limits, start=False)
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

        self.until_served(gateway)


class Log(Case):
    """Every line is somewhere, alone, or counted as lost."""

    def path(self, gateway, name="access.log"):
        return os.path.join(gateway.folder, name)

    def ask(self, gateway, target):
        self.assertEqual(self.get(gateway, target).status, 200)

    def targets(self, gateway, *names):
        """What the lines say; each is one of ours, or the beginning of one."""
        found = []
        for name in names:
            for line in gateway._read(name).splitlines():
                try:
                    found.append(json.loads(line)["path"])
                except ValueError:
                    self.assertTrue(line.startswith('{"time":'), line)
                    self.assertEqual(line.count('"time":'), 1, f"glued together: {line}")
        return found

    def wait_for(self, gateway, target, *names, within=6):
        until(lambda: target in self.targets(gateway, *(names or ["access.log"])), f"{target} in the log", within)

    def test_a_file_that_cannot_be_opened_anew_is_tried_again_by_itself(self):
        gateway = self.simple(self.upstream())
        self.ask(gateway, "/before")
        self.wait_for(gateway, "/before")
        os.rename(self.path(gateway), self.path(gateway, "access.log.1"))
        os.mkdir(self.path(gateway))
        gateway.signal(signal.SIGUSR1)
        until(lambda: "can't open the access log" in gateway.stderr, "it is said")
        for number in range(50):
            self.ask(gateway, f"/{number}")
        os.rmdir(self.path(gateway))
        until(lambda: os.path.isfile(self.path(gateway)), "the file", 6)
        until(lambda: len(self.targets(gateway, "access.log")) == 50, "50 lines")
        self.assertEqual(set(self.targets(gateway, "access.log")), {f"/{number}" for number in range(50)})
        until(lambda: "the access log is written again" in gateway.stderr, "it is said")
        self.assertEqual(gateway.metrics().sum("gateway_log_dropped_total"), 0)
        self.assertEqual(gateway.stderr.count("can't open the access log"), 1)

    def test_what_waits_for_a_file_at_the_end_goes_to_the_one_before(self):
        gateway = self.simple(self.upstream())
        self.ask(gateway, "/first")
        self.wait_for(gateway, "/first")
        os.rename(self.path(gateway), self.path(gateway, "access.log.1"))
        os.mkdir(self.path(gateway))
        gateway.signal(signal.SIGUSR1)
        until(lambda: "can't open the access log" in gateway.stderr, "it is said")
        self.ask(gateway, "/last")
        gateway.stop()
        self.assertEqual(self.targets(gateway, "access.log.1"), ["/first", "/last"])

    def test_a_file_that_was_never_there_is_tried_again_by_itself(self):
        folder = os.path.join(self.folder, "later")
        gateway = self.gateway(
            "workers 1; state ./state; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin; access_log $folder/later/access.log;\n"
            "upstream app { server 127.0.0.1:$app; } tenant acme { host acme.test; authenticate none; upstream app; }",
            preamble=False, app=self.upstream(),
        )  # fmt: skip
        self.ask(gateway, "/early")
        os.mkdir(self.path(gateway, "later"))
        self.wait_for(gateway, "/early", "later/access.log")

    def test_a_line_that_a_full_disk_tore_stands_alone(self):
        """A file that may grow no more is as full as a disk; and its signal (SIGXFSZ) ends nothing."""
        gateway = self.simple(self.upstream(answer(text("ok"))), top=FAST)
        for number in range(20):
            self.ask(gateway, f"/a{number}")
        self.wait_for(gateway, "/a19")
        room = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        size = os.path.getsize(self.path(gateway))
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (size + 700, room[1]))
        for number in range(200):
            self.ask(gateway, f"/b{number}")
        until(lambda: gateway.metrics().sum("gateway_log_dropped_total") > 0, "lost lines counted")
        self.assertNotEqual(gateway._read("access.log")[-1], "\n", "nothing was torn: this shows nothing")
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, room)
        for number in range(20):
            self.ask(gateway, f"/c{number}")
        until(lambda: len([p for p in self.targets(gateway, "access.log") if p[1] == "c"]) == 20, "20 lines more")
        found = self.targets(gateway, "access.log")
        # They are counted a moment after they were lost.
        lost = lambda: gateway.metrics().sum("gateway_log_dropped_total")
        until(lambda: len(found) + lost() >= 240, "all lost lines counted")
        self.assertEqual(len(found) + lost(), 240)
        # What the ledger could not write it has written by now.
        until(lambda: books.usage(gateway)["admitted"] == 240, "all of it in the ledger")

    def test_a_line_that_the_end_of_a_process_tore_stands_alone(self):
        gateway = self.simple(self.upstream(), start=False)
        with open(self.path(gateway), "w") as out:
            out.write('{"time":"2026-')
        gateway.start()
        self.ask(gateway, "/after")
        self.wait_for(gateway, "/after")
        self.assertEqual(gateway._read("access.log").splitlines()[0], '{"time":"2026-')


class Meters(Case):
    """The file that all counters are in, cut short under a gateway that serves (SIGBUS)."""

    seconds = 60

    CONFIGURATION = (
        FAST + "limits { header_timeout 5s; }\n", "quota 1000000/month; concurrency 50; key sha256:" + "0" * 64 + " name=k;"
    )  # fmt: skip

    def start(self):
        top, tenant = self.CONFIGURATION
        return self.simple(self.upstream(answer(text("ok"))), top=top, tenant=tenant)

    def cut(self, gateway, size):
        os.truncate(os.path.join(gateway.folder, "state", "meters"), size)

    def mended(self, gateway):
        return gateway.metrics().sum("gateway_meters_mended_total")

    def billed(self, gateway):
        return (books.usage(gateway) or {"admitted": 0})["admitted"]

    def used(self, gateway):
        return gateway.metrics().sum("gateway_quota_used", tenant="acme")

    def test_whatever_is_cut_off_it_goes_on_and_the_books_agree(self):
        gateway = self.start()
        sizes = [0, 1, 100, 4095, 4096, 4096 + 64, 69632 + 448 + 100, 131072]
        path = os.path.join(gateway.folder, "state", "meters")
        whole = os.path.getsize(path)
        for number, size in enumerate(sizes):
            with self.subTest(size=size), Load(gateway.plain, connections=4) as load:
                # A few intervals: what is from before them is remembered.
                before = self.billed(gateway)
                flushes = gateway.metrics().sum("gateway_ledger_flush_seconds_count")
                until(lambda: gateway.metrics().sum("gateway_ledger_flush_seconds_count") > flushes + 2, "intervals", 10)
                self.cut(gateway, size)
                until(lambda: self.mended(gateway) == number + 1, f"mended; it says {gateway.stderr[-500:]}", 6)
                time.sleep(0.2)
                load.stop()
                self.assertEqual(load.failures, [])
                self.assertEqual(os.path.getsize(path), whole)
                figures = books.settle(gateway)
                # What is billed was served, and what was not billed is what an interval holds.
                until(lambda: books.usage(gateway)["admitted"] == books.live(gateway)["admitted"], "the ledger agrees")
                self.assertGreater(figures["admitted"], before)
                self.assertLessEqual(self.used(gateway), figures["admitted"])
                self.assertGreaterEqual(self.used(gateway), before)
        self.assertEqual(gateway.stderr.count("was cut short at byte"), len(sizes))
        gateway.reload()
        self.assertEqual(self.get(gateway).status, 200)
        gateway.stop()
        total = books.usage(gateway)["admitted"]
        gateway.start()
        self.assertEqual(self.get(gateway).status, 200)
        until(lambda: books.usage(gateway)["admitted"] == total + 1, "the table is one for the next start as well")
        books.assert_ids_are_unique(self, os.path.join(gateway.folder, "state", "ledger"))

    def test_no_request_is_billed_twice(self):
        gateway = self.start()
        sent = 0
        for size in (0, 4096 + 64, 0, 69632 + 448 + 200):
            for _ in range(20):
                self.assertEqual(self.get(gateway).status, 200)
                sent += 1
            until(lambda: self.billed(gateway) == sent, "all of them in the ledger")
            mended = self.mended(gateway)
            self.cut(gateway, size)
            until(lambda: self.mended(gateway) == mended + 1, "mended")
        self.assertEqual(self.get(gateway).status, 200)
        until(lambda: self.billed(gateway) == sent + 1, "one more in the ledger")
        time.sleep(0.3)
        self.assertEqual(self.billed(gateway), sent + 1)

    def test_where_there_is_no_room_to_mend_it_counting_goes_on(self):
        gateway = self.start()
        self.assertEqual(self.get(gateway).status, 200)
        # As if the disk had filled up: no file may be longer than this one is then.
        room = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (8192, room[1]))
        self.cut(gateway, 8192)
        for _ in range(20):
            self.assertEqual(self.get(gateway).status, 200)
        until(lambda: "can't put back the end of" in gateway.stderr, "it is said")
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("meters", done.stderr)
        self.assertEqual(gateway.get("/healthz")[0], 200)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, room)
        until(lambda: self.mended(gateway) == 1, "mended")
        until(lambda: "start anew once the disk is well" in gateway.stderr, "it is said")
        self.assertEqual(self.get(gateway).status, 200)
        gateway.stop()
        gateway.start()
        self.assertEqual(self.get(gateway).status, 200)
