"""Admitted = counted = billed, whatever happens to the process: three books are compared."""

import os
import random
import signal
import subprocess
import time

from Support.books import Clients, Seen, assert_ids_are_unique, live, settle, usage
from Support.case import Case

KILLS = int(os.environ.get("GATEWAY_KILLS", "20"))
FAST = "ledger_interval 100ms;\n"


class Exactness(Case):
    """GATEWAY_KILLS=200 for the long run."""

    once = True
    seconds = 90 + 3 * KILLS
    CONNECTIONS = 8

    def ledger(self, gateway):
        return os.path.join(gateway.folder, "state", "ledger")

    def limit(self, gateway, policy):
        return next(one for one in gateway.json("/v1/tenants/acme")["limits"] if one["policy"] == policy)

    def start_again(self, gateway, kill=True):
        if kill:
            gateway.process.kill()
        else:
            gateway.signal(signal.SIGTERM)
        gateway.wait()
        gateway.start()

    def compare(self, gateway, clients, seen, lost=0):
        """Compares the books of an idle gateway, ends it, and compares what the ledger says. `lost` requests at most
        were in flight when a process was killed."""
        figures = settle(gateway)
        used = self.limit(gateway, "quota-month")["used"]
        gateway.stop()
        row = usage(gateway)
        # The ledger says what the meters say: to the last unit.
        for name in ("admitted", "settled", "request_bytes", "response_bytes", "cost"):
            self.assertEqual(row[name], figures[name], name)
        self.assertEqual(row["settled"], sum(row[f"status_{n}xx"] for n in range(1, 6)))
        assert_ids_are_unique(self, self.ledger(gateway))
        answered, sent = clients.answered(200), clients.all_sent
        print(
            f"     sent {sent}, answered {answered}, upstream saw {seen.count}, "
            f"admitted {row['admitted']}, settled {row['settled']}, in flight at the kills at most {lost}",
            flush=True,
        )
        self.assertGreater(answered, 0)
        # Whoever was answered was served by the upstream, once.
        self.assertEqual(clients.all_served - seen.targets, set())
        self.assertEqual(seen.again, [])
        self.assertGreaterEqual(row["admitted"], answered)
        self.assertGreaterEqual(row["admitted"], seen.count)
        self.assertLessEqual(row["admitted"], sent)
        self.assertLessEqual(row["status_2xx"], seen.count)
        # What was settled and did not come from the upstream was the gateway's own answer.
        self.assertLessEqual(row["settled"] - row["status_2xx"], sent - answered)
        self.assertLessEqual(row["admitted"] - row["settled"], lost)
        # What was admitted is used up, but for what the gateway could not forward and gave back.
        self.assertLessEqual(used, row["admitted"] + lost)
        self.assertGreaterEqual(used, answered)
        return row

    def test_kills_under_load(self):
        seen = Seen()
        gateway = self.simple(self.upstream(seen, record=False), "quota 1000000000/month;", top=FAST)
        rounds = random.Random(4)
        last = 0
        with Clients(gateway.plain, self.CONNECTIONS) as clients:
            for _ in range(KILLS):
                time.sleep(rounds.uniform(0.05, 0.4))
                self.start_again(gateway)
                admitted = live(gateway)["admitted"]
                self.assertGreaterEqual(admitted, last)
                last = admitted
                # What the process before left is in the ledger before this one takes a request.
                self.assertLessEqual(usage(gateway)["admitted"], live(gateway)["admitted"])
        self.compare(gateway, clients, seen, lost=KILLS * self.CONNECTIONS)

    def test_a_quota_is_exact_across_kills(self):
        seen = Seen()
        quota = 100 * KILLS
        gateway = self.simple(self.upstream(seen, record=False), f"quota {quota}/month;", top=FAST)
        rounds = random.Random(5)
        with Clients(gateway.plain, self.CONNECTIONS, pause=0.001) as clients:
            for _ in range(KILLS):
                time.sleep(rounds.uniform(0.01, 0.1))
                self.start_again(gateway)
            self.until(lambda: live(gateway)["refused_quota"] > 100, "the quota's end", 120)
            # In force after yet another end, and used up to the last unit.
            for kill in (True, False):
                self.start_again(gateway, kill)
                self.assertEqual(self.limit(gateway, "quota-month")["left"], 0)
            before = seen.count
            time.sleep(0.3)
            self.assertEqual(seen.count, before)
        row = self.compare(gateway, clients, seen, lost=(KILLS + 1) * self.CONNECTIONS)
        # A kill between taking from the quota and counting loses what the loops were just at, and lets nobody more in.
        self.assertLessEqual(row["admitted"], quota)
        self.assertGreaterEqual(row["admitted"], quota - 2 * KILLS)
        self.assertLessEqual(clients.answered(200), quota)

    def test_a_rate_is_in_force_across_kills(self):
        seen = Seen()
        gateway = self.simple(self.upstream(seen, record=False), "rate 200/s burst=100; quota 1000000000/month;", top=FAST)
        began = time.monotonic()
        with Clients(gateway.plain, self.CONNECTIONS, pause=0.001) as clients:
            for _ in range(min(KILLS, 20)):
                time.sleep(0.1)
                self.start_again(gateway)
            admitted = live(gateway)["admitted"]
            took = time.monotonic() - began
        # A restart fills no bucket.
        self.assertLessEqual(admitted, 100 + 200 * took + 1)
        self.compare(gateway, clients, seen, lost=KILLS * self.CONNECTIONS)

    def assert_all_the_same(self, row, clients, seen):
        served = clients.answered(200)
        self.assertEqual((row["admitted"], row["settled"], row["status_2xx"], seen.count), (served,) * 4)

    def test_reloads_under_load(self):
        seen = Seen()
        gateway = self.simple(self.upstream(seen, record=False), "quota 1000000000/month;", top=FAST)
        with Clients(gateway.plain, self.CONNECTIONS) as clients:
            for number in range(100):
                gateway.write(
                    FAST + "upstream app { server 127.0.0.1:$app; }\n"
                    f"tenant acme {{ host acme.test; upstream app; quota {10**9 + number}/month; }}\n"
                )
                gateway.json("/v1/reload", "POST")
        self.assert_all_the_same(self.compare(gateway, clients, seen), clients, seen)
        self.assertEqual(clients.all_sent, clients.answered(200))

    def test_graceful_restarts_under_load(self):
        seen = Seen()
        gateway = self.simple(self.upstream(seen, record=False), "quota 1000000000/month;", top=FAST)
        with Clients(gateway.plain, self.CONNECTIONS) as clients:
            for _ in range(10):
                time.sleep(0.1)
                self.start_again(gateway, kill=False)
        self.assert_all_the_same(self.compare(gateway, clients, seen), clients, seen)

    def fill(self, path):
        with open(path, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def test_a_full_disk_and_a_kill(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small disk")
        seen = Seen()
        gateway = self.simple(self.upstream(seen, record=False), "quota 1000000000/month;", top=FAST, start=False)
        folder = self.ledger(gateway)
        os.makedirs(folder, mode=0o700)
        os.chmod(os.path.dirname(folder), 0o700)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", folder], capture_output=True, text=True
        )
        if mounted.returncode != 0:
            self.skipTest("no tmpfs can be mounted here: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        gateway.start()
        with Clients(gateway.plain, self.CONNECTIONS, pause=0.002) as clients:
            self.until(lambda: usage(gateway), "the first line")
            ballast = os.path.join(folder, "ballast")
            self.fill(ballast)
            self.until(lambda: "No space left" in gateway.stderr, "the log to say so")
            time.sleep(0.3)
            # What was counted since then is known to the meters alone.
            self.start_again(gateway)
            self.fill(ballast)
            served = clients.answered(200)
            self.until(lambda: clients.answered(200) > served + 200, "traffic while the disk is full")
            os.remove(ballast)
            self.until(lambda: usage(gateway)["admitted"] > served + 200, "the ledger to catch up", 20)
        self.compare(gateway, clients, seen, lost=self.CONNECTIONS)
