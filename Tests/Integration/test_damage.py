"""A damaged ledger: what other lines tell is made good, what remains is named, and nothing is silently less."""

import json
import os
import shutil
import time
import zlib

from Support.case import Case
from Support.client import until
from Support.upstream import answer, text

FAST = "ledger_interval 100ms;\n"
PRICES = "plan pro { price 1.00 per 1 requests; currency EUR; }\n"


class Damage(Case):
    def written(self, count=6, top=FAST + PRICES):
        """A stopped gateway with so many lines of a request each."""
        gateway = self.simple(self.upstream(answer(text("ok"))), top=top, tenant="plan pro;")
        for number in range(1, count + 1):
            self.get(gateway)
            until(lambda: sum(row["admitted"] for row in self.rows(gateway)) == number, "the request in the ledger")
        gateway.stop()
        folder = os.path.join(gateway.folder, "state", "ledger")
        [name] = [name for name in os.listdir(folder) if name.endswith(".jsonl")]
        return gateway, folder, name

    def usage(self, gateway, *arguments):
        return gateway.command("usage", "-c", gateway.file, "--format", "json", *arguments)

    def rows(self, gateway, *arguments):
        done = self.usage(gateway, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def lines(self, folder, name):
        with open(f"{folder}/{name}") as file:
            return file.readlines()

    def put(self, folder, name, lines):
        with open(f"{folder}/{name}", "w") as file:
            file.writelines(lines)

    def flipped(self, line):
        return line[:60] + chr(ord(line[60]) ^ 1) + line[61:]

    def month(self):
        return time.strftime("%Y-%m", time.gmtime())

    def invoice(self, gateway, *arguments):
        return gateway.command("invoice", "acme", "--month", self.month(), "--format", "json", "-c", gateway.file, *arguments)

    def test_a_line_whose_neighbours_tell_what_it_said(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        for number in range(len(whole)):
            with self.subTest(number):
                self.put(folder, name, whole[:number] + [self.flipped(whole[number])] + whole[number + 1 :])
                done = self.usage(gateway)
                self.assertEqual((done.returncode, json.loads(done.stdout)[0]["admitted"]), (0, 6))
                self.assertIn(f"mended: {folder}/{name}:{number + 1}", done.stderr)
        self.put(folder, name, whole + [whole[2]])
        self.assertEqual(self.rows(gateway)[0]["admitted"], 6, "a line twice counts once")

    def test_a_ledger_that_is_gone_with_the_meters_is_missed_by_what_was_noted_beside_it(self):
        gateway, folder, name = self.written()
        state = os.path.join(gateway.folder, "state")
        os.remove(os.path.join(state, "meters"))
        self.assertEqual(self.rows(gateway)[0]["admitted"], 6)
        for lose in (lambda: self.put(folder, name, []), lambda: shutil.rmtree(folder)):
            lose()
            for arguments in ("usage",), ("usage", "--by", "day"), ("usage", "acme"), ("ledger", "verify"), ("ledger", "repair", "--yes"):
                done = gateway.command(*arguments, "-c", gateway.file)
                self.assertEqual(done.returncode, 1, arguments)
                self.assertIn("damaged: ", done.stdout + done.stderr)
            refused = self.invoice(gateway)
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        # Where nothing was ever noted there was none.
        os.remove(os.path.join(state, "terms.jsonl"))
        self.assertEqual(self.rows(gateway), [])

    def test_what_nobody_can_tell_is_named_and_no_invoice_is_made_of_it(self):
        gateway, folder, name = self.written()
        os.remove(os.path.join(gateway.folder, "state", "meters"))
        whole = self.lines(folder, name)
        self.put(folder, name, whole[:-1] + [self.flipped(whole[-1])])
        done = self.usage(gateway)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"damaged: {folder}/{name}:{len(whole)}", done.stderr)
        self.assertEqual(json.loads(done.stdout)[0]["damaged"], 1)
        self.assertEqual(self.usage(gateway, "--accept-damage").returncode, 0)
        refused = self.invoice(gateway)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("--accept-damage", refused.stderr)
        accepted = self.invoice(gateway, "--accept-damage")
        self.assertEqual(accepted.returncode, 0)
        self.assertEqual(json.loads(accepted.stdout)["damaged"], 1)
        verify = gateway.command("ledger", "verify", "-c", gateway.file)
        self.assertEqual(verify.returncode, 1)
        self.assertIn(f"damaged: {name}:{len(whole)}", verify.stdout)

    def age(self, gateway, folder, name, days):
        """Its lines are of so many days ago, and the meters know nothing of it. Returns that day and its lines."""
        os.remove(os.path.join(gateway.folder, "state", "meters"))
        old = time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * 86400))
        aged = []
        for line in self.lines(folder, name):
            body = line.replace(name[:10], old)
            body = body[: body.rindex(',"crc"')]
            aged.append(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
        os.remove(f"{folder}/{name}")
        return old, aged

    def test_hours_of_which_only_a_days_sum_is_kept_are_not_told(self):
        top = FAST + PRICES + "ledger_rollup day;\nledger_retention 1d;\n"
        gateway, folder, name = self.written(2, top)
        day, lines = self.age(gateway, folder, name, 3)
        self.put(folder, day + ".jsonl", lines)
        gateway.start()
        until(lambda: not os.path.exists(f"{folder}/{day}.jsonl"), "the lines to be removed")
        refused = self.usage(gateway, "--by", "hour")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn(f"rollup/{day}.day.jsonl", refused.stderr)
        self.assertIn("--coarse", refused.stderr)
        [row] = self.rows(gateway, "--by", "hour", "--coarse")
        self.assertEqual((row["from"], row["admitted"]), (day + "T00:00:00Z", 2))
        self.assertEqual([row["admitted"] for row in self.rows(gateway, "--by", "day")], [2])
        self.assertEqual(gateway.json("/v1/tenants/acme/usage?by=hour&coarse=true"), [row])
        self.assertEqual(gateway.call("GET", "/v1/tenants/acme/usage?by=hour")[0], 422)

    def test_the_api_and_the_metrics_say_it_too(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        old, aged = self.age(gateway, folder, name, 1)
        self.put(folder, old + ".jsonl", aged[:-2] + [self.flipped(aged[-2])])
        gateway.start()
        until(lambda: gateway.metrics().sum("gateway_ledger_damaged_lines") >= 1, "the metric")
        rows = gateway.json("/v1/tenants/acme/usage")
        self.assertGreaterEqual(rows[0]["damaged"], 1)
        self.assertIn(f"{old}.jsonl:{len(whole) - 1}", gateway.stderr)

    def test_repair_shows_first_and_mends_when_it_is_agreed_to(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        self.put(folder, name, whole[:2] + [self.flipped(whole[2])] + whole[3:] + whole[-1:])
        before = self.lines(folder, name)
        ledger = lambda *words: gateway.command("ledger", *words, "-c", gateway.file)
        self.assertEqual(ledger("verify").returncode, 1)
        for words in (["repair", "--dry-run"], ["repair"]):
            shown = ledger(*words)
            self.assertIn(f"{name}: written anew", shown.stdout)
            self.assertEqual(self.lines(folder, name), before)
        self.assertEqual(shown.returncode, 1)
        done = ledger("repair", "--yes")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(ledger("verify").returncode, 0)
        self.assertEqual(len(self.lines(folder, name)), len(whole))
        self.assertEqual(self.rows(gateway)[0]["admitted"], 6)
        gateway.start()
        self.get(gateway)
        self.assertEqual(ledger("repair", "--yes").returncode, 1, "a running gateway has it")
        gateway.stop()
        self.assertEqual(self.rows(gateway)[0]["admitted"], 7)

    def test_repair_says_what_it_does_in_json_alone(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        self.put(folder, name, whole[:2] + [self.flipped(whole[2])] + whole[3:])

        def repair(*words):
            done = gateway.command("ledger", "repair", *words, "--format", "json", "-c", gateway.file)
            return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

        code, said, _ = repair("--dry-run")
        self.assertEqual((code, len(said["mendable"]), len(said["plan"])), (0, 1, 1))
        self.assertIn(f"{name}: written anew", said["plan"][0])
        code, nothing, asked = repair()
        self.assertEqual((code, nothing), (1, None))
        self.assertIn(f"{name}: written anew", asked)
        said["repaired"] = said.pop("plan")
        self.assertEqual(repair("--yes"), (0, {**said, "mendable": []}, ""))
        code, said, _ = repair("--yes")
        self.assertEqual((code, said["mendable"], said["repaired"]), (0, [], []))
        code, said, _ = repair("--dry-run")
        self.assertEqual((code, said["mendable"], said["plan"]), (0, [], []))

    def test_lines_that_are_gone_from_the_end_are_missed(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        self.put(folder, name, whole[:-2])
        done = self.usage(gateway)
        self.assertEqual(json.loads(done.stdout)[0]["admitted"], 6)
        self.assertIn("mended", done.stderr)
        shutil.rmtree(folder)
        os.mkdir(folder, 0o700)
        done = self.usage(gateway)
        self.assertTrue(done.returncode == 1 or json.loads(done.stdout)[0]["admitted"] == 6)

    def test_lines_that_are_gone_from_the_end_are_missed_after_a_restart_and_by_a_month(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        gateway.start()
        gateway.stop()
        month = ["--from", self.month(), "--to", "2101-01"]
        for lines in (whole[:-1], whole[:-3], []):
            self.put(folder, name, lines)
            for words in ([], month, ["acme"] + month, ["acme", "--by", "day"] + month, ["--by", "day"]):
                done = self.usage(gateway, *words)
                self.assertEqual((done.returncode, sum(row["admitted"] for row in json.loads(done.stdout))), (0, 6), words)
                self.assertIn("missing; what it said is known all the same", done.stderr)
            invoice = self.invoice(gateway)
            self.assertEqual((invoice.returncode, json.loads(invoice.stdout)["total"]), (0, "6.00"))
            self.assertEqual(gateway.command("ledger", "verify", "-c", gateway.file).returncode, 1)
        os.remove(os.path.join(gateway.folder, "state", "meters"))
        self.put(folder, name, whole)
        self.assertEqual(sum(row["admitted"] for row in self.rows(gateway)), 6)

    def test_lines_in_another_days_file_count_on_their_own_day(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        old, aged = self.age(gateway, folder, name, 2)
        other = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400)) + ".jsonl"
        self.put(folder, f"{old}.jsonl", aged[:2])
        self.put(folder, other, aged[2:])
        done = self.usage(gateway, "acme", "--by", "day")
        self.assertEqual(done.returncode, 0)
        self.assertEqual([(row["from"][:10], row["admitted"]) for row in json.loads(done.stdout)], [(old, 6)])
        self.assertIn(f"mended: {folder}/{other}:1: here and behind are {len(whole) - 2} lines of other days", done.stderr)
        repaired = gateway.command("ledger", "repair", "--yes", "-c", gateway.file)
        self.assertEqual(repaired.returncode, 0, repaired.stdout + repaired.stderr)
        self.assertEqual((self.lines(folder, f"{old}.jsonl"), self.lines(folder, other)), (aged, []))
        self.assertEqual(self.lines(folder, f"{other}.damaged"), aged[2:])
        self.assertIn(f"{other} is kept as {other}.damaged", repaired.stdout)
        self.assertEqual([row["admitted"] for row in self.rows(gateway, "acme", "--by", "day")], [6])

    def test_a_repair_keeps_what_it_replaces_and_leaves_what_is_hopeless(self):
        gateway, folder, name = self.written()
        whole = self.lines(folder, name)
        damaged = whole[:2] + [self.flipped(whole[2])] + whole[3:]
        self.put(folder, name, damaged)
        done = gateway.command("ledger", "repair", "--yes", "-c", gateway.file)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.lines(folder, name + ".damaged"), damaged)
        self.assertEqual(sum(row["admitted"] for row in self.rows(gateway)), 6)
        os.remove(os.path.join(gateway.folder, "state", "meters"))
        damaged = whole[:1] + whole[:-1] + [self.flipped(whole[-1])]
        self.put(folder, name, damaged)
        done = gateway.command("ledger", "repair", "--yes", "-c", gateway.file)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.lines(folder, name), damaged)
        self.assertEqual(self.usage(gateway).returncode, 1)

    def test_lost_lines_of_plans_and_prices_are_missed(self):
        gateway, folder, name = self.written(2)
        terms = os.path.join(gateway.folder, "state", "terms.jsonl")
        self.assertEqual(self.invoice(gateway).returncode, 0)
        os.remove(terms)
        refused = self.invoice(gateway)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("damaged: ", refused.stderr)
        self.assertIn("terms.jsonl:1", refused.stderr)

    def test_a_foreign_folder_stops_nothing(self):
        gateway, folder, name = self.written()
        os.mkdir(f"{folder}/2026-01-01.jsonl")
        self.assertEqual(self.rows(gateway)[0]["admitted"], 6)
        gateway.start()
        self.get(gateway)
        until(lambda: self.rows(gateway)[0]["admitted"] == 7, "the seventh request")

    def test_what_is_not_in_a_ledger_that_can_not_be_opened_is_told(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), top=FAST, start=False)
        state = os.path.join(gateway.folder, "state")
        os.makedirs(state, mode=0o700)
        with open(f"{state}/ledger", "w") as file:
            file.write("in the way")
        gateway.start()
        for _ in range(3):
            self.assertEqual(self.get(gateway).status, 200)
        unflushed = lambda: gateway.metrics().sum("gateway_ledger_unflushed")
        until(lambda: unflushed() == 3, "the metric")
        os.remove(f"{state}/ledger")
        until(lambda: unflushed() == 0, "the ledger to catch up", 10)
        self.assertEqual(self.rows(gateway)[0]["admitted"], 3)

    def test_a_refusal_is_the_same_to_usage_and_metrics(self):
        gateway = self.simple(
            self.upstream(answer(text("ok"))),
            top=FAST + "upstream dead { server 127.0.0.1:1; }\n",
            tenant="quota 4/day; route /dead/ { upstream dead; } route /small/ { max_body 1; }",
        )
        self.get(gateway)
        self.get(gateway, "/dead/")
        for _ in range(5):
            self.get(gateway)
        refused = gateway.metrics().sum("gateway_refused_total", tenant="acme")
        self.assertEqual(refused, 3)
        until(lambda: sum(row["refused"] for row in self.rows(gateway)) == refused, "usage to say the same")

    def test_all_tenants_by_hour_come_day_by_day(self):
        gateway, folder, name = self.written(2)
        for arguments in (["--format", "json"], ["--format", "csv"], []):
            done = gateway.command("usage", "-c", gateway.file, "--by", "hour", *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("acme", done.stdout)
        rows = json.loads(gateway.command("usage", "-c", gateway.file, "--by", "day", "--format", "json").stdout)
        self.assertEqual([row["admitted"] for row in rows], [2])
        empty = gateway.command("usage", "-c", gateway.file, "--by", "day", "--format", "json", "--to", "2001-01")
        self.assertEqual(json.loads(empty.stdout), [])
