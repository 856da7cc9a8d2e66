"""Admitted = counted, whatever ends the process: three books are compared after kills at random moments."""

import os
import random
import time

from Support.case import Case
from Support.upstream import text
from test_limits import Flood

KILLS = int(os.environ.get("GATEWAY_KILLS", "20"))


class Exactness(Case):
    """GATEWAY_KILLS=200 for the long run."""

    seconds = 60 + 3 * KILLS
    CONNECTIONS = 8

    def books(self, gateway):
        return gateway.json("/v1/tenants/acme")

    def test_kills_under_load(self):
        seen = [0]

        def count(peer):
            while True:
                peer.read_request()
                seen[0] += 1
                peer.send(text("ok"))

        upstream = self.upstream(count, record=False)
        gateway = self.simple(upstream, "quota 1000000000/month;")
        flood = Flood(gateway.plain, "acme.test", self.CONNECTIONS, pause=0.001).start()
        rounds = random.Random(4)
        last = 0
        for _ in range(KILLS):
            time.sleep(rounds.uniform(0.05, 0.4))
            gateway.process.kill()
            gateway.process.wait()
            gateway.start()
            books = self.books(gateway)["live"]
            self.assertGreaterEqual(books["admitted"], last)
            last = books["admitted"]
        statuses = flood.stop()
        self.until(lambda: self.books(gateway)["live"]["in_flight"] == 0, "nothing in flight", 5)
        books = self.books(gateway)
        admitted, settled = books["live"]["admitted"], books["live"]["settled"]
        used = next(one["used"] for one in books["limits"] if one["policy"] == "quota-month")
        answered = statuses.get(200, 0)
        lost = KILLS * self.CONNECTIONS
        self.assertGreater(answered, 0)
        # Never fewer than were answered, never more than were sent.
        self.assertGreaterEqual(admitted, answered)
        self.assertLessEqual(admitted, answered + sum(statuses.values()) - answered + lost)
        self.assertLessEqual(settled, seen[0] + statuses.get(502, 0) + statuses.get(503, 0))
        self.assertLessEqual(admitted - settled, lost)
        # What was admitted is used up, but for what the gateway could not forward and gave back.
        self.assertLessEqual(used, admitted)
        self.assertGreaterEqual(used, answered)

    def test_a_quota_is_exact_across_kills(self):
        def serve(peer):
            while True:
                peer.read_request()
                peer.send(text("ok"))

        quota = 1500
        gateway = self.simple(self.upstream(serve, record=False), f"quota {quota}/month;")
        flood = Flood(gateway.plain, "acme.test", self.CONNECTIONS, pause=0.002).start()
        rounds = random.Random(5)
        for _ in range(min(KILLS, 10)):
            time.sleep(rounds.uniform(0.02, 0.2))
            gateway.process.kill()
            gateway.process.wait()
            gateway.start()
        self.until(lambda: self.books(gateway)["live"]["refused_quota"] > 100, "the quota's end", 60)
        statuses = flood.stop()
        admitted = self.books(gateway)["live"]["admitted"]
        # A kill between taking from the quota and counting loses one at most, and never lets one more in.
        self.assertLessEqual(admitted, quota)
        self.assertGreaterEqual(admitted, quota - 2 * min(KILLS, 10))
        self.assertLessEqual(statuses.get(200, 0), admitted)
