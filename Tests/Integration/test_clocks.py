"""A wall clock that jumps: periods, quotas and the ledger go on by the time before."""

import calendar
import json
import os
import time
import unittest

from Support.case import Case
from Support.client import until
from Support.preload import Machine, WallClock, environment
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


# ThreadSanitizer's own `pthread_cond_timedwait` stands in the binary, in front of the one that knows the machine's clocks: the
# ledger would wait by the true one.
waits_by_its_clock = unittest.skipIf(os.environ.get("SANITIZER") == "thread", "waits don't go by the machine's clocks")


class Machines(Case):
    """Boots, and a disk that stalls, on a machine whose clocks the test has."""

    NOON = calendar.timegm((2026, 11, 28, 12, 0, 0))

    def started(self, at, tenant="", top=FAST):
        gateway = self.simple(self.upstream(answer(text("ok"))), top=top, tenant=tenant, start=False)
        machine = Machine(gateway.folder, at)
        self.start(gateway, machine)
        return gateway, machine

    def start(self, gateway, machine):
        gateway.start(environment=environment(machine))

    def ask(self, gateway, count=1):
        return [self.get(gateway).status for _ in range(count)]

    def months(self, gateway, machine, by="month"):
        done = gateway.command(
            "usage", "-c", gateway.file, "--by", by, "--format", "json", environment=environment(machine)
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {row["from"][: 7 if by == "month" else 10]: row["admitted"] for row in json.loads(done.stdout)}

    def believe(self, gateway, machine, times=1):
        """Ten minutes go by, a bit at a time, until the clock is believed."""
        for _ in range(8):
            machine.go_on(100)
            time.sleep(1.1)
            if gateway.stderr.count("clock: is believed") + gateway.stderr.count("is believed\n") >= times:
                return
        self.fail("the clock is not believed")

    @waits_by_its_clock
    def test_a_boot_with_the_clock_ahead_bills_nothing_to_another_month(self):
        gateway, machine = self.started(self.NOON, tenant="quota 10/month;")
        self.assertEqual(self.ask(gateway, 3), [200] * 3)
        gateway.stop()
        machine.boot()
        machine.set(40 * DAY)
        self.start(gateway, machine)
        self.assertEqual(self.ask(gateway, 3), [200] * 3)
        time.sleep(1.2)
        machine.set(-40 * DAY)
        time.sleep(1.2)
        self.assertEqual(self.ask(gateway, 4), [200] * 4)
        # It is one month and one quota, whatever the clock said.
        self.assertEqual(self.ask(gateway), [429])
        self.assertEqual(self.months(gateway, machine), {"2026-11": 3})
        self.assertIn("waits until the clock is believed", gateway.stderr)
        self.believe(gateway, machine)
        until(lambda: self.months(gateway, machine) == {"2026-11": 10}, "all of it in November")

    @waits_by_its_clock
    def test_a_machine_that_was_off_over_the_end_of_a_month_bills_by_the_month_it_is(self):
        gateway, machine = self.started(calendar.timegm((2026, 11, 30, 20, 0, 0)))
        self.ask(gateway, 3)
        gateway.stop()
        machine.boot()
        machine.set(2 * DAY)
        self.start(gateway, machine)
        self.ask(gateway, 4)
        time.sleep(0.5)
        self.assertEqual(self.months(gateway, machine), {"2026-11": 3})
        # A restart does not shorten the wait, and writes nothing by the time before.
        gateway.stop()
        self.start(gateway, machine)
        self.ask(gateway, 2)
        self.believe(gateway, machine)
        until(lambda: self.months(gateway, machine) == {"2026-11": 3, "2026-12": 6}, "the others in December")

    def test_a_boot_without_a_clock_goes_on_by_the_time_before(self):
        gateway, machine = self.started(self.NOON, tenant="quota 100/month;")
        self.ask(gateway, 3)
        gateway.stop()
        machine.boot()
        machine.set(300 - machine.time())
        self.start(gateway, machine)
        self.ask(gateway, 4)
        for _ in range(8):
            machine.go_on(100)
            time.sleep(1.1)
        self.assertIn("clock: was never set", gateway.stderr)
        self.assertNotIn("clock: is believed", gateway.stderr)
        self.ask(gateway, 2)
        gateway.stop()
        self.assertEqual(self.months(gateway, machine), {"2026-11": 9})

    @waits_by_its_clock
    def test_prices_that_were_read_by_a_clock_ahead_are_in_force_once_it_is_set_right(self):
        plan = "plan pro { price 1.00 per 1 requests; currency EUR; }\n"
        gateway, machine = self.started(self.NOON, top=FAST + plan, tenant="plan pro;")
        path = os.path.join(gateway.folder, "state", "terms.jsonl")

        def noted():
            if not os.path.exists(path):
                return []
            with open(path) as file:
                lines = [json.loads(line) for line in file]
            return [(line["time"][:10], line["prices"][0]["amount"]) for line in lines if line["tenant"]]

        until(lambda: noted() == [("2026-11-28", "1")], "the prices to be noted")
        machine.set(5 * DAY)
        time.sleep(1.2)
        self.believe(gateway, machine)
        with open(gateway.file) as file:
            configuration = file.read()
        with open(gateway.file, "w") as file:
            file.write(configuration.replace("1.00 per", "2.00 per"))
        gateway.reload()
        until(lambda: noted()[1:] == [("2026-12-03", "2")], "the new prices to be noted")
        machine.set(-5 * DAY)
        time.sleep(1.2)
        self.believe(gateway, machine, 2)
        until(lambda: noted()[2:] == [("2026-11-28", "2")], "them to be noted again, of the day on which they were read")

    def test_a_disk_that_stalls_over_the_end_of_a_month_moves_no_request(self):
        end = calendar.timegm((2026, 12, 1, 0, 0, 0))
        gateway, machine = self.started(end - 4)
        self.ask(gateway, 5)
        open(machine.stall, "w").close()
        self.ask(gateway, 3)
        before = 8
        while machine.time() < end - 0.3:
            self.ask(gateway)
            before += 1
            time.sleep(0.05)
        while machine.time() < end + 0.01:
            time.sleep(0.01)
        after = len(self.ask(gateway, 4))
        while machine.time() < end + 8:
            after += len(self.ask(gateway))
            time.sleep(0.2)
        os.remove(machine.stall)
        until(
            lambda: self.months(gateway, machine) == {"2026-11": before, "2026-12": after}, "each in the month in which it was admitted"
        )
