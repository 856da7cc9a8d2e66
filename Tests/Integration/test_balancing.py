"""What a reload leaves as it was on the way to the servers: whose turn it is, what is left of a budget, who waits."""

import threading
import time

from Support import preload
from Support.case import SANITIZED, Case
from Support.upstream import answer, text

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
OTHER = "upstream spare { server 127.0.0.1:9; }\n"
WAITERS = 16  # for each connection that there may be


class Held:
    """An upstream's behaviour: its answers wait until they are let go. `begun` counts the requests that came."""

    def __init__(self, case, name="held"):
        self.name, self.begun, self.gate = name, 0, threading.Event()
        case.addCleanup(self.gate.set)

    def __call__(self, peer):
        while peer.read_request():
            self.begun += 1
            self.gate.wait(20)
            peer.send(text(self.name))


class OverReloads(Case):
    def reload(self, gateway):
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 200, body)

    def change(self, gateway, configuration):
        gateway.write(configuration)
        self.reload(gateway)

    def ask(self, gateway, target="/"):
        client = self.connect(gateway.plain)
        client.send(f"GET {target} HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        return client

    def one(self, held, more="connect_timeout 15s;", **options):
        """One loop in front of a server that may have one connection, and a request on it."""
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; max_connections 1; " + more + " }\n" + ACME,
            workers=1,
            app=self.upstream(held),
            **options,
        )
        first = self.ask(gateway)
        self.until(lambda: held.begun == 1, "the first request at the server")
        return gateway, first

    # --- whose turn it is

    def test_the_rotation_goes_on(self):
        servers = {name: self.upstream(answer(text(name))) for name in "abc"}
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b; server 127.0.0.1:$c; balance round_robin; }\n" + ACME,
            workers=1,
            **servers,
        )
        client = self.connect(gateway.plain)
        seen = ""
        for _ in range(12):
            seen += client.request("GET", "/", "acme.test").body.decode()
            self.reload(gateway)
        self.assertEqual(seen, "abc" * 4)

    def test_the_rotation_goes_on_among_those_who_stay(self):
        servers = {name: self.upstream(answer(text(name))) for name in "abcd"}
        lines = lambda names: "".join(f"server 127.0.0.1:${name}; " for name in names)
        upstream = lambda names: "upstream app { " + lines(names) + " balance round_robin; }\n" + ACME
        gateway = self.gateway(upstream("abc"), workers=1, **servers)
        client = self.connect(gateway.plain)
        ask = lambda times: "".join(client.request("GET", "/", "acme.test").body.decode() for _ in range(times))
        self.assertEqual(ask(1), "a")
        self.change(gateway, upstream("acbd"))
        self.assertEqual(ask(4), "cbda", "a had its turn")
        self.change(gateway, upstream("cd"))
        self.assertEqual(sorted(ask(4)), list("ccdd"))

    def test_the_rotation_of_a_template_goes_on_for_each_tenant(self):
        servers = {name: self.upstream(answer(text(name))) for name in "ab"}
        gateway = self.gateway(
            """upstream app { server {tenant}.test:$a; server {tenant}.test:$b; balance round_robin; }
            tenant acme { host acme.test; authenticate none; upstream app; }
            tenant globex { host globex.test; authenticate none; upstream app; }""",
            workers=1,
            start=False,
            **servers,
        )
        gateway.start(environment=preload.environment(preload.Names(gateway.folder, "*.test 0 1 0 127.0.0.1")))
        client = self.connect(gateway.plain)
        ask = lambda tenant: client.request("GET", "/", f"{tenant}.test").body.decode()
        self.assertEqual(ask("globex"), "a")
        seen = ""
        for _ in range(6):
            seen += ask("acme")
            self.reload(gateway)
        self.assertEqual((seen, ask("globex")), ("ab" * 3, "b"))

    # --- what is left of a budget

    def test_retries_that_were_used_up_stay_used_up(self):
        upstream = self.upstream(lambda peer: peer.read_request(), record=False)
        gateway = self.simple(upstream, workers=1)
        began, count = time.monotonic(), 0
        for _ in range(20):
            client = self.connect(gateway.plain)
            for _ in range(10):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 502)
                count += 1
            self.reload(gateway)
        retries = len(upstream.requests) - count
        # A retry costs what five attempts bring, and it is an attempt itself. Ten are there to begin with, ten more at the
        # first want, and ten a second.
        self.assertLessEqual(retries, (5 * (20 + 10 * (time.monotonic() - began)) + count) / 4)

    # --- who waits

    def test_who_waits_is_served_under_the_new_limit(self):
        held = Held(self)
        gateway, first = self.one(held)
        waiting = [self.ask(gateway) for _ in range(3)]
        # One more request than wait: what came before it has been read.
        self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        self.change(
            gateway, "upstream app { server 127.0.0.1:$app; max_connections 3; connect_timeout 15s; }\n" + ACME
        )
        self.until(lambda: held.begun == 3, "as many at the server as it may have now")
        held.gate.set()
        self.assertEqual([client.read_response().status for client in [first, *waiting]], [200] * 4)

    def test_who_waits_does_not_wait_for_a_server_that_is_gone(self):
        held, other = Held(self), self.upstream(answer(text("other")))
        gateway, first = self.one(held, other=other)
        waiting = [self.ask(gateway) for _ in range(3)]
        self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        self.change(gateway, "upstream app { server 127.0.0.1:$other; connect_timeout 15s; }\n" + ACME)
        self.assertEqual([client.read_response().body for client in waiting], [b"other"] * 3)
        held.gate.set()
        self.assertEqual(first.read_response().body, b"held")

    def test_the_line_is_no_longer_for_a_reload(self):
        held = Held(self)
        gateway, first = self.one(held)
        waiting = [self.ask(gateway) for _ in range(WAITERS + 4)]
        self.until(lambda: gateway.metrics().sum("gateway_refused_total", reason="overloaded") == 4, "a full line")
        self.reload(gateway)
        self.assert_problem(self.ask(gateway).read_response(), 503, "overloaded")
        held.gate.set()
        self.assertEqual(sorted(client.read_response().status for client in waiting), [200] * WAITERS + [503] * 4)
        self.assertEqual(first.read_response().status, 200)

    def test_first_come_first_served_over_reloads(self):
        order = []
        gate = threading.Semaphore(0)

        def behaviour(peer):
            while request := peer.read_request():
                order.append(request.target)
                gate.acquire(timeout=20)
                peer.send(text("ok"))

        gateway, first = self.one_of(behaviour, order)
        clients = [first]
        for number in range(6):
            clients.append(self.ask(gateway, f"/{number}"))
            self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
            self.reload(gateway)
        for _ in clients:
            gate.release()
        self.assertEqual([client.read_response().status for client in clients], [200] * 7)
        self.assertEqual(order, ["/"] + [f"/{number}" for number in range(6)])

    def one_of(self, behaviour, order):
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; max_connections 1; connect_timeout 15s; }\n" + ACME,
            workers=1,
            app=self.upstream(behaviour),
        )
        first = self.ask(gateway)
        self.until(lambda: order == ["/"], "the first request at the server")
        return gateway, first

    def test_who_waits_at_an_upstream_that_is_removed_gets_an_answer(self):
        held = Held(self)
        gateway, first = self.one(held)
        waiting = [self.ask(gateway) for _ in range(3)]
        self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        spare = self.upstream(answer(text("spare")))
        gateway.write("upstream spare { server 127.0.0.1:$spare; }\n" + ACME.replace("app", "spare"), spare=spare.port)
        self.reload(gateway)
        self.assertEqual(self.get(gateway).body, b"spare")
        # It is back before they have gone: nothing of theirs is its own.
        self.change(gateway, "upstream app { server 127.0.0.1:$app; connect_timeout 15s; }\n" + ACME)
        held.gate.set()
        self.assertEqual([client.read_response().body for client in [first, *waiting]], [b"held"] * 4)
        self.assertEqual(self.get(gateway).body, b"held")

    def test_who_waits_for_the_name_of_a_server_that_is_gone_is_served_by_another(self):
        other = self.upstream(answer(text("other")))
        gateway = self.gateway(
            "upstream app { server app.test:$other; }\n" + ACME, workers=1, start=False, other=other
        )
        names = preload.Names(gateway.folder, "app.test 1500 1500 100 127.0.0.1")
        gateway.start(environment=preload.environment(names))
        client = self.ask(gateway)
        self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        self.change(gateway, "upstream app { server 127.0.0.1:$other; }\n" + ACME)
        self.assertEqual(client.read_response().body, b"other")

    def test_limits_change_while_many_come_and_go(self):
        """Nobody is lost and no limit is passed, whatever a reload does to those who wait."""
        lock, now, most = threading.Lock(), [0], [0]

        def behaviour(peer):
            while peer.read_request():
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                time.sleep(0.002)
                with lock:
                    now[0] -= 1
                peer.send(text("ok"))

        upstream = lambda most: (
            "upstream app { server 127.0.0.1:$app; max_connections %d; connect_timeout 15s; }\n" % most + OTHER + ACME
        )
        gateway = self.gateway(upstream(2), workers=1, app=self.upstream(behaviour, record=False))
        statuses = []

        def load():
            client = self.connect(gateway.plain)
            statuses.extend([client.request("GET", "/", "acme.test").status for _ in range(60)])

        threads = [threading.Thread(target=load) for _ in range(12)]
        for thread in threads:
            thread.start()
        for number in range(20 if SANITIZED else 60):
            self.change(gateway, upstream((2, 4, 1, 3)[number % 4]))
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 720)
        self.assertLessEqual(most[0], 4)
