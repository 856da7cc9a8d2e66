"""Three books of the same requests: what the clients know, what the upstream saw, and what the gateway's ledger says."""

import gzip
import json
import os
import re
import socket
import threading
import time

from .upstream import text
from .wire import count_answer

ANSWER = text("ok")


class Clients:
    """Closed loops of GETs over kept connections, each request with a target of its own. No request is sent twice."""

    def __init__(self, port, connections, host="acme.test", pause=0.0):
        self.port, self.host, self.pause = port, host, pause
        # A set a thread: nothing is counted by two.
        self.sent = [0] * connections
        self.answers = [{} for _ in range(connections)]
        self.served = [set() for _ in range(connections)]
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in range(connections)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        for thread in self._threads:
            thread.join(15)

    @property
    def all_sent(self):
        return sum(self.sent)

    @property
    def all_served(self):
        """The targets that were answered with 200."""
        return set().union(*self.served)

    def answered(self, status=None):
        return sum(count for one in self.answers for known, count in one.items() if status in (None, known))

    def _run(self, me):
        sock = None
        while not self._ending.is_set():
            target = f"/{me}/{self.sent[me]}"
            try:
                if sock is None:
                    sock = socket.create_connection(("127.0.0.1", self.port), 5)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sent[me] += 1
                sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
                status, _, closes = count_answer(sock)
                self.answers[me][status] = self.answers[me].get(status, 0) + 1
                if status == 200:
                    self.served[me].add(target)
                if closes:
                    sock.close()
                    sock = None
            except OSError:
                if sock is not None:
                    sock.close()
                sock = None
                self._ending.wait(0.002)
            if self.pause:
                self._ending.wait(self.pause)
        if sock is not None:
            sock.close()


class Seen:
    """An upstream's behaviour that remembers every whole request."""

    def __init__(self):
        self.targets, self.again = set(), []

    def __call__(self, peer):
        while request := peer.read_request():
            # Between two threads only a target that comes twice could be lost, and then the other one has it.
            if request.target in self.targets:
                self.again.append(request.target)
            self.targets.add(request.target)
            peer.send(ANSWER)

    @property
    def count(self):
        return len(self.targets)


def usage(gateway, tenant="acme"):
    """What `gateway usage` says of the tenant, all time."""
    done = gateway.command("usage", tenant, "-c", gateway.file, "--format", "json")
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"gateway usage: {done.returncode} {done.stderr}")
    rows = json.loads(done.stdout)
    return rows[0] if rows else None


def live(gateway, tenant="acme"):
    return gateway.json(f"/v1/tenants/{tenant}")["live"]


def ledger_lines(folder):
    """Every line of the intervals, each as an object; of a day that is there twice the plain file."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if match := re.fullmatch(r"(\d{4}-\d\d-\d\d)\.jsonl(\.gz)?", name):
            if match[2] and match[1] in found:
                continue
            read = gzip.open if match[2] else open
            with read(os.path.join(folder, name), "rt") as file:
                found[match[1]] = [json.loads(line) for line in file]
    return [line for day in sorted(found) for line in found[day]]


def assert_ids_are_unique(case, folder):
    ids = [line["id"] for line in ledger_lines(folder)]
    case.assertGreater(len(ids), 0)
    case.assertEqual(len(ids), len(set(ids)), "an id stands twice")


def settle(gateway, within=10.0):
    """Waits until nothing is in flight; gives the live figures."""
    deadline = time.monotonic() + within
    while True:
        figures = live(gateway)
        if figures["in_flight"] == 0:
            # What was in flight a moment ago may have been settled between two of these figures.
            return live(gateway)
        if time.monotonic() > deadline:
            raise AssertionError(f"still in flight: {figures}")
        time.sleep(0.01)
