"""Servers that are left out for a while by what requests come to, who may have that done to them, and how they come back."""

import collections
import re
import threading
import time

from Support.case import Case
from Support.upstream import answer, text
from test_server_flags import states

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
GLOBEX = "tenant globex { host globex.test; authenticate none; upstream app; }\n"


def saying(name, status="200 OK", wait=0.0):
    """Answers with its name; `/boom` with 500, `/late` never."""

    def behaviour(peer):
        while request := peer.read_request():
            if request.target == "/late":
                return peer.wait_for_end()
            if wait:
                time.sleep(wait)
            peer.send(text(name, status="500 Oops" if request.target == "/boom" else status))

    return behaviour


class Eject(Case):
    def app(self, names, more, tenants=ACME):
        lines = "".join(f"server 127.0.0.1:${name}; " for name in names)
        return f"upstream app {{ {lines} balance round_robin; {more} }}\n" + tenants

    def ask(self, gateway, target="/", host="acme.test", method="GET", client=None):
        client = client or self.connect(gateway.plain)
        return client.request(method, target, host, body=b"" if method == "POST" else None)

    def bodies(self, gateway, count=12, **options):
        client = self.connect(gateway.plain)
        return collections.Counter(self.ask(gateway, client=client, **options).body.decode() for _ in range(count))

    def ejections(self, gateway, upstream, reason="failures"):
        server = f"127.0.0.1:{upstream.port}"
        return gateway.metrics().sum("gateway_upstream_ejections_total", upstream="app", server=server, reason=reason)

    def until_said(self, gateway, line):
        pattern = r"^\d{4}-\S+Z " + re.escape(line) + "$"
        self.until(lambda: re.search(pattern, gateway.stderr, re.MULTILINE), f"{line!r} in the log", within=8)

    def change(self, gateway, configuration):
        gateway.write(configuration)
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 200, body)

    # --- failures in a row

    def test_a_server_that_answers_500_is_left_out_and_comes_back(self):
        bad, good = self.upstream(saying("bad", "500 Oops")), self.upstream(saying("good"))
        # The log says it within a second; a row ends two seconds after it was back.
        gateway = self.gateway(self.app(["a", "b"], "eject failures=3 for=2s;"), workers=2, a=bad, b=good)
        seen = self.bodies(gateway, 20)
        self.assertEqual(seen["bad"], 3, "then it is out, for all workers")
        for _ in range(6):
            self.assertEqual(set(self.bodies(gateway, 4)), {"good"})
        self.assertEqual(states(gateway), {bad.port: "ejected", good.port: "up"})
        server = f"upstream app: server 127.0.0.1:{bad.port} is"
        self.until_said(gateway, f"{server} ejected for 2 s: it answers 500 again and again")
        self.until_said(gateway, f"{server} back")
        self.until(lambda: self.ejections(gateway, bad) == 2 or self.bodies(gateway, 8) and None, "a second ejection")
        self.until_said(gateway, f"{server} ejected for 4 s: it answers 500 again and again")
        self.assertEqual((self.ejections(gateway, good), self.ejections(gateway, bad, "slow")), (0, 0))

    def test_every_kind_of_failure_counts_once(self):
        for name, behaviour, status in (
            ("cut", lambda peer: peer.read_request() and peer.close(), 502),
            ("reset", lambda peer: peer.read_request() and peer.reset(), 502),
            ("nonsense", lambda peer: peer.read_request() and peer.send(b"nonsense\r\n\r\n"), 502),
            ("never", lambda peer: peer.read_request() and peer.wait_for_end(), 504),
            ("503", saying("x", "503 Busy"), 503),
        ):
            with self.subTest(name):
                bad, good = self.upstream(behaviour), self.upstream(saying("good"))
                gateway = self.gateway(
                    self.app(["a", "b"], "eject failures=3; response_timeout 200ms;"), workers=1, a=bad, b=good
                )
                statuses = [self.ask(gateway, method="POST").status for _ in range(16)]
                self.assertEqual(statuses.count(status), 3, statuses)
                self.assertEqual(statuses.count(200), 13)
                self.assertEqual(self.ejections(gateway, bad), 1)

    def test_answers_in_between_end_a_run_and_4xx_are_answers(self):
        number = [0]

        def now_and_then(peer):
            while peer.read_request():
                number[0] += 1
                peer.send(text("a", status="500 Oops" if number[0] % 3 else "404 Not Found"))

        flaky, good = self.upstream(now_and_then), self.upstream(saying("good"))
        gateway = self.gateway(self.app(["a", "b"], "eject failures=3;"), workers=1, a=flaky, b=good)
        self.bodies(gateway, 60)
        self.assertEqual((self.ejections(gateway, flaky), len(flaky.requests)), (0, 30))

    def test_a_dead_server_is_ejected(self):
        dead, good = self.upstream(saying("dead")), self.upstream(saying("good"))
        gateway = self.gateway(self.app(["a", "b"], "eject failures=1 for=10s;"), workers=2, a=dead, b=good)
        self.assertEqual(set(self.bodies(gateway)), {"dead", "good"})
        dead.close()
        self.assertEqual({self.ask(gateway).status for _ in range(20)}, {200})
        self.assertEqual(states(gateway), {dead.port: "ejected", good.port: "up"})

    # --- who must stay

    def test_the_only_one_stays(self):
        bad, out = self.upstream(saying("bad", "500 Oops")), self.upstream(saying("out"))
        for more in ("", f"server 127.0.0.1:{out.port} drain;", f"server 127.0.0.1:{out.port} down;"):
            gateway = self.gateway(self.app(["a"], more + "eject failures=1 max_share=100%;"), a=bad)
            self.assertEqual(set(self.bodies(gateway, 10)), {"bad"})
            self.assertEqual(self.ejections(gateway, bad), 0)

    def test_no_more_than_max_share_are_out_and_one_stays_in_any_case(self):
        for count, share, out in ((4, 50, 2), (4, 10, 1), (2, 50, 1), (3, 100, 2), (5, 50, 2)):
            with self.subTest(count=count, share=share):
                names = "abcde"[:count]
                servers = {name: self.upstream(saying(name, "500 Oops")) for name in names}
                gateway = self.gateway(self.app(names, f"eject failures=2 for=60s max_share={share}%;"), workers=2, **servers)
                self.bodies(gateway, 60)
                found = collections.Counter(states(gateway).values())
                self.assertEqual(found, {"ejected": out, "up": count - out})

    def test_those_that_are_ejected_serve_before_nobody_does(self):
        bad, good = self.upstream(saying("bad", "500 Oops")), self.upstream(saying("good"))
        gateway = self.gateway(self.app(["a", "b"], "eject failures=2 for=60s;"), workers=1, a=bad, b=good)
        self.bodies(gateway, 10)
        self.assertEqual(states(gateway)[bad.port], "ejected")
        good.close()
        self.assertEqual(set(self.bodies(gateway)), {"bad"})

    # --- tenants

    def test_a_tenant_can_not_eject_a_server_for_others(self):
        servers = {name: self.upstream(saying(name)) for name in "ab"}
        gateway = self.gateway(
            self.app("ab", "eject failures=3 for=60s slower=2x; response_timeout 150ms;", ACME + GLOBEX), workers=2, **servers
        )
        self.bodies(gateway, 4, host="globex.test")
        for _ in range(40):
            self.assertEqual(self.ask(gateway, "/boom").status, 500)
        for _ in range(12):
            self.assertEqual(self.ask(gateway, "/late", method="POST").status, 504)
        # The other one's few failures in between don't help it.
        for _ in range(4):
            self.assertEqual(self.ask(gateway, "/boom", host="globex.test").status, 500)
            self.bodies(gateway, 4, host="globex.test")
            for _ in range(10):
                self.ask(gateway, "/boom")
        self.assertEqual(set(states(gateway).values()), {"up"})
        self.assertEqual([self.ejections(gateway, server) for server in servers.values()], [0, 0])
        self.assertEqual(self.bodies(gateway, 12, host="globex.test"), {"a": 6, "b": 6})

    def test_a_server_that_fails_for_one_tenant_alone_is_left_out_for_that_one(self):
        def fussy(peer):
            while request := peer.read_request():
                peer.send(text("fussy", status="500 Oops" if request["x-tenant-id"] == "acme" else "200 OK"))

        servers = {"a": self.upstream(fussy), "b": self.upstream(saying("good"))}
        gateway = self.gateway(self.app("ab", "eject failures=3 for=60s;", ACME + GLOBEX), workers=1, **servers)
        self.assertEqual(self.bodies(gateway, 20)["fussy"], 3)
        self.assertEqual(self.bodies(gateway, 20, host="globex.test"), {"fussy": 10, "good": 10})
        self.assertEqual(set(states(gateway).values()), {"up"})

    def test_who_waits_is_not_called_again_and_again_for_a_server_that_is_left_out_for_its_tenant(self):
        gate = threading.Event()
        self.addCleanup(gate.set)

        def good(peer):
            while request := peer.read_request():
                if request.target == "/held":
                    gate.wait(10)
                peer.send(text("good"))

        text_of = self.app(["a", "b"], "eject failures=3 for=1m; max_connections 1; queue size=50 timeout=9s;", ACME + GLOBEX)
        gateway = self.gateway(
            text_of.replace("round_robin", "hash header=X-Key"), workers=1, a=self.upstream(saying("bad", "500 Oops")),
            b=self.upstream(good))
        ask = lambda client, target, host, key: client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Key: {key}\r\n\r\n")
        client = self.connect(gateway.plain)
        for key in range(40):
            ask(client, "/", "acme.test", key)
            client.read_response()
        clients = [self.connect(gateway.plain) for _ in range(4)]
        for number, client in enumerate(clients):
            ask(client, "/held" if number == 0 else "/", "acme.test", 1)
            self.until(lambda: gateway.metrics().sum("gateway_upstream_queue", upstream="app") == number, "its place in the line")
        # Another tenant's keys, of which one is the other server's: it is free.
        others = [self.connect(gateway.plain) for _ in range(8)]
        for key, client in enumerate(others):
            ask(client, "/", "globex.test", key)
        time.sleep(1)
        self.assertLess(gateway.metrics().sum("gateway_upstream_queue_seconds_count", upstream="app"), 20)
        gate.set()
        for client in clients + others:
            self.assertIn(client.read_response().status, (200, 500))

    def test_a_server_that_fails_for_several_tenants_is_ejected(self):
        bad, good = self.upstream(saying("bad", "500 Oops")), self.upstream(saying("good"))
        gateway = self.gateway(self.app("ab", "eject failures=3 for=60s;", ACME + GLOBEX), workers=2, a=bad, b=good)
        for _ in range(6):
            self.bodies(gateway, 2)
            self.bodies(gateway, 2, host="globex.test")
        self.assertEqual(states(gateway), {bad.port: "ejected", good.port: "up"})

    # --- latency

    def test_a_server_fifty_times_slower_than_the_others_is_ejected(self):
        slow = self.upstream(saying("slow", wait=0.25), record=False)
        servers = {name: self.upstream(saying(name, wait=0.005), record=False) for name in "bc"}
        gateway = self.gateway(self.app("abc", "eject slower=3x for=60s;"), workers=2, a=slow, **servers)
        stop, statuses = threading.Event(), []

        def load():
            client = self.connect(gateway.plain)
            while not stop.is_set():
                statuses.append(self.ask(gateway, client=client).status)

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            self.until(lambda: states(gateway)[slow.port] == "ejected", "the slow one to be ejected", within=15)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(set(statuses), {200})
        self.assertEqual(self.ejections(gateway, slow, "slow"), 1)
        self.assertNotIn("slow", self.bodies(gateway))
        self.until(lambda: "times as long as the others'" in gateway.stderr, "a line on it")

    # --- reloads

    def test_an_ejection_outlives_reloads_until_nothing_is_ejected_any_more(self):
        bad, good = self.upstream(saying("bad", "500 Oops")), self.upstream(saying("good"))
        upstream = lambda more: self.app("ab", more)
        gateway = self.gateway(upstream("eject failures=2 for=60s;"), workers=2, a=bad, b=good)
        self.bodies(gateway, 10)
        self.assertEqual(states(gateway)[bad.port], "ejected")
        self.change(gateway, upstream("eject failures=50 for=5s; connect_timeout 3s;"))
        self.assertEqual(states(gateway)[bad.port], "ejected")
        self.assertEqual(set(self.bodies(gateway)), {"good"})
        self.change(gateway, upstream(""))
        self.assertEqual(states(gateway)[bad.port], "up")
        self.assertEqual(set(self.bodies(gateway)), {"bad", "good"})


class SlowStart(Case):
    def test_a_server_that_is_back_gets_a_growing_share(self):
        for policy in ("round_robin", "least_requests"):
            with self.subTest(policy):
                status = ["500 Oops"]

                def behaviour(peer):
                    while request := peer.read_request():
                        peer.send(text("a", status=status[0] if request.target == "/healthz" else "200 OK"))

                back, other = self.upstream(behaviour, record=False), self.upstream(answer(text("b")), record=False)
                gateway = self.gateway(
                    """upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b; balance %s; slow_start 3s;
                        health_check /healthz interval=50ms timeout=5s fall=1 rise=1; }\n""" % policy + ACME,
                    workers=1, a=back, b=other,
                )
                self.until(lambda: states(gateway)[back.port] == "down", "the server to be out")
                status[0] = "200 OK"
                self.until(lambda: states(gateway)[back.port] == "slow_start", "the server to be back")
                client, shares = self.connect(gateway.plain), []
                while states(gateway)[back.port] == "slow_start":
                    bodies = [client.request("GET", "/", "acme.test").body for _ in range(60)]
                    shares.append(bodies.count(b"a") / 60)
                    time.sleep(0.2)
                self.assertLess(shares[0], 0.3, shares)
                self.assertGreater(shares[-1], 0.35, shares)
                self.assertTrue(all(b > a - 0.05 for a, b in zip(shares, shares[1:])), shares)
                bodies = [client.request("GET", "/", "acme.test").body for _ in range(60)]
                self.assertAlmostEqual(bodies.count(b"a"), 30, delta=1)

    def test_one_that_is_new_in_the_file_too_but_none_at_the_start(self):
        servers = {name: self.upstream(answer(text(name))) for name in "ab"}
        upstream = lambda lines: f"upstream app {{ {lines} slow_start 60s; balance round_robin; }}\n" + ACME
        gateway = self.gateway(upstream("server 127.0.0.1:$a;"), **servers)
        ports = servers["a"].port, servers["b"].port
        self.assertEqual(states(gateway), {ports[0]: "up"})
        gateway.write(upstream("server 127.0.0.1:$a; server 127.0.0.1:$b;"))
        gateway.reload()
        self.assertEqual(states(gateway), {ports[0]: "up", ports[1]: "slow_start"})
        gateway.write(upstream("server 127.0.0.1:$b; server 127.0.0.1:$a drain;"))
        gateway.reload()
        self.assertEqual(states(gateway), {ports[0]: "drain", ports[1]: "slow_start"})
        gateway.write(upstream("server 127.0.0.1:$b; server 127.0.0.1:$a;").replace("slow_start 60s;", ""))
        gateway.reload()
        self.assertEqual(states(gateway), {ports[0]: "up", ports[1]: "up"})
