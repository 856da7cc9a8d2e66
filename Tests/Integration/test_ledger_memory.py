"""However long a time is asked for, only a day of it is in memory."""

import os
import subprocess

from Support import ledgers
from Support.case import SANITIZED, Case
from Support.gateway import BINARY

TENANTS = tuple(f"tenant-{number:03}" for number in range(200))


class Memory(Case):
    seconds = 120

    def peak(self, days):
        """KiB that `gateway usage --by hour` had at most, of so many days."""
        folder = os.path.join(self.folder, f"of-{days}-days")
        os.makedirs(folder)
        with open(os.path.join(folder, "gateway.conf"), "w") as out:
            out.write("listen 127.0.0.1:1; state ./state; upstream app { server 127.0.0.1:1; }\n")
        start = ledgers.month_ago(4)
        ledgers.Written(os.path.join(folder, "state", "ledger"), start, days, TENANTS, intervals=6, first=0, step=14400)
        with open(os.path.join(folder, "rows"), "wb") as out:
            words = [BINARY, "usage", "--by", "hour", "--format", "csv", "-c", os.path.join(folder, "gateway.conf")]
            process = subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE)
            said = process.stderr.read()
            process.stderr.close()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = status
        self.assertEqual((status, said), (0, b""))
        with open(os.path.join(folder, "rows")) as rows:
            self.assertEqual(sum(1 for _ in rows), 1 + days * 6 * len(TENANTS))
        return used.ru_maxrss

    def test_usage_by_hour(self):
        short, long = self.peak(3), self.peak(45)
        self.assertLess(long, 64 << 10)
        self.assertLess(long - short, 6 << 10, (short, long))


if SANITIZED:
    del Memory.test_usage_by_hour
