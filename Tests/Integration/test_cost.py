"""What one request costs, counted instead of timed: calls that count references, by valgrind's callgrind."""

import glob
import os
import re
import shutil
import subprocess
import unittest

from Support.case import SANITIZED, Case
from Support.client import RawClient
from Support.gateway import BINARY
from Support.upstream import answer, text

# By request: 1 KiB over a connection that is kept, with an access log. Each is a few nanoseconds, a hundred are a twentieth of a request.
RETAINS, RELEASES = 31, 50
FEW, MANY = 200, 1200


@unittest.skipIf(SANITIZED, "a sanitizer counts otherwise")
@unittest.skipIf("debug" in BINARY, "only what is optimised is worth counting")
class Cost(Case):
    seconds = 120

    def test_a_request_counts_references_no_more_often_than_it_did(self):
        if not shutil.which("valgrind"):
            self.skipTest("no valgrind")
        upstream = self.upstream(answer(text("x" * 1024)))
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; }\n",
            start=False,
            app=upstream,
            workers=1,
        )
        out = os.path.join(self.folder, "callgrind.out")
        tool = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        # Instructions that valgrind does not know are not used.
        gateway.start(
            within=60,
            program="valgrind",
            arguments=[*tool, BINARY, "run", "-c", gateway.file],
            environment={"OPENSSL_ia32cap": "~0x20000000:~0x0"},
        )
        with RawClient(gateway.plain, timeout=30) as client:

            def ask(count):
                for _ in range(count):
                    self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

            def counted(count):
                self.control(gateway, "--zero")
                ask(count)
                self.control(gateway, "--dump")
                return calls(max(glob.glob(out + ".*"), key=os.path.getmtime))

            ask(100)
            self.control(gateway, "--instr=on")
            few, many = counted(FEW), counted(MANY)
        for name, most in (("swift_retain", RETAINS), ("swift_release", RELEASES)):
            each = (many.get(name, 0) - few.get(name, 0)) / (MANY - FEW)
            self.assertGreater(each, 1, f"{name} was not found")
            self.assertLessEqual(each, most, f"{name} is called {each:.1f} times a request")

    def control(self, gateway, what):
        subprocess.run(["callgrind_control", what, str(gateway.process.pid)], check=True, capture_output=True, timeout=60)


def calls(file):
    """How often each function was called, of a profile."""
    names, counts, called = {}, {}, None
    with open(file, errors="replace") as lines:
        for line in lines:
            if found := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line):
                kind, number, name = found.groups()
                if name:
                    names[number] = name.strip().split("'")[0]
                if kind == "cfn":
                    called = number
            elif line.startswith("calls="):
                counts[called] = counts.get(called, 0) + int(line[6:].split()[0])
    by_name = {}
    for number, count in counts.items():
        name = names.get(number, number)
        by_name[name] = by_name.get(name, 0) + count
    return by_name
