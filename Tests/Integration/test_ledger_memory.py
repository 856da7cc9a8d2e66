"""However long a time is asked for, only a day of it is in memory."""

import os
import subprocess
import time

from Support import ledgers
from Support.case import SANITIZED, Case
from Support.gateway import BINARY

TENANTS = tuple(f"tenant-{number:03}" for number in range(200))


def resident_at_most(pid):
    """KiB; zero of a process that has ended."""
    try:
        with open(f"/proc/{pid}/status") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    except ProcessLookupError:
        return 0


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
            most = 0
            # What wait4 tells counts what this process had when it made that one.
            while process.poll() is None:
                most = max(most, resident_at_most(process.pid))
                time.sleep(0.002)
            said = process.stderr.read()
            process.stderr.close()
        self.assertEqual((process.returncode, said), (0, b""))
        with open(os.path.join(folder, "rows")) as rows:
            self.assertEqual(sum(1 for _ in rows), 1 + days * 6 * len(TENANTS))
        return most

    def test_usage_by_hour(self):
        short, long = self.peak(3), self.peak(45)
        self.assertLess(long, 64 << 10)
        self.assertLess(long - short, 6 << 10, (short, long))


if SANITIZED:
    del Memory.test_usage_by_hour
