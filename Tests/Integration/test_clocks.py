"""A wall clock that jumps: periods, quotas and the ledger go on by the time before."""

import json
import os
import time

from Support.case import Case
from Support.client import until
from Support.preload import WallClock, environment
from Support.upstream import answer, text

FAST = "ledger_interval 100ms;\n"
DAY = 86400


class Jumps(Case):
    def started(self, tenant="", seconds=0):
        gateway = self.simple(self.upstream(answer(text("ok"))), top=FAST, tenant=tenant, start=False)
        clock = WallClock(gateway.folder, seconds)
        gateway.start(environment=environment(clock))
        return gateway, clock

    def jumps(self, gateway):
        return gateway.metrics().sum("gateway_clock_jumps_total")

    def days(self, gateway):
        done = gateway.command("usage", "-c", gateway.file, "--by", "day", "--format", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {row["from"][:10]: row["admitted"] for row in json.loads(done.stdout)}

    def test_a_jump_and_back_moves_no_request_to_another_day_and_closes_none(self):
        # A minute before midnight, by the gateway's clock.
        early = DAY - time.time() % DAY - 60
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + early))
        gateway, clock = self.started(seconds=early)
        self.get(gateway)
        until(lambda: self.days(gateway) == {day: 1}, "the request in the ledger")
        for number, jump in enumerate((2, DAY, -DAY, 40 * DAY), start=1):
            clock.set(early + jump)
            until(lambda: self.jumps(gateway) == number, "the jump to be noticed")
            self.get(gateway)
            time.sleep(0.3)
            clock.set(early)
            until(lambda: gateway.stderr.count("clock: is back") == number, "the clock to be back")
            self.get(gateway)
        until(lambda: self.days(gateway) == {day: 9}, "all of them on their day")
        self.assertEqual(gateway.stderr.count("clock: jumped"), 4)
        self.assertNotIn("files of sums written", gateway.stderr)
        self.assertFalse(os.path.exists(os.path.join(gateway.folder, "state", "ledger", "rollup")))

    def test_a_jump_neither_shuts_out_nor_gives_a_second_quota(self):
        gateway, clock = self.started(tenant="quota 5/day; quota 100/month;")
        for _ in range(3):
            self.assertEqual(self.get(gateway).status, 200)
        for jump in (40 * DAY, -40 * DAY):
            clock.set(jump)
            # The gateway looks at its clocks once a second.
            time.sleep(1.2)
            self.assertEqual(self.get(gateway).status, 200)
        for jump in (0, 40 * DAY, 0):
            clock.set(jump)
            time.sleep(1.2)
            refused = self.get(gateway)
            self.assertEqual(refused.status, 429)
            self.assertAlmostEqual(int(refused.fields.get("Retry-After")), DAY - time.time() % DAY, delta=5)

    def test_a_restart_during_a_jump_goes_on_by_the_time_before(self):
        gateway, clock = self.started()
        self.get(gateway)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        until(lambda: self.days(gateway) == {today: 1}, "the request in the ledger")
        gateway.stop()
        clock.set(33 * DAY)
        gateway.start(environment=environment(clock))
        self.get(gateway)
        until(lambda: self.days(gateway) == {today: 2}, "the request on its day")
        until(lambda: self.jumps(gateway) == 1, "the jump to be noticed")
