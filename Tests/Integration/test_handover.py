"""Hand-over to a new binary: two gateways of one state count into the same meters, and one ledger says it all."""

import copy
import os
import signal
import time

from Support.books import Clients, Seen, assert_ids_are_unique, ledger_lines, settle, usage
from Support.case import Case
from Support.upstream import text

FAST = "ledger_interval 100ms;\n"


class Handover(Case):
    seconds = 60

    def second(self, first, *options):
        """Another gateway of the first one's configuration, started and not waited for: it has no admin listener yet."""
        second = copy.copy(first)
        self.addCleanup(second.kill)
        second.start(wait=False, arguments=["run", "-c", first.file, *options])
        return second

    def serving(self, gateway):
        """Waits until this process says that it serves."""
        count = f"serves 1 tenant on 127.0.0.1:{gateway.plain}"
        self.until(lambda: gateway.stderr.count(count) == 2, "the second gateway to serve", 10)

    def compare(self, gateway, clients, seen):
        row = usage(gateway)
        print(f"     sent {clients.all_sent}, answered {clients.answered(200)}, upstream saw {seen.count}, "
              f"admitted {row['admitted']}, settled {row['settled']}", flush=True)
        self.assertEqual((row["admitted"], row["settled"]), (seen.count, seen.count))
        self.assertEqual(clients.answered(200), seen.count)
        self.assertEqual(clients.all_served, seen.targets)
        folder = os.path.join(gateway.folder, "state", "ledger")
        assert_ids_are_unique(self, folder)
        # Each wrote in its turn: once the second has begun the first says nothing more.
        writers = [line["id"].split("-")[1] for line in ledger_lines(folder)]
        self.assertEqual(writers, sorted(writers, key=int))
        self.assertEqual(len(set(writers)), 2)

    def test_both_serve_and_the_second_takes_over(self):
        seen = Seen()
        first = self.simple(self.upstream(seen, record=False), "quota 1000000000/month;", top=FAST)
        with Clients(first.plain, 8) as clients:
            time.sleep(0.5)
            second = self.second(first, "--beside")
            self.serving(first)
            self.assertIn("admin: the gateway that is to end has", first.stderr)
            self.assertIn("another process writes it", first.stderr)
            time.sleep(0.5)
            first.signal(signal.SIGTERM)
            self.assertEqual(first.wait(), 0)
            # The admin listener and the ledger, soon after.
            second.wait_ready(5)
            self.until(lambda: "ledger: taken over" in second.stderr, "the ledger", 5)
            time.sleep(0.5)
        figures = settle(second)
        self.assertEqual(figures["admitted"], seen.count)
        second.stop()
        self.compare(second, clients, seen)

    def test_a_quota_is_shared(self):
        seen = Seen()
        first = self.simple(self.upstream(seen, record=False), "quota 1000/month;", top=FAST)
        with Clients(first.plain, 8, pause=0.002) as clients:
            second = self.second(first, "--beside")
            self.serving(first)
            self.until(lambda: clients.answered(429) > 200, "the quota's end", 20)
            first.signal(signal.SIGTERM)
            first.wait()
            second.wait_ready(5)
            time.sleep(0.3)
        self.assertEqual(clients.answered(200), 1000)
        self.assertEqual(settle(second)["admitted"], 1000)
        second.stop()
        self.assertEqual(usage(second)["admitted"], 1000)

    def test_a_start_while_the_first_drains(self):
        def slow(peer):
            while request := peer.read_request():
                if request.target == "/slow":
                    time.sleep(1.5)
                peer.send(text("ok"))

        first = self.simple(self.upstream(slow), top=FAST)
        client = self.connect(first.plain)
        client.send("GET /slow HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        time.sleep(0.2)
        first.signal(signal.SIGTERM)
        self.until(lambda: "draining" in first.stderr, "the drain")
        second = self.second(first)
        self.serving(first)
        self.assertEqual(self.get(first).status, 200)
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(first.wait(), 0)
        second.wait_ready(5)
        self.until(lambda: "ledger: taken over" in second.stderr, "the ledger", 5)
        second.stop()
        row = usage(second)
        self.assertEqual((row["admitted"], row["settled"]), (2, 2))
        assert_ids_are_unique(self, os.path.join(first.folder, "state", "ledger"))

    def test_a_second_by_mistake_is_told(self):
        first = self.simple(self.upstream(), top=FAST)
        second = self.second(first)
        self.assertEqual(second.wait(), 1)
        self.assertIn("can't listen on", second.stderr)
        self.assertIn("--beside", second.stderr)
        self.assertEqual(self.get(first).status, 200)
        # A third one finds no place.
        beside = self.second(first, "--beside")
        self.serving(first)
        third = self.second(first, "--beside")
        self.assertEqual(third.wait(), 1)
        self.assertIn("in use by two other gateways", third.stderr)
        self.assertEqual(self.get(first).status, 200)
        beside.stop()

    def test_the_first_is_killed(self):
        seen = Seen()
        first = self.simple(self.upstream(seen, record=False), "concurrency 50;", top=FAST)
        with Clients(first.plain, 8) as clients:
            second = self.second(first, "--beside")
            self.serving(first)
            time.sleep(0.3)
            first.process.kill()
            first.process.wait()
            second.wait_ready(5)
            time.sleep(0.3)
        # What was in flight in the one that died is in flight no more.
        figures = settle(second)
        second.stop()
        row = usage(second)
        self.assertEqual((row["admitted"], row["settled"]), (figures["admitted"], figures["settled"]))
        self.assertGreaterEqual(row["admitted"], clients.answered(200))
        self.assertLessEqual(row["admitted"] - row["settled"], 8)
        assert_ids_are_unique(self, os.path.join(first.folder, "state", "ledger"))
        first.process = None
