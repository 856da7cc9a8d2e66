"""Ledgers made without a gateway: as one writes them, of any days."""

import calendar
import fcntl
import os
import time
import zlib
from contextlib import contextmanager

NODE = "0f9c2a41"
COUNTERS = 16
# Where they stand among the totals.
ADMITTED, COST, STATUS_2XX, RESPONSE_BYTES = 0, 1, 9, 13


def checked(body):
    """A line of an object without its last brace."""
    return f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'


def text(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def day_text(seconds):
    return text(seconds)[:10]


def month_ago(count=1):
    """The first second of an earlier month."""
    now = time.gmtime()
    months = now.tm_year * 12 + now.tm_mon - 1 - count
    return calendar.timegm((months // 12, months % 12 + 1, 1, 0, 0, 0))


class Written:
    """Days of lines in a folder, of some intervals of five seconds from ten o'clock on, in which each tenant uses some requests."""

    def __init__(self, folder, start, days, tenants=("acme", "globex"), intervals=4, first=36000, step=5):
        self.folder, self.start, self.days, self.tenants = folder, start, days, tenants
        self.files, self.sequence = [], 0
        totals = {tenant: [0] * COUNTERS for tenant in tenants}
        self.admitted = {}
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for day in range(days):
            begin = start + day * 86400
            lines = []
            for interval in range(intervals):
                at = begin + first + step * interval
                for place, tenant in enumerate(tenants):
                    lines.append(self._line(tenant, at, (day + interval + place) % 7 + 1, totals[tenant], begin, not lines))
            self.files.append(day_text(begin) + ".jsonl")
            with open(os.path.join(folder, self.files[-1]), "w") as out:
                out.writelines(lines)

    def _line(self, tenant, at, number, totals, begin, is_first):
        self.sequence += 1
        for counter, more in ((ADMITTED, number), (COST, number), (STATUS_2XX, number), (RESPONSE_BYTES, 100 * number)):
            totals[counter] += more
        key = tenant, day_text(begin)
        self.admitted[key] = self.admitted.get(key, 0) + number
        before = f',"day_before":"{day_text(begin - 86400)}"' if is_first and self.sequence > 1 else ""
        return checked(
            f'{{"id":"{NODE}-1-{self.sequence}","tenant":"{tenant}","from":"{text(at)}","to":"{text(at + 5)}"{before},'
            f'"admitted":{number},"settled":{number},"in_flight":0,"refused":{{}},"status":[0,{number},0,0,0],'
            f'"request_bytes":0,"response_bytes":{100 * number},"upstream_ms":0,"cost":{number},"totals":{totals}'.replace(" ", "")
        )


@contextmanager
def turn(folder):
    """What no command that changes the ledger does meanwhile."""
    file = os.open(os.path.join(folder, ".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
