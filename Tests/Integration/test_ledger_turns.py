"""Commands that change a ledger's files take turns, end anywhere without harm, and change nothing for who reads meanwhile.

Of the calls at which a command may end here some, others each time (the seed is told with a failure); all of them with
TURNS_ALL=1. The race lasts TURNS_SECONDS."""

import glob
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from Support import ledgers, preload
from Support.case import SANITIZED, Case
from Support.client import until
from Support.gateway import BINARY
from Support.upstream import answer, text

SEED = int(os.environ.get("TURNS_SEED") or random.randrange(1 << 30))
ALL = bool(os.environ.get("TURNS_ALL"))
SECONDS = float(os.environ.get("TURNS_SECONDS") or 4)

TOP = "ledger_interval 100ms; ledger_rollup hour;\nplan pro { price 1.00 per 1 requests; price 30/month; currency EUR; }\n"
TENANTS = "tenant globex { host globex.test; authenticate none; upstream app; plan pro; }\n"
DAYS = 5
NOBODY = 65534


class Turns(Case):
    seconds = 3600 if ALL else 150 + int(SECONDS) * 5

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.month = ledgers.text(ledgers.month_ago())[:7]

    def written(self, top="", folder=None):
        """Days of last month, and no gateway that runs."""
        gateway = self.gateway(
            top + TOP + "upstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; plan pro; }\n" + TENANTS,
            app=self.upstream(answer(text("ok"))),
            start=False,
            folder=folder,
        )
        self.state = os.path.join(gateway.folder, "state")
        os.makedirs(self.state, mode=0o700)
        self.books = ledgers.Written(self.state + "/ledger", ledgers.month_ago() + 3 * 86400, DAYS)
        self.lines = {name: self.read(name) for name in self.books.files}
        return gateway

    def path(self, name):
        return os.path.join(self.state, "ledger", name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.readlines()

    def put(self, name, lines):
        """All at once; what was there goes on to be there for who has opened it."""
        with open(self.path(name) + ".new", "w") as out:
            out.writelines(lines)
        os.rename(self.path(name) + ".new", self.path(name))

    # --- commands, each with what it must say

    def run_command(self, gateway, *words, **options):
        return gateway.command(*words, "-c", gateway.file, **options)

    def check_usage(self, gateway, note=""):
        by = self.random.choice(("day", "month", None)) if not note else "day"
        done = self.run_command(gateway, "usage", "--format", "json", *(["--by", by] if by else []))
        self.assertEqual(done.returncode, 0, (note, SEED, done.stderr))
        said = {}
        for row in json.loads(done.stdout):
            key = row["tenant"], row["from"][:10] if by == "day" else ""
            said[key] = said.get(key, 0) + row["admitted"]
            self.assertNotIn("damaged", row)
        wanted = {}
        for (tenant, day), number in self.books.admitted.items():
            key = tenant, day if by == "day" else ""
            wanted[key] = wanted.get(key, 0) + number
        self.assertEqual(said, wanted, (note, SEED, by, done.stderr))

    def total(self, tenant="acme"):
        return sum(number for (one, _), number in self.books.admitted.items() if one == tenant)

    def invoice(self, gateway, *words, **options):
        return self.run_command(gateway, "invoice", "acme", "--month", self.month, "--format", "json", *words, **options)

    def check_invoice(self, gateway, *words, note=""):
        done = self.invoice(gateway, *words)
        self.assertEqual(done.returncode, 0, (note, SEED, done.stderr))
        said = json.loads(done.stdout)
        self.assertEqual(said["lines"][0]["quantity"], self.total(), (note, SEED))
        self.assertNotIn("correction", said)
        self.assertEqual(said.get("corrections", []), [], (note, SEED))

    def check_verify(self, gateway):
        done = self.run_command(gateway, "ledger", "verify")
        self.assertNotIn("damaged: ", done.stdout + done.stderr, SEED)
        self.assertEqual(done.stderr, "")

    def check_change(self, gateway, *words, note=""):
        done = self.run_command(gateway, "ledger", *words)
        self.assertEqual(done.returncode, 0, (note, SEED, words, done.stdout, done.stderr))

    # --- damage that the rest of the ledger makes good

    def damage(self):
        """Of a whole ledger; lines at a day's edge stay, so that it is known of which day the others were."""
        name, next_name = self.random.choice(list(zip(self.books.files[1:], self.books.files[2:])))
        lines = list(self.lines[name])
        place = self.random.randrange(2, len(lines) - 2)
        way = self.random.choice(("flip", "without", "twice", "move"))
        if way == "flip":
            lines[place] = lines[place][:60] + chr(ord(lines[place][60]) ^ 1) + lines[place][61:]
        elif way == "without":
            del lines[place]
        elif way == "twice":
            lines.insert(place, lines[place])
        else:
            moved = lines[place : place + 2]
            del lines[place : place + 2]
            self.put(next_name, moved + self.lines[next_name])
        self.put(name, lines)

    def restore(self):
        """A line that is somewhere else is first where it belongs."""
        for name in self.books.files:
            self.put(name, self.lines[name])
            if os.path.exists(self.path(name + ".gz")):
                os.remove(self.path(name + ".gz"))
        for name in glob.glob(self.path("*.damaged*")) + glob.glob(self.path("rollup/*.damaged*")):
            os.remove(name)

    # --- turns

    def test_all_at_once(self):
        gateway = self.written(top="ledger_compress 1d;\n")
        ending, faults = time.monotonic() + SECONDS, []

        def loop(act):
            try:
                while time.monotonic() < ending and not faults:
                    act()
            except BaseException as fault:
                faults.append(fault)

        def harm():
            with ledgers.turn(self.path("")):
                self.restore()
                self.damage()
            time.sleep(self.random.random() / 10)

        acts = [
            harm,
            lambda: self.check_usage(gateway),
            lambda: self.check_usage(gateway, "by day"),
            lambda: self.check_invoice(gateway),
            lambda: self.check_invoice(gateway, "--issue"),
            lambda: self.check_verify(gateway),
            lambda: self.check_change(gateway, "rollup"),
            # Two of each kind, too.
            lambda: self.check_change(gateway, "rollup"),
            lambda: self.check_change(gateway, "repair", "--yes"),
            lambda: self.check_change(gateway, "repair", "--yes"),
        ]
        threads = [threading.Thread(target=loop, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        self.check_change(gateway, "repair", "--yes")
        self.check_change(gateway, "rollup")
        self.check_usage(gateway, "at the end")
        self.assertEqual(sorted(os.listdir(f"{self.state}/invoices/acme")), [f"{self.month}.{kind}" for kind in ("csv", "json", "txt")])

    def test_with_a_gateway_that_runs(self):
        gateway = self.written(top="ledger_compress 1d;\n")
        gateway.start()
        until(lambda: os.path.exists(self.path("rollup")), "its first rollup")
        ending, count = time.monotonic() + SECONDS / 2, 0
        while time.monotonic() < ending:
            self.get(gateway)
            count += 1
            self.check_change(gateway, "rollup")
            self.check_invoice(gateway, "--issue")
            refused = self.run_command(gateway, "ledger", "repair", "--yes")
            if refused.returncode != 0:
                self.assertIn("a running gateway has the ledger", refused.stderr)
        usage = lambda: json.loads(self.run_command(gateway, "usage", "acme", "--format", "json").stdout)[0]["admitted"]
        until(lambda: usage() == self.total() + count, "all of it in the ledger")
        gateway.stop()
        self.assertEqual(usage(), self.total() + count)

    def test_who_waits_says_so_and_who_reads_does_not_wait(self):
        gateway = self.written()
        changes = [("ledger", "rollup"), ("ledger", "repair", "--yes"), ("invoice", "acme", "--month", self.month, "--issue")]
        self.damage()
        with ledgers.turn(self.path("")):
            waiting = [
                subprocess.Popen([BINARY, *words, "-c", gateway.file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for words in changes
            ]
            self.check_usage(gateway)
            self.check_invoice(gateway)
            self.check_verify(gateway)
            self.assertEqual(self.run_command(gateway, "ledger", "repair", "--dry-run").returncode, 0)
            time.sleep(2)
            self.assertEqual([one.poll() for one in waiting], [None] * 3)
            # Nor does a gateway that starts, or serves.
            gateway.start()
            self.assertEqual(self.get(gateway).status, 200)
            gateway.stop()
        for one in waiting:
            _, said = one.communicate(timeout=20)
            self.assertIn("waits for its turn", said)
            self.assertIn(f"{self.path('.turn')} (process {os.getpid()}; ", said)
            self.assertIn("don't remove the file", said)
            self.assertEqual(one.returncode, 0, said)

    def hold(self, gateway, *words):
        """A command whose output nobody reads, once it waits for that."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        # There is no room for a byte from the start.
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"." * 4096)
        except BlockingIOError:
            os.set_blocking(writing, True)
        held = subprocess.Popen([BINARY, *words, "-c", gateway.file], stdout=writing, stderr=writing)
        os.close(writing)
        self.addCleanup(held.wait)
        self.addCleanup(held.kill)
        waits = lambda: "pipe_write" in open(f"/proc/{held.pid}/wchan").read()
        until(waits, f"{words} to write")
        return held

    def test_who_is_not_read_holds_up_nobody(self):
        gateway = self.written()
        for words in (
            ("ledger", "repair", "--yes"),
            ("ledger", "repair", "--yes", "--format", "json"),
            ("ledger", "rollup"),
            ("invoice", "acme", "--month", self.month, "--issue"),
            # Of a ledger that is damaged.
            ("invoice", "acme", "--month", self.month, "--issue", "--accept-damage"),
        ):
            with self.subTest(" ".join(words)):
                self.restore()
                if "repair" in words:
                    self.damage()
                if "--accept-damage" in words:
                    self.put(self.books.files[0], ["damaged\n"] + self.lines[self.books.files[0]][1:])
                held = self.hold(gateway, *words)
                done = self.run_command(gateway, "ledger", "repair", "--yes")
                self.assertEqual(done.stderr, "")
                self.assertIsNone(held.poll())

    def change(self, gateway, old, new):
        with open(gateway.file) as file:
            content = file.read()
        self.assertIn(old, content)
        with open(gateway.file, "w") as file:
            file.write(content.replace(old, new))

    def test_who_waited_goes_by_what_is_true_then(self):
        rule = "ledger_retention 1d;\n"
        gateway = self.written(top=rule)
        with ledgers.turn(self.path("")):
            waiting = subprocess.Popen([BINARY, "ledger", "rollup", "-c", gateway.file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            gateway.start()
            until(lambda: "waits for its turn" in gateway.stderr, "the gateway's word")
            self.change(gateway, rule, "")
            gateway.reload()
            time.sleep(1)
        _, said = waiting.communicate(timeout=20)
        self.assertEqual(waiting.returncode, 0, said)
        until(lambda: "files of sums written" in gateway.stderr or glob.glob(self.path("rollup/*")), "its rollup")
        time.sleep(0.5)
        gateway.stop()
        for name in self.books.files:
            self.assertTrue(os.path.exists(self.path(name)), name)

    def test_a_clock_that_is_ahead_removes_nothing_where_no_meters_know_better(self):
        gateway = self.written(top="ledger_retention 3d;\n")
        library = preload.compiled("set_clock", self.folder)
        clock = os.path.join(self.folder, "clock")
        with open(clock, "wb") as file:
            file.write(struct.pack("q", 400 * 86400 * 10**9))
        done = self.run_command(gateway, "ledger", "rollup", environment={"LD_PRELOAD": library, "SET": clock})
        self.assertEqual(done.returncode, 0, done.stderr)
        # By the last day that there is.
        self.assertEqual([name for name in self.books.files if os.path.exists(self.path(name))], self.books.files[-3:])
        self.check_usage(gateway, "at the end")

    def test_one_that_is_killed_lets_the_next_one_go_on(self):
        gateway = self.written()
        holder = subprocess.Popen(["flock", "--no-fork", self.path(".turn"), "sleep", "60"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        until(lambda: os.path.exists(self.path(".turn")), "the lock")
        waiting = subprocess.Popen([BINARY, "ledger", "rollup", "-c", gateway.file], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(waiting.stderr.close)
        time.sleep(0.5)
        self.assertIsNone(waiting.poll())
        holder.kill()
        self.assertEqual(waiting.wait(20), 0)

    def test_what_is_in_the_place_of_the_lock_is_said(self):
        gateway = self.written()
        turn = self.path(".turn")
        foreign = {
            "a folder": lambda: os.mkdir(turn),
            "a link": lambda: os.symlink("elsewhere", turn),
            "a pipe": lambda: os.mkfifo(turn),
        }
        for what, make in foreign.items():
            with self.subTest(what):
                make()
                for words in (("ledger", "rollup"), ("ledger", "repair", "--yes"), ("invoice", "acme", "--month", self.month, "--issue")):
                    done = self.run_command(gateway, *words)
                    self.assertEqual((done.returncode, done.stdout), (1, ""), words)
                    self.assertIn(".turn", done.stderr)
                self.check_usage(gateway)
                self.check_invoice(gateway)
                os.rmdir(turn) if what == "a folder" else os.remove(turn)
                self.assertFalse(os.path.exists(self.path("elsewhere")))
        self.assertFalse(os.path.exists(self.path("rollup")))

    def test_who_reads_changes_nothing(self):
        gateway = self.written()
        library = preload.compiled("ends", self.folder)
        self.damage()
        mark = os.path.join(self.folder, "mark")
        environment = {"LD_PRELOAD": library, "ENDS_AT": "0", "ENDS_HOW": "kill", "ENDS_MARK": mark}
        for words in (
            ("usage",),
            ("usage", "--by", "hour"),
            ("invoice", "acme", "--month", self.month),
            ("ledger", "verify"),
            ("ledger", "repair", "--dry-run"),
        ):
            done = self.run_command(gateway, *words, environment=environment)
            self.assertIn(done.returncode, (0, 1), words)
            self.assertFalse(os.path.exists(mark), words)
        self.assertFalse(os.path.exists(self.path(".turn")))
        self.assertFalse(os.path.exists(self.path(".lock")))

    @unittest.skipIf(os.geteuid() != 0, "only root gives files away")
    def test_what_root_makes_in_anothers_folder_is_the_others(self):
        folder = tempfile.mkdtemp(prefix="gateway-owner-")
        self.addCleanup(shutil.rmtree, folder, True)
        os.chmod(folder, 0o755)
        gateway = self.written(folder=folder)
        for place, _, names in os.walk(self.state):
            for path in [place] + [os.path.join(place, name) for name in names]:
                os.chown(path, NOBODY, NOBODY)
        self.damage()
        os.chown(self.path(""), NOBODY, NOBODY)
        for words in (("ledger", "repair", "--yes"), ("ledger", "rollup"), ("invoice", "acme", "--month", self.month, "--issue")):
            done = self.run_command(gateway, *words)
            self.assertEqual(done.returncode, 0, done.stderr)
        made = [self.path(".turn"), self.path(".lock"), self.path("rollup"), f"{self.state}/invoices", f"{self.state}/invoices/acme"]
        made += glob.glob(self.path("rollup/*")) + glob.glob(f"{self.state}/invoices/acme/*") + glob.glob(self.path("*.damaged"))
        self.assertGreater(len(made), 15)
        for path in made:
            status = os.stat(path)
            self.assertEqual((status.st_uid, status.st_gid), (NOBODY, NOBODY), path)
            self.assertEqual(status.st_mode & 0o077, 0, path)

        def become():
            os.setgid(NOBODY)
            os.setuid(NOBODY)

        done = subprocess.run(
            [BINARY, "ledger", "rollup", "-c", gateway.file], capture_output=True, text=True, timeout=20, preexec_fn=become
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        # Of a user namespace that knows root alone: nobody else is made root's, nor root him.
        if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0:
            os.chmod(self.state, 0o755)
            words = ["ledger", "rollup", "-c", gateway.file]
            done = subprocess.run(["unshare", "-rm", BINARY, *words], capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(f"can't become user {NOBODY}, who has {self.state}/ledger", done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "only root may go where links lead")
    def test_links_in_anothers_folder_lead_root_nowhere(self):
        folder = tempfile.mkdtemp(prefix="gateway-links-")
        self.addCleanup(shutil.rmtree, folder, True)
        os.chmod(folder, 0o755)
        gateway = self.written(top="ledger_retention 1d;\n", folder=folder)
        secrets = os.path.join(folder, "root")
        os.mkdir(secrets, mode=0o700)
        whole = os.path.join(folder, "whole")
        shutil.copytree(self.state, whole)
        issue = ("invoice", "acme", "--month", self.month, "--issue")
        for place, target, words in (
            ("ledger/.removed", "secret", ("ledger", "rollup")),
            ("ledger/.turn", "secret", ("ledger", "rollup")),
            ("ledger/.turn", "made", ("ledger", "rollup")),
            ("ledger/.lock", "made", ("ledger", "repair", "--yes")),
            ("ledger/rollup", ".", ("ledger", "rollup")),
            ("ledger", ".", ("ledger", "rollup")),
            ("ledger", ".", ("ledger", "repair", "--yes")),
            ("invoices", ".", issue),
        ):
            with self.subTest(f"{place} to {target}"):
                shutil.rmtree(self.state)
                shutil.copytree(whole, self.state)
                with open(os.path.join(secrets, "secret"), "w") as file:
                    file.write("root's")
                shutil.rmtree(os.path.join(self.state, place), True)
                os.symlink(os.path.join(secrets, target), os.path.join(self.state, place))
                subprocess.run(["chown", "-hR", f"{NOBODY}:0", self.state], check=True)
                done = self.run_command(gateway, *words)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("gateway: ", done.stderr)
                self.assertEqual(os.listdir(secrets), ["secret"])
                with open(os.path.join(secrets, "secret")) as file:
                    self.assertEqual(file.read(), "root's")

    @unittest.skipIf(os.geteuid() != 0, "only root has others' folders")
    def test_where_root_runs_the_gateway_its_files_are_roots(self):
        folder = tempfile.mkdtemp(prefix="gateway-roots-")
        self.addCleanup(shutil.rmtree, folder, True)
        gateway = self.written(folder=folder)
        os.chown(self.state, NOBODY, NOBODY)
        os.chown(self.path(""), NOBODY, NOBODY)
        gateway.start()
        self.get(gateway)
        gateway.stop()
        for words in (("ledger", "rollup"), ("ledger", "repair", "--yes"), ("invoice", "acme", "--month", self.month, "--issue")):
            done = self.run_command(gateway, *words)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_where_there_is_no_ledger_nothing_is_over(self):
        gateway = self.written()
        shutil.rmtree(self.path(""))
        os.symlink("nowhere", self.state + "/ledger")
        for isLink in (True, False):
            done = self.run_command(gateway, "ledger", "rollup")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(f"there is no ledger: {self.state}/ledger", done.stderr)
            if isLink:
                os.remove(self.state + "/ledger")
                os.rmdir(self.state)
        self.assertFalse(os.path.exists(self.state))

    def test_only_drafts_of_the_ledger_are_removed(self):
        gateway = self.written()
        os.mkdir(self.path("rollup"))
        os.mkdir(self.path("x.draft"))
        name = self.books.files[0]
        drafts = [f"{name}.draft", f"{name}.gz.draft", f"{name}.damaged.draft", f"{name}.damaged.2.draft"]
        drafts += [f"rollup/{name[:10]}.{kind}.draft" for kind in ("hour.jsonl", "day.jsonl", "hour.jsonl.damaged")]
        others = ["notes.draft", ".draft", "rollup/notes.draft", f"rollup/{name}.draft", f"{name}.damaged"]
        for one in drafts + others:
            with open(self.path(one), "w") as file:
                file.write("some of it")
        self.check_change(gateway, "rollup")
        self.assertEqual([one for one in drafts + others if os.path.exists(self.path(one))], others)

    def test_what_is_issued_while_it_is_shown_is_not_taken_back(self):
        gateway = self.written()
        self.check_invoice(gateway, "--issue")
        mark = os.path.join(self.folder, "held")
        environment = {
            **os.environ,
            "LD_PRELOAD": preload.compiled("holds", self.folder),
            "HOLD_FOLDER": f"{self.state}/invoices/acme",
            "HOLD_MARK": mark,
        }
        words = ["invoice", "acme", "--month", self.month, "--format", "json", "-c", gateway.file]
        showing = subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        until(lambda: os.path.exists(mark), "it to have its figures")
        self.add_usage(1)
        self.assertEqual(self.invoice(gateway, "--issue").returncode, 0)
        os.remove(mark)
        out, said = showing.communicate(timeout=20)
        self.assertEqual((showing.returncode, said), (0, ""))
        self.assertEqual(len(json.loads(out)["corrections"]), 1)
        self.assertNotIn("correction", json.loads(out))

    # --- ends

    def ends(self, gateway, how, prepare, *words, check=lambda note: None):
        """The command ends at one call after the other: usage says the same, and the same command again succeeds."""
        library = preload.compiled("ends", self.folder)
        whole = os.path.join(self.folder, "whole")
        self.restore()
        prepare()
        shutil.rmtree(whole, True)
        shutil.copytree(self.state, whole)
        at, points = 0, 0
        while True:
            shutil.rmtree(self.state)
            shutil.copytree(whole, self.state)
            note = f"{how} at {at} of {' '.join(words)}"
            mark = os.path.join(self.folder, f"mark-{how}-{at}")
            environment = {"LD_PRELOAD": library, "ENDS_AT": str(at), "ENDS_HOW": how, "ENDS_MARK": mark}
            done = self.run_command(gateway, *words, environment=environment)
            isEnded = os.path.exists(mark)
            if not isEnded:
                self.assertEqual(done.returncode, 0, (note, done.stderr))
            if how == "full" and "repair" in words:
                # What is full is not to be filled with what nobody needs.
                self.assertEqual(glob.glob(f"{self.state}/**/*.draft", recursive=True), [], note)
            self.check_usage(gateway, note)
            done = self.run_command(gateway, *words)
            self.assertEqual(done.returncode, 0, (note, SEED, done.stdout, done.stderr))
            self.check_usage(gateway, note)
            self.assertEqual(glob.glob(f"{self.state}/**/*.draft", recursive=True), [], note)
            check(note)
            points += 1
            if not isEnded:
                return at, points
            # The more there were the fewer.
            at += 1 if ALL else self.random.randint(1, 10 + at // 2)

    WAYS = ("kill", "torn", "full", "broken")

    def test_a_repair_that_ends_anywhere(self):
        gateway = self.written()

        def harm():
            self.random.seed(SEED)
            self.damage()

        for how in self.WAYS:
            calls, points = self.ends(gateway, how, harm, "ledger", "repair", "--yes")
            print(f"repair, {how}: {points} points of {calls} calls", flush=True) if ALL else None

    def test_a_rollup_that_ends_anywhere(self):
        gateway = self.written()
        for how in self.WAYS:
            shutil.rmtree(self.path("rollup"), True)
            calls, points = self.ends(gateway, how, lambda: None, "ledger", "rollup")
            print(f"rollup, {how}: {points} points of {calls} calls", flush=True) if ALL else None

    def test_a_removal_of_old_lines_that_ends_anywhere(self):
        gateway = self.written(top="ledger_retention 1d;\n")
        for how in self.WAYS:
            shutil.rmtree(self.path("rollup"), True)
            calls, points = self.ends(gateway, how, lambda: None, "ledger", "rollup")
            # But the last day: no later line tells that it is over for so long.
            self.assertEqual(glob.glob(self.path("2*.jsonl")), [self.path(self.books.files[-1])])
            print(f"retention, {how}: {points} points of {calls} calls", flush=True) if ALL else None

    def test_a_compression_that_ends_anywhere(self):
        gateway = self.written(top="ledger_compress 1d;\n")
        for how in self.WAYS:
            shutil.rmtree(self.path("rollup"), True)
            calls, points = self.ends(gateway, how, lambda: None, "ledger", "rollup")
            self.assertEqual(glob.glob(self.path("2*.jsonl")), [self.path(self.books.files[-1])])
            print(f"compression, {how}: {points} points of {calls} calls", flush=True) if ALL else None

    def test_an_issue_that_ends_anywhere(self):
        gateway = self.written()
        words = "invoice", "acme", "--month", self.month, "--format", "json", "--issue"

        def check(note):
            self.check_invoice(gateway, note=note)
            shown = self.run_command(gateway, "invoice", "acme", "--month", self.month)
            self.assertEqual(shown.returncode, 0, (note, shown.stderr))
            kinds = [name[len(self.month) + 1 :] for name in sorted(os.listdir(f"{self.state}/invoices/acme"))]
            self.assertEqual(kinds, ["csv", "json", "txt"], note)

        for how in self.WAYS:
            shutil.rmtree(f"{self.state}/invoices", True)
            calls, points = self.ends(gateway, how, lambda: None, *words, check=check)
            print(f"issue, {how}: {points} points of {calls} calls", flush=True) if ALL else None

    def test_an_issue_of_a_correction_that_ends_anywhere(self):
        gateway = self.written()
        words = "invoice", "acme", "--month", self.month, "--format", "json", "--issue"
        folder = f"{self.state}/invoices/acme"

        def prepare():
            self.check_invoice(gateway, "--issue")
            self.add_usage(1)

        def check(note):
            said = json.loads(self.invoice(gateway).stdout)
            self.assertNotIn("correction", said, note)
            self.assertEqual([len(said["corrections"]), said["corrections"][0]["lines"][0]["quantity"]], [1, self.more], note)
            kinds = [name[len(self.month) + 1 :] for name in sorted(os.listdir(folder))]
            self.assertEqual(kinds, ["1.json", "corrections", "csv", "json", "txt"], note)
            # It is the last one, and missed all the same.
            os.remove(f"{folder}/{self.month}.1.json")
            self.assertEqual(self.invoice(gateway, "--issue").returncode, 1, note)

        days = dict(self.books.admitted)
        for how in self.WAYS:
            shutil.rmtree(self.state + "/invoices", True)
            for name in set(os.listdir(self.path(""))) - set(self.books.files):
                shutil.rmtree(self.path(name), True) if os.path.isdir(self.path(name)) else os.remove(self.path(name))
            self.books.admitted = dict(days)
            calls, points = self.ends(gateway, how, prepare, *words, check=check)
            print(f"correction, {how}: {points} points of {calls} calls", flush=True) if ALL else None

    def test_corrections_from_before_they_were_counted_are_counted(self):
        gateway = self.written()
        self.check_invoice(gateway, "--issue")
        folder = f"{self.state}/invoices/acme"
        for number in (1, 2):
            self.add_usage(number)
            self.assertEqual(self.invoice(gateway, "--issue").returncode, 0)
        os.remove(f"{folder}/{self.month}.corrections")
        self.assertEqual(self.invoice(gateway, "--issue").returncode, 0)
        os.remove(f"{folder}/{self.month}.2.json")
        refused = self.invoice(gateway, "--issue")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn(f"{self.month}.2.json", refused.stderr)

    def test_the_last_correction_is_missed(self):
        gateway = self.written()
        self.check_invoice(gateway, "--issue")
        folder = f"{self.state}/invoices/acme"
        for number in (1, 2):
            self.add_usage(number)
            done = self.invoice(gateway, "--issue")
            self.assertEqual((done.returncode, len(json.loads(done.stdout)["corrections"])), (0, number), done.stderr)
        os.rename(f"{folder}/{self.month}.2.json", f"{folder}/away")
        for words in (), ("--issue",):
            refused = self.invoice(gateway, *words)
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
            self.assertIn(f"{self.month}.2.json", refused.stderr)
        os.rename(f"{folder}/away", f"{folder}/{self.month}.2.json")
        self.assertEqual(len(json.loads(self.invoice(gateway).stdout)["corrections"]), 2)

    def add_usage(self, number):
        """More of the last day, found later: of another table."""
        start = ledgers.month_ago() + (10 + number) * 86400
        node, ledgers.NODE = ledgers.NODE, f"{number:08x}"
        try:
            added = ledgers.Written(self.path(""), start, 1).admitted
        finally:
            ledgers.NODE = node
        for key, count in added.items():
            self.books.admitted[key] = self.books.admitted.get(key, 0) + count
        self.more = sum(count for (tenant, _), count in added.items() if tenant == "acme")


if SANITIZED:
    del Turns.test_all_at_once
