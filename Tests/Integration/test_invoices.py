"""Invoices: they don't guess, and what was issued stays."""

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
