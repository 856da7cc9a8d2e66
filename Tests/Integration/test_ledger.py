"""The usage ledger: what it says is what was used, each request once, whatever happens to the process or the disk."""

import csv
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zlib

from Support.case import Case
from Support.client import until
from Support.gateway import BINARY
from Support.load import Load
from Support.upstream import answer, text

FAST = "ledger_interval 100ms;\n"
COLUMNS = (
    "tenant,from,to,admitted,settled,refused,status_1xx,status_2xx,status_3xx,status_4xx,status_5xx,"
    "request_bytes,response_bytes,upstream_ms,cost"
).split(",")


def records(gateway):
    """Every line of the ledger; each must be JSON with a checksum."""
    folder = os.path.join(gateway.folder, "state", "ledger")
    found = []
    for name in sorted(os.listdir(folder)):
        if re.fullmatch(r"\d{4}-\d\d-\d\d\.jsonl", name):
            with open(os.path.join(folder, name)) as file:
                found += [json.loads(line) for line in file]
    return found


class Ledger(Case):
    def usage(self, gateway, *arguments):
        done = gateway.command("usage", "-c", gateway.file, "--format", "json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def admitted(self, gateway):
        return sum(row["admitted"] for row in self.usage(gateway))

    def assert_unique(self, gateway):
        ids = [record["id"] for record in records(gateway)]
        self.assertEqual(len(ids), len(set(ids)), "an id stands twice")

    def test_usage_is_what_was_answered(self):
        upstream = self.upstream(answer(text("hello")))
        gateway = self.simple(upstream, top=FAST)
        for _ in range(7):
            self.assertEqual(self.get(gateway).status, 200)
        until(lambda: self.admitted(gateway) == 7, "seven requests in the ledger")
        until(lambda: self.usage(gateway)[0]["settled"] == 7, "seven answers in the ledger")
        row = self.usage(gateway, "acme")[0]
        self.assertEqual(list(row), COLUMNS)
        self.assertEqual((row["tenant"], row["status_2xx"], row["refused"]), ("acme", 7, 0))
        self.assertEqual((row["request_bytes"], row["response_bytes"]), (0, 35))
        self.assertEqual(row["cost"], 7)
        self.assertRegex(row["from"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")
        self.assertEqual(gateway.json("/v1/tenants/acme/usage"), [row])
        hours = self.usage(gateway, "--by", "hour")
        self.assertEqual(sum(hour["admitted"] for hour in hours), 7)
        self.assertRegex(hours[0]["from"], r":00:00Z$")
        self.assertEqual(gateway.json("/v1/tenants/acme/usage?by=hour"), hours)
        done = gateway.command("usage", "--format=csv", "-c", gateway.file)
        rows = list(csv.reader(io.StringIO(done.stdout)))
        self.assertEqual(rows, [COLUMNS, [str(row[name]) for name in COLUMNS]])
        table = gateway.command("usage", "-c", gateway.file).stdout.splitlines()
        self.assertEqual(table[0].split()[:4], ["tenant", "from", "to", "admitted"])
        self.assertEqual(table[1].split()[0], "acme")
        self.assertEqual(self.usage(gateway, "--to", "2001-01"), [])
        self.assertEqual(self.usage(gateway, "--from", "2001-01-01", "--to", "2001-01-02T00:00:00Z"), [])
        gateway.stop()
        self.assertEqual(self.usage(gateway, "acme"), [row])
        self.assert_unique(gateway)

    def test_questions_that_make_no_sense(self):
        gateway = self.simple(self.upstream(), top=FAST)
        for arguments, said in (
            (["--by", "week"], "hour, day, month"),
            (["--by", "hours"], "did you mean `hour`"),
            (["--from", "yesterday"], "is not a time"),
            (["--from", "2026-11-02", "--to", "2026-11-01"], "not after"),
            (["--format", "xml"], "table, csv, json"),
            (["acme", "globex"], "`globex` is not understood"),
            (["--from"], "wants a value"),
            (["acne"], "did you mean `acme`"),
        ):
            with self.subTest(arguments):
                done = gateway.command("usage", "-c", gateway.file, *arguments)
                self.assertIn(said, done.stderr)
                self.assertEqual((done.returncode in (1, 2), done.stdout), (True, ""))
        for query in ("by=week", "from=x", "to=2026-13", "from=2026-11&to=2026-10", "nonsense=1", "by=hour&by=day"):
            with self.subTest(query):
                self.assertEqual(gateway.call("GET", "/v1/tenants/acme/usage?" + query)[0], 400)
        self.assertEqual(gateway.call("GET", "/v1/tenants/nobody/usage")[0], 404)
        self.assertEqual(gateway.call("POST", "/v1/tenants/acme/usage")[0], 405)
        self.assertEqual(gateway.call("GET", "/v1/tenants/acme/usage", token=False)[0], 401)
        self.assertEqual(gateway.json("/v1/tenants/acme/usage"), [])

    def test_the_last_interval_is_written_at_the_end(self):
        gateway = self.simple(self.upstream(), top="ledger_interval 1h;\n")
        for _ in range(5):
            self.get(gateway)
        gateway.stop()
        self.assertEqual(self.admitted(gateway), 5)
        gateway.start()
        self.get(gateway)
        gateway.process.kill()
        gateway.wait()
        self.assertEqual(self.admitted(gateway), 5)
        gateway.start()
        self.assertEqual(self.admitted(gateway), 6, "what a killed process counted is written at the next start")
        self.assert_unique(gateway)

    def test_nothing_is_lost_or_said_twice_over_kills(self):
        kills = int(os.environ.get("GATEWAY_KILLS", "12"))
        self.seconds = 40 + 3 * kills
        signal.alarm(self.seconds)
        upstream = self.upstream(answer(text("ok")))
        gateway = self.simple(upstream, top="ledger_interval 100ms;\n", start=False)
        answered = lost = 0
        for kill in range(kills):
            gateway.start()
            with Load(gateway.plain, connections=4) as load:
                time.sleep(0.13 + 0.037 * (kill % 7))
                gateway.process.kill()
                gateway.wait()
            answered += load.count
            lost += 4
            self.assertGreater(load.count, 0)
        gateway.start()
        gateway.stop()
        row = self.usage(gateway)[0]
        self.assertGreaterEqual(row["admitted"], answered)
        self.assertLessEqual(row["admitted"], answered + lost)
        self.assertLessEqual(row["settled"], row["admitted"])
        self.assertLessEqual(row["admitted"] - row["settled"], lost)
        self.assert_unique(gateway)

    def test_a_ledger_cut_at_any_byte_is_made_whole(self):
        gateway = self.simple(self.upstream(), top=FAST, tenant="")
        for count in range(1, 4):
            self.get(gateway)
            until(lambda: self.admitted(gateway) == count, "the request in the ledger")
        gateway.stop()
        state = os.path.join(gateway.folder, "state")
        shutil.copytree(state, state + ".whole")
        name = [name for name in os.listdir(state + "/ledger") if name.endswith(".jsonl")][0]
        with open(f"{state}/ledger/{name}", "rb") as file:
            whole = file.read()
        last = len(whole[: whole[:-1].rfind(b"\n")])
        step = max(1, (len(whole) - last) // 12)
        for size in [*range(last, len(whole), step), len(whole) - 1]:
            with self.subTest(size):
                shutil.rmtree(state)
                shutil.copytree(state + ".whole", state)
                os.truncate(f"{state}/ledger/{name}", size)
                gateway.start()
                self.assertEqual(self.admitted(gateway), 3)
                gateway.stop()
                self.assertEqual(self.admitted(gateway), 3)
                self.assert_unique(gateway)

    def test_a_full_disk_stops_nothing_and_the_ledger_catches_up(self):
        probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
        if probe.returncode != 0:
            self.skipTest("no mount namespaces here")
        gateway = self.simple(self.upstream(), top=FAST, start=False)
        os.makedirs(os.path.join(gateway.folder, "state", "ledger"), mode=0o700)
        os.chmod(os.path.join(gateway.folder, "state"), 0o700)
        script = f"mount -t tmpfs -o size=1m none state/ledger && exec {BINARY} run -c {gateway.file}"
        gateway.start(program="unshare", arguments=["-rm", "sh", "-c", script])
        inside = f"/proc/{gateway.pid}/root{gateway.folder}/state/ledger"
        self.get(gateway)
        ledger = lambda: b"".join(
            open(f"{inside}/{name}", "rb").read() for name in sorted(os.listdir(inside)) if name.endswith(".jsonl")
        )
        said = lambda: sum(json.loads(line)["admitted"] for line in ledger().splitlines(True) if line.endswith(b"\n"))
        until(lambda: said() == 1, "the first request in the ledger")
        with open(f"{inside}/ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        unflushed = lambda: sum(value for _, value in gateway.metrics().samples("gateway_ledger_unflushed"))
        count = 1
        while unflushed() == 0:
            self.assertEqual(self.get(gateway).status, 200)
            count += 1
        for _ in range(20):
            self.assertEqual(self.get(gateway).status, 200)
        count += 20
        until(lambda: unflushed() >= 20, "the metric")
        self.assertIn("No space left", gateway.stderr)
        os.remove(f"{inside}/ballast")
        until(lambda: said() == count, "the ledger to catch up")
        until(lambda: unflushed() == 0, "the metric")
        self.assertIn("caught up", gateway.stderr)
        ids = [json.loads(line)["id"] for line in ledger().splitlines()]
        self.assertEqual(len(ids), len(set(ids)))

    def test_a_torn_line_is_cut_off_and_said(self):
        gateway = self.simple(self.upstream(), top=FAST)
        self.get(gateway)
        until(lambda: self.admitted(gateway) == 1, "the request in the ledger")
        gateway.stop()
        folder = os.path.join(gateway.folder, "state", "ledger")
        name = [name for name in os.listdir(folder) if name.endswith(".jsonl")][0]
        with open(f"{folder}/{name}", "a") as file:
            file.write('{"id":"torn')
        gateway.start()
        self.get(gateway)
        until(lambda: self.admitted(gateway) == 2, "the second request in the ledger")
        until(lambda: "11 bytes behind the last good line" in gateway.stderr, "a word on what was cut off")
        with open(f"{folder}/{name}") as file:
            self.assertNotIn("torn", file.read())

    def test_reloads_lose_nothing(self):
        upstream = self.upstream(answer(text("ok")))
        gateway = self.simple(upstream, top=FAST)
        with Load(gateway.plain, connections=2) as load:
            for _ in range(10):
                gateway.reload()
        self.assertEqual(load.failures, [])
        gateway.stop()
        row = self.usage(gateway)[0]
        self.assertEqual((row["admitted"], row["settled"]), (load.count, load.count))

    def test_a_named_key_has_lines_of_its_own(self):
        upstream = self.upstream(answer(text("ok")))
        made = self.command("key", "create", "acme", "--name", "ci").stdout
        key, line = re.search(r"gw_\w+", made).group(), re.search(r"key sha256:.*;", made).group()
        gateway = self.simple(upstream, top=FAST, tenant="", start=False)
        gateway.write(
            FAST + "upstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test; authenticate api_key; upstream app; " + line + " }\n"
        )
        gateway.start()
        for _ in range(3):
            self.assertEqual(self.get(gateway, fields=[("X-API-Key", key)]).status, 200)
        self.assertEqual(self.get(gateway).status, 401)
        gateway.stop()
        by_key = [record for record in records(gateway) if "key" in record]
        self.assertEqual({record["key"] for record in by_key}, {"ci"})
        self.assertEqual(sum(record["admitted"] for record in by_key), 3)
        self.assertEqual(self.admitted(gateway), 3, "a key's lines are a part of its tenant's, not added to them")
        self.assertNotIn(key, json.dumps(records(gateway)))

    def test_a_removed_tenant_keeps_its_usage(self):
        gateway = self.simple(self.upstream(), top=FAST)
        self.get(gateway)
        gateway.write(
            FAST + "upstream app { server 127.0.0.1:$app; }\n"
            "tenant other { host other.test; authenticate none; upstream app; }\n"
        )
        gateway.reload()
        until(lambda: self.admitted(gateway) == 1, "the request in the ledger")
        self.assertEqual(gateway.json("/v1/tenants/acme/usage")[0]["admitted"], 1)
        self.assertEqual(self.usage(gateway, "acme")[0]["admitted"], 1)


class OldDays(Case):
    """Days that are over for long are compressed, and say the same."""

    PLAN = "plan pro { price 49.00/month; price 0.20 per 3 requests over 2; currency EUR; }\n"

    def aged(self, compress):
        """A stopped gateway whose ledger is forty days older than it was; gives it with that day."""
        gateway = self.simple(self.upstream(answer(text("hello"))), top=FAST + self.PLAN, tenant="plan pro;")
        for count in range(1, 4):
            self.get(gateway)
            until(lambda: sum(row["admitted"] for row in self.rows(gateway)) == count, "the request in the ledger")
        gateway.stop()
        folder = os.path.join(gateway.folder, "state", "ledger")
        [name] = [name for name in os.listdir(folder) if name.endswith(".jsonl")]
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 40 * 86400))
        with open(f"{folder}/{name}") as file:
            lines = file.read().replace(name[:10], day).splitlines()
        with open(f"{folder}/{day}.jsonl", "w") as file:
            for line in lines:
                body = line[: line.rindex(',"crc"')]
                file.write(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
        os.remove(f"{folder}/{name}")
        # Added up first: an invoice names the sums that it was made from.
        gateway.start()
        until(lambda: "files of sums written" in gateway.stderr, "the rollup", 10)
        gateway.stop()
        gateway.write(
            FAST + self.PLAN + compress + "upstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; plan pro; }\n"
        )
        return gateway, folder, day

    def rows(self, gateway, *arguments):
        done = gateway.command("usage", "-c", gateway.file, "--format", "json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def said(self, gateway, day):
        """Everything that can be asked about that day."""
        invoice = gateway.command("invoice", "acme", "--month", day[:7], "-c", gateway.file, "--format", "json")
        self.assertEqual((invoice.returncode, invoice.stderr), (0, ""))
        noon = f"{day}T00:00:00.001Z"
        return (
            invoice.stdout,
            [self.rows(gateway, *more) for more in ([], ["--by", "hour"], ["--by", "month"], ["--from", noon])],
        )

    def test_usage_and_invoice_print_the_same(self):
        gateway, folder, day = self.aged("ledger_compress 7d;\n")
        before = self.said(gateway, day)
        gateway.start()
        until(lambda: not os.path.exists(f"{folder}/{day}.jsonl"), "the day to be compressed", 10)
        until(lambda: "days compressed: 1" in gateway.stderr, "the log to say so")
        with gzip.open(f"{folder}/{day}.jsonl.gz", "rt") as file:
            self.assertEqual(len(file.readlines()), 3)
        self.assertEqual(os.stat(f"{folder}/{day}.jsonl.gz").st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(folder))[-1:], ["rollup"])
        self.assertEqual(self.said(gateway, day), before)
        gateway.stop()
        # Without its sums it is read itself, and nothing but the gateway is needed for that.
        shutil.rmtree(f"{folder}/rollup")
        self.assertEqual(self.said(gateway, day)[1], before[1])
        # What it says is not written again.
        gateway.start()
        self.get(gateway)
        until(lambda: self.rows(gateway)[0]["admitted"] == 4, "the fourth request")
        gateway.stop()
        months = {row["from"][:7]: row["admitted"] for row in self.rows(gateway, "--by", "month")}
        self.assertEqual(months[day[:7]], 3)

    def test_without_gzip_the_day_is_kept(self):
        gateway, folder, day = self.aged("ledger_compress 7d;\n")
        before = self.said(gateway, day)
        gateway.start(environment={"PATH": "/nonexistent"})
        until(lambda: "can't compress what is old, it is kept as it is" in gateway.stderr, "the log to say so", 10)
        self.assertEqual(self.said(gateway, day), before)
        self.assertTrue(os.path.exists(f"{folder}/{day}.jsonl"))
        self.assertEqual([name for name in os.listdir(folder) if ".gz" in name], [])
        self.get(gateway)
        until(lambda: self.rows(gateway)[0]["admitted"] == 4, "the ledger to go on")

    def test_days_are_kept_unless_told(self):
        gateway, folder, day = self.aged("")
        gateway.start()
        time.sleep(0.5)
        self.assertTrue(os.path.exists(f"{folder}/{day}.jsonl"))


class Invoices(Case):
    PLAN = """
    plan pro {
        price 49.00/month;
        price 0.20 per 3 requests over 2;
        price 0.333 per 1k response_bytes;
        currency EUR;
    }
    """

    def invoice(self, gateway, *arguments):
        return gateway.command("invoice", *arguments, "-c", gateway.file)

    def test_a_month_is_priced_exactly(self):
        upstream = self.upstream(answer(text("x" * 1000)))
        gateway = self.simple(upstream, top=FAST + self.PLAN, tenant="plan pro;")
        for _ in range(10):
            self.get(gateway)
        gateway.stop()
        month = time.strftime("%Y-%m", time.gmtime())
        done = self.invoice(gateway, "acme", "--month", month, "--format", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        invoice = json.loads(done.stdout)
        self.assertEqual([line["amount"] for line in invoice["lines"]], ["49.00", "0.53", "3.25"])
        self.assertEqual([line["quantity"] for line in invoice["lines"]], [1, 8, 10000])
        self.assertEqual((invoice["total"], invoice["currency"]), ("52.78", "EUR"))
        self.assertTrue(invoice["provisional"])
        self.assertEqual(invoice["ledger"]["records"], len(records(gateway)))
        self.assertEqual(invoice["ledger"]["ids"][0].split("..")[0], records(gateway)[0]["id"])
        printed = self.invoice(gateway, "acme", "--month", month).stdout
        self.assertIn("52.78 EUR", printed)
        self.assertIn("not over", printed)
        rows = list(csv.DictReader(io.StringIO(self.invoice(gateway, "acme", "--month", month, "--format", "csv").stdout)))
        self.assertEqual([row["amount"] for row in rows], ["49.00", "0.53", "3.25", "52.78"])
        empty = json.loads(self.invoice(gateway, "acme", "--month", "2020-02", "--format", "json").stdout)
        self.assertEqual((empty["total"], empty["provisional"], empty["ledger"]["records"]), ("0.00", False, 0))

    def test_what_can_not_be_invoiced(self):
        gateway = self.simple(self.upstream(), start=False)
        for arguments, said in (
            (["acme"], "--month"),
            (["--month", "2026-11"], "TENANT"),
            (["acme", "--month", "november"], "is not a month"),
            (["acme", "--month", "2026-11"], "has no prices"),
            (["acne", "--month", "2026-11"], "did you mean `acme`"),
        ):
            with self.subTest(arguments):
                done = self.invoice(gateway, *arguments)
                self.assertIn(said, done.stderr)
                self.assertEqual((done.returncode in (1, 2), done.stdout), (True, ""))
