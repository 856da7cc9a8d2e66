"""Servers that die, crawl, lie or go silent under load: no idempotent request fails while another server is healthy, beyond
the time in which that is found out, which each test states."""

import collections
import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer, text
from test_server_flags import states

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
# Longer than a busy machine lets a server of these tests wait for its turn: a late answer of a good server is a failure too.
TIMEOUT = 1.5
EJECT = f"eject failures=3 for=60s slower=3x; response_timeout {int(TIMEOUT * 1000)}ms;"


class Load:
    """Clients that ask again and again on connections of their own. `failed` has what was not 200, with its moment."""

    def __init__(self, gateway, clients=6):
        self.gateway, self.count, self.failed, self.bodies = gateway, 0, [], collections.Counter()
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self):
        with RawClient(self.gateway.plain) as client:
            while not self.stopped.is_set():
                response = client.request("GET", "/", "acme.test")
                with self.lock:
                    self.count += 1
                    self.bodies[response.body] += 1
                    if response.status != 200:
                        self.failed.append((time.monotonic(), response.status))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def after(self, more):
        """Waits for so many more requests."""
        until = self.count + more
        end = time.monotonic() + 15
        while self.count < until:
            if time.monotonic() > end:
                raise AssertionError(f"{self.count} of {until} requests")
            time.sleep(0.01)


class ServerChaos(Case):
    def three(self, more=EJECT, policy="least_requests", **other):
        """A gateway in front of three servers; `a` does what `self.behave` says."""
        self.behave = answer(text("a"))
        servers = {"a": self.upstream(lambda peer: self.behave(peer), record=False)}
        servers |= {name: self.upstream(answer(text(name)), record=False) for name in "bc"}
        lines = "".join(f"server 127.0.0.1:${name}; " for name in servers)
        gateway = self.gateway(f"upstream app {{ {lines} balance {policy}; {more} }}\n" + ACME, workers=2, **servers)
        return gateway, servers

    def test_one_of_three_killed_fails_nothing(self):
        for policy in ("least_requests", "round_robin"):
            with self.subTest(policy):
                gateway, servers = self.three(policy=policy)
                with Load(gateway) as load:
                    load.after(200)
                    servers["a"].close()
                    load.after(400)
                self.assertEqual(load.failed, [])

    def test_one_that_answers_500_fails_as_many_as_it_takes_and_those_under_way(self):
        """No 500 is retried without `retry`: the first three in a row, and at most those that were under way with them."""
        gateway, servers = self.three()
        gate = threading.Event()

        def failing(peer):
            while peer.read_request():
                peer.send(text("a", status="500 Oops" if gate.is_set() else "200 OK"))

        self.behave = failing
        with Load(gateway) as load:
            load.after(100)
            gate.set()
            load.after(500)
            self.assertEqual(states(gateway)[servers["a"].port], "ejected")
            found = len(load.failed)
            load.after(200)
        self.assertLessEqual(found, 3 + 6)
        self.assertEqual(len(load.failed), found, "none after that")

    def test_one_that_accepts_and_never_answers_is_found_out_within_a_response_timeout(self):
        gateway, servers = self.three()
        silent = threading.Event()

        def behaviour(peer):
            while peer.read_request():
                if silent.is_set():
                    return peer.wait_for_end()
                peer.send(text("a"))

        self.behave = behaviour
        with Load(gateway, clients=8) as load:
            load.after(100)
            silent.set()
            began = time.monotonic()
            self.until(lambda: states(gateway)[servers["a"].port] == "ejected", "the silent one to be out")
            found = time.monotonic() - began
            count = len(load.failed)
            load.after(400)
        # Those that were under way at it when it was found out are lost as well: one a client at the most.
        self.assertLessEqual(len(load.failed) - count, 8)
        self.assertLessEqual(len(load.failed), 3 + 8)
        self.assertLess(found, 3 * TIMEOUT + 1)

    def test_one_fifty_times_slower_costs_time_and_no_request(self):
        gateway, servers = self.three(policy="round_robin")

        def slow(peer):
            while peer.read_request():
                time.sleep(0.1)
                peer.send(text("a"))

        self.behave = slow
        with Load(gateway) as load:
            self.until(lambda: states(gateway)[servers["a"].port] == "ejected", "the slow one to be out", within=15)
            before = load.bodies[b"a"]
            load.after(300)
            self.assertLessEqual(load.bodies[b"a"] - before, 6)
        self.assertEqual(load.failed, [])

    def test_one_that_closes_after_each_answer_without_saying_so_fails_nothing(self):
        gateway, servers = self.three(policy="round_robin")

        def behaviour(peer):
            if peer.read_request():
                peer.send(text("a"))

        self.behave = behaviour
        with Load(gateway) as load:
            load.after(600)
        self.assertEqual(load.failed, [])
        self.assertGreater(load.bodies[b"a"], 50)
        self.assertEqual(states(gateway)[servers["a"].port], "up")

    def test_all_dead_and_back(self):
        """Served again within the second: who is down is asked again as long as nobody is up, ejected or not."""
        gateway, servers = self.three()
        with Load(gateway, clients=3) as load:
            load.after(100)
            ports = {name: server.port for name, server in servers.items()}
            for server in servers.values():
                server.close()
            self.until(lambda: len(load.failed) > 20, "requests to fail")
            back = time.monotonic()
            for name, port in ports.items():
                self.upstream(answer(text(name)), port=port, record=False)
            time.sleep(1)
            load.after(200)
        late = [moment for moment, _ in load.failed if moment > back + 1]
        self.assertEqual(late, [])
        self.assertEqual({status for _, status in load.failed} - {502, 503}, set())
