"""Invoices: they don't guess, and what was issued stays."""

import calendar
import json
import os
import time
import zlib

from Support.case import Case
from Support.client import until
from Support.upstream import answer, text

FAST = "ledger_interval 100ms;\n"
PLAN = "plan pro { price 1.00 per 1 requests; price 30/month; price 1 per 1 response_bytes; currency EUR; }\n"


class Issued(Case):
    def month(self, ago=0):
        year, month = time.gmtime().tm_year, time.gmtime().tm_mon - ago
        return f"{year - (month < 1)}-{(month - 1) % 12 + 1:02}"

    def invoice(self, gateway, *arguments, month=None):
        return gateway.command(
            "invoice", "acme", "--month", month or self.month(), "--format", "json", "-c", gateway.file, *arguments
        )

    def amounts(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line["amount"] for line in json.loads(done.stdout)["lines"]]

    def start(self, plan=PLAN, upstream=None):
        gateway = self.simple(upstream or self.upstream(answer(text("ok"))), top=FAST + plan, tenant="plan pro;")
        self.get(gateway)
        until(lambda: os.path.exists(os.path.join(gateway.folder, "state", "terms.jsonl")), "the terms to be noted")
        usage = lambda: json.loads(gateway.command("usage", "-c", gateway.file, "--format", "json").stdout)
        until(lambda: sum(row["admitted"] for row in usage()) == 1, "the request in the ledger")
        return gateway

    def rewrite(self, gateway, top, tenant="acme", more="plan pro;"):
        gateway.write(
            FAST + top + "upstream app { server 127.0.0.1:$app; }\n"
            f"tenant {tenant} {{ host {tenant}.test; authenticate none; upstream app; {more} }}\n"
        )

    def test_a_configuration_with_errors_makes_none(self):
        gateway = self.start()
        gateway.stop()
        self.assertEqual(self.amounts(self.invoice(gateway)), ["1.00", "30.00", "2.00"])
        self.rewrite(gateway, PLAN.replace("1.00 per", "1,00 per"))
        done = self.invoice(gateway)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("1,00", done.stderr)

    def test_only_what_was_charged_is_billed(self):
        gateway = self.start()
        self.rewrite(gateway, PLAN + "upstream dead { server 127.0.0.1:1; }\n", more="plan pro; route /dead/ { upstream dead; }")
        gateway.reload()
        for _ in range(3):
            self.assertIn(self.get(gateway, "/dead/").status, (502, 503))
        gateway.stop()
        invoice = self.invoice(gateway)
        self.assertEqual(self.amounts(invoice), ["1.00", "30.00", "2.00"])
        self.assertEqual(json.loads(invoice.stdout)["charge"], "forwarded")
        usage = json.loads(gateway.command("usage", "-c", gateway.file, "--format", "json").stdout)[0]
        self.assertEqual((usage["admitted"], usage["response_bytes"]), (4, 2))

    def test_a_removed_tenant_is_invoiced_at_the_prices_that_it_had(self):
        gateway = self.start()
        self.rewrite(gateway, PLAN.replace("30/month", "99/month"), tenant="other")
        gateway.reload()
        until(lambda: self.invoice(gateway).returncode == 0, "its end to be noted")
        self.assertEqual(self.amounts(self.invoice(gateway)), ["1.00", "30.00", "2.00"])
        self.assertEqual(self.amounts(self.invoice(gateway, month="2020-01")), [])

    def test_what_was_issued_stays_and_is_corrected(self):
        gateway = self.start()
        self.assertEqual(self.invoice(gateway, "--issue").returncode, 1, "the month is not over")
        gateway.stop()
        # It was used last month.
        folder = os.path.join(gateway.folder, "state", "ledger")
        [name] = [name for name in os.listdir(folder) if name.endswith(".jsonl")]
        old = self.month(1) + "-10"
        with open(f"{folder}/{name}") as file:
            lines = file.read().replace(name[:10], old).splitlines()
        with open(f"{folder}/{old}.jsonl", "w") as file:
            for line in lines:
                body = line[: line.rindex(',"crc"')]
                file.write(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
        os.remove(f"{folder}/{name}")
        # Nothing was noted of plans and prices then, nor of how much was.
        for name in ("terms.jsonl", "meters"):
            os.remove(os.path.join(gateway.folder, "state", name))
        last = self.month(1)
        done = self.invoice(gateway, "--issue", month=last)
        self.assertEqual(self.amounts(done), ["1.00", "30.00", "2.00"])
        self.assertTrue(os.path.exists(os.path.join(gateway.folder, "state", "invoices", "acme", last + ".json")))
        self.rewrite(gateway, PLAN.replace("30/month", "25/month"))
        for _ in range(2):
            again = self.invoice(gateway, month=last)
            self.assertEqual(self.amounts(again), ["1.00", "30.00", "2.00"])
            self.assertEqual(json.loads(again.stdout)["correction"]["total"], "-5.00")
        corrected = json.loads(self.invoice(gateway, "--issue", month=last).stdout)
        self.assertEqual([one["total"] for one in corrected["corrections"]], ["-5.00"])
        self.assertNotIn("correction", corrected)
        self.assertEqual(self.amounts(self.invoice(gateway, month=last)), ["1.00", "30.00", "2.00"])
        shown = gateway.command("invoice", "acme", "--month", last, "-c", gateway.file).stdout
        self.assertIn("33.00 EUR", shown)


class Changed(Case):
    """A month of which the ledger and what was noted of plans and prices are made by hand: October 2026."""

    OCTOBER = calendar.timegm((2026, 10, 1, 0, 0, 0))

    def checked(self, body):
        return f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'

    def terms(self, day, plan, price, currency="EUR", charge="forwarded"):
        amount, per = price.split(" per 1 ")
        line = f'{{"price":"{price}","amount":"{amount}","from":0,"measure":"{per}","per":1,"over":0}}'
        return self.checked(
            f'{{"tenant":"acme","time":"2026-{day}T00:00:00Z","ended":false,"plan":"{plan}","charge":"{charge}",'
            f'"prorate":0,"currency":"{currency}","prices":[{line}]'
        )

    def record(self, number):
        """Ten requests of the day of that number."""
        total = [0] * 16
        total[0] = total[1] = total[9] = 10 * number
        return self.checked(
            f'{{"id":"11111111-1-{number}","tenant":"acme","from":"2026-10-{number:02}T01:00:00.000Z",'
            f'"to":"2026-10-{number:02}T01:00:10.000Z","admitted":10,"settled":10,"in_flight":0,"refused":{{}},'
            '"status":[0,10,0,0,0],"request_bytes":0,"response_bytes":0,"upstream_ms":0,"cost":10,'
            f'"totals":[{",".join(map(str, total))}]'
        )

    def past(self, plans, *terms, top=""):
        gateway = self.simple(self.upstream(answer(text("ok"))), top=FAST + top + plans, tenant="plan pro;", start=False)
        ledger = os.path.join(gateway.folder, "state", "ledger")
        os.makedirs(ledger, mode=0o700)
        os.chmod(os.path.dirname(ledger), 0o700)
        for number in range(1, 32):
            with open(f"{ledger}/2026-10-{number:02}.jsonl", "w") as out:
                out.write(self.record(number))
        with open(os.path.join(gateway.folder, "state", "terms.jsonl"), "w") as out:
            out.writelines(terms)
        return gateway

    def invoice(self, gateway, *arguments, form="json"):
        return gateway.command("invoice", "acme", "--month", "2026-10", "--format", form, "-c", gateway.file, *arguments)

    def totals(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["total"], json.loads(done.stdout)["currency"]

    PRICE = "plan pro {{ price {} per 1 requests; currency {}; }}\n"

    def test_a_past_month_is_charged_by_what_was_in_force(self):
        gateway = self.past(self.PRICE.format("150", "JPY"), self.terms("09-01", "pro", "1.00 per 1 requests"))
        self.assertEqual(self.totals(self.invoice(gateway)), ("310.00", "EUR"))
        self.assertEqual(self.totals(self.invoice(gateway, "--issue")), ("310.00", "EUR"))
        again = self.invoice(gateway, "--issue")
        self.assertEqual(self.totals(again), ("310.00", "EUR"))
        self.assertEqual(json.loads(again.stdout)["corrections"], [])
        # Without what was noted nobody can tell, and euros and yen are not added up.
        os.remove(os.path.join(gateway.folder, "state", "terms.jsonl"))
        lost = self.invoice(gateway)
        self.assertEqual(lost.returncode, 1)
        self.assertIn("was issued in EUR", lost.stderr)

    def began(self, *lines, lost=()):
        """What was used before anything was noted: (tenant, time in October, requests so far, of which in this line)."""
        plan = "plan pro { price 1.00 per 1 requests; price 31/month; prorate on; currency EUR; }\n"
        gateway = self.past(plan + "tenant b { host b.test; authenticate none; upstream app; plan pro; }\n")
        ledger = os.path.join(gateway.folder, "state", "ledger")
        os.remove(os.path.join(gateway.folder, "state", "terms.jsonl"))
        days = {name: [] for name in os.listdir(ledger)}
        before = None
        for number, (tenant, at, total, count) in enumerate(lines, start=1):
            totals = [0] * 16
            totals[0] = totals[1] = totals[9] = total
            day = f"2026-10-{at[:2]}"
            since = f',"day_before":"{before}"' if before not in (None, day) else ""
            before = day
            if number not in lost:
                days[day + ".jsonl"].append(self.checked(
                    f'{{"id":"11111111-1-{number}","tenant":"{tenant}","from":"2026-10-{at}:00:00.000Z",'
                    f'"to":"2026-10-{at}:00:10.000Z"{since},"admitted":{count},"settled":{count},"in_flight":0,"refused":{{}},'
                    f'"status":[0,{count},0,0,0],"request_bytes":0,"response_bytes":0,"upstream_ms":0,"cost":{count},'
                    f'"totals":[{",".join(map(str, totals))}]'
                ))
        for name, kept in days.items():
            os.remove(f"{ledger}/{name}")
            if kept:
                with open(f"{ledger}/{name}", "w") as out:
                    out.writelines(kept)
        return gateway.command("invoice", "b", "--month", "2026-10", "--format", "json", "-c", gateway.file)

    def test_who_may_have_begun_in_lines_that_are_lost_is_not_charged_from_later_on(self):
        lines = ("acme", "01T01", 1, 1), ("b", "05T01", 7, 7), ("acme", "05T02", 2, 1), ("acme", "20T03", 3, 1)
        for more, total in ((), "34.00"), ((("b", "20T03", 8, 1),), "35.00"):
            self.assertEqual(self.totals(self.began(*lines, *more)), (total, "EUR"))
            refused = self.began(*lines, *more, lost=(2,))
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
            self.assertIn("line 11111111-1-2 is missing; it may be when b began", refused.stderr)

    def test_who_began_in_a_line_that_is_known_all_the_same_is_charged_from_that_day_on(self):
        lines = ("acme", "05T00", 1, 1), ("b", "05T01", 7, 7), ("acme", "05T02", 2, 1), ("b", "20T03", 8, 1)
        self.assertEqual(self.totals(self.began(*lines, lost=(2,))), ("35.00", "EUR"))

    def test_lines_that_are_lost_may_be_of_somebody_who_has_no_others(self):
        lines = ("acme", "05T01", 1, 1), ("acme", "05T01", 2, 1), ("b", "05T01", 100, 100), ("acme", "05T02", 3, 1)
        self.assertEqual(self.totals(self.began(*lines)), ("127.00", "EUR"))
        self.assertEqual(self.totals(self.began(*lines, lost=(2,))), ("127.00", "EUR"))
        refused = self.began(*lines, lost=(2, 3))
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))

    def test_what_was_noted_by_a_clock_that_was_ahead_is_not_in_force_once_its_day_comes(self):
        prices = ("09-01", "1.00"), ("10-20", "2.00"), ("10-11", "3.00")
        noted = [self.terms(day, "pro", f"{price} per 1 requests") for day, price in prices]
        gateway = self.past(self.PRICE.format("3.00", "EUR"), *noted)
        self.assertEqual(self.totals(self.invoice(gateway)), ("730.00", "EUR"))

    def test_each_currency_of_a_month_has_an_invoice_of_its_own(self):
        gateway = self.past(
            self.PRICE.format("150", "JPY"), self.terms("09-01", "pro", "1.00 per 1 requests"),
            self.terms("10-21", "pro", "150 per 1 requests", "JPY"),
        )
        refused = self.invoice(gateway)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("--currency EUR", refused.stderr)
        for currency, total in (("EUR", "200.00"), ("JPY", "16500")):
            self.assertEqual(self.totals(self.invoice(gateway, "--currency", currency, "--issue")), (total, currency))
        for currency, total in (("EUR", "200.00"), ("JPY", "16500")):
            shown = self.invoice(gateway, "--currency", currency)
            self.assertEqual(self.totals(shown), (total, currency))
            self.assertNotIn("correction", json.loads(shown.stdout))
        self.assertEqual(self.invoice(gateway, "--currency", "USD").returncode, 1)

    def test_the_rule_of_that_time_is_named(self):
        gateway = self.past(
            self.PRICE.format("1.00", "EUR") + "defaults { charge admitted; }\n", self.terms("09-01", "pro", "1.00 per 1 requests"),
            self.terms("11-20", "pro", "1.00 per 1 requests", charge="admitted"),
        )
        self.assertEqual(json.loads(self.invoice(gateway).stdout)["charge"], "forwarded")
        self.assertIn("`charge forwarded`", self.invoice(gateway, form="text").stdout)

    def test_what_was_issued_is_shown_as_it_was_or_not_at_all(self):
        gateway = self.past(self.PRICE.format("1.00", "EUR"), self.terms("09-01", "pro", "1.00 per 1 requests"))
        self.totals(self.invoice(gateway, "--issue"))
        for form, kind in (("text", "txt"), ("csv", "csv"), ("json", "json")):
            path = os.path.join(gateway.folder, "state", "invoices", "acme", "2026-10." + kind)
            with open(path) as file:
                whole = file.read()
            shown = self.invoice(gateway, form=form).stdout
            self.assertIn("310.00", shown)
            with open(path, "w") as file:
                file.write(whole.replace("310.00", "910.00"))
            for change in (lambda: None, lambda: os.remove(path)):
                change()
                refused = self.invoice(gateway, form=form)
                self.assertEqual((refused.returncode, refused.stdout), (1, ""), form)
                self.assertIn("2026-10." + kind, refused.stderr)
                self.assertEqual(self.invoice(gateway, "--issue").returncode, 1 if kind == "json" else 0)
            with open(path, "w") as file:
                file.write(whole)
            self.assertEqual(self.invoice(gateway, form=form).stdout, shown)

    def test_a_month_of_which_only_the_sum_is_kept(self):
        plans = "plan basic { price 1.00 per 1 requests; currency EUR; }\n" + self.PRICE.format("2.00", "EUR")
        changed = (self.terms("09-01", "basic", "1.00 per 1 requests"), self.terms("10-16", "pro", "2.00 per 1 requests"))
        gateway = self.past(plans, *changed, top="ledger_rollup month; ledger_retention 1d;\n")
        # What is to be told apart is kept.
        self.roll_up(gateway)
        self.assertEqual(self.totals(self.invoice(gateway)), ("470.00", "EUR"))
        # As an earlier version left it.
        rollup = os.path.join(gateway.folder, "state", "ledger", "rollup")
        for name in os.listdir(rollup):
            if ".day." in name:
                os.remove(os.path.join(rollup, name))
        refused = self.invoice(gateway)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        for part in ("2026-10-16", "2026-10.month.jsonl", "--coarse"):
            self.assertIn(part, refused.stderr)
        coarse = self.invoice(gateway, "--coarse")
        self.assertEqual((self.totals(coarse), json.loads(coarse.stdout)["coarse"]), (("620.00", "EUR"), True))
        self.assertIn("Coarse", self.invoice(gateway, "--coarse", form="text").stdout)

    def roll_up(self, gateway):
        gateway.start()
        until(lambda: "files of intervals removed" in gateway.stderr, "the lines to be removed")
        gateway.stop()
