"""Tenants that want more of an upstream than there is of it share it by weight, and who wants little waits for nobody."""

import statistics
import threading
import time

from Support import h2
from Support.case import Case
from Support.client import RawClient
from Support.offer import Offer
from Support.upstream import text
from Support.wire import Truncated


class Server:
    """An upstream's behaviour: each answer takes `seconds`, of a path that says so another time."""

    def __init__(self, seconds=0.03):
        self.seconds, self.lock, self.now, self.most = seconds, threading.Lock(), 0, 0

    def __call__(self, peer):
        while request := peer.read_request():
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(float(request.target[1:]) if request.target[1:] else self.seconds)
            with self.lock:
                self.now -= 1
            peer.send(text("ok"))


class Crowd:
    """Clients of one tenant that ask again as soon as they have an answer."""

    def __init__(self, case, gateway, tenant, count, target="/", pause=0.0):
        self.statuses, self.times, self.stop = [], [], threading.Event()
        self.gateway, self.host, self.target, self.pause = gateway, f"{tenant}.test", target, pause
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        case.addCleanup(self.end)
        for thread in self.threads:
            thread.start()

    def run(self):
        try:
            with RawClient(self.gateway.plain, timeout=20) as client:
                while not self.stop.is_set():
                    began = time.monotonic()
                    response = client.request("GET", self.target, self.host)
                    self.statuses.append(response.status)
                    if response.status == 200:
                        self.times.append(time.monotonic() - began)
                    if self.pause:
                        time.sleep(self.pause)
        except (OSError, Truncated):
            self.statuses.append(0)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(25)


def tenants(**weights):
    return "".join(
        f"tenant {name} {{ host {name}.test; upstream app; weight {weight}; }}\n" for name, weight in weights.items()
    )


def streams(seconds, most):
    """A server of HTTP/2 that allows eight requests at once and answers each after so long. `most` gets how many there were."""

    def behaviour(server):
        due = []
        while True:
            server.for_a_while(0.004)
            now = time.monotonic()
            for stream, one in sorted(server.answers.items()):
                if stream not in server.taken and one.ended:
                    server.taken.add(stream)
                    due.append((now + seconds, stream))
            most.append(len(due))
            while due and due[0][0] <= now:
                server.respond(due.pop(0)[1], b"ok")

    return h2.serving(behaviour, settings=[(3, 8)])


class Fairness(Case):
    def edge(self, server, weights, block="", workers=1):
        return self.gateway(
            f"upstream app {{ server 127.0.0.1:$app; {block} }}\n" + tenants(**weights),
            app=self.upstream(server, record=False),
            workers=workers,
        )

    def queued(self, gateway):
        return gateway.metrics().sum("gateway_upstream_queue", upstream="app")

    def settled(self, gateway):
        self.until(lambda: self.queued(gateway) == 0, "nobody waits")

    def test_shares_are_those_of_the_weights(self):
        for workers in (1, 2):
            with self.subTest(workers=workers):
                server = Server()
                gateway = self.edge(server, dict(a=1, b=2, c=4), "max_connections 16;", workers)
                crowds = [Crowd(self, gateway, name, 28) for name in "abc"]
                time.sleep(1)
                before = [len(crowd.statuses) for crowd in crowds]
                time.sleep(4)
                served = [len(crowd.statuses) - count for crowd, count in zip(crowds, before)]
                for crowd in crowds:
                    crowd.end()
                    self.assertEqual(set(crowd.statuses), {200})
                whole = sum(served)
                for count, weight in zip(served, (1, 2, 4)):
                    self.assertAlmostEqual(count / whole * 7 / weight, 1, delta=0.05, msg=served)
                self.assertEqual(server.most, 16)
                self.settled(gateway)
                self.assertGreater(gateway.metrics().sum("gateway_upstream_queue_seconds_count", upstream="app"), 100)
                gateway.stop()

    def test_who_wants_little_waits_for_nobody(self):
        for workers in (1, 2):
            with self.subTest(workers=workers):
                server = Server(0.02)
                gateway = self.edge(server, dict(flood=1, quiet=1), "max_connections 4;", workers)
                flood = Crowd(self, gateway, "flood", 100)
                time.sleep(0.5)
                quiet = Crowd(self, gateway, "quiet", 1, pause=0.01)
                time.sleep(4)
                for crowd in (quiet, flood):
                    crowd.end()
                self.assertEqual(set(quiet.statuses), {200})
                # Some were refused: the line has room for 64.
                self.assertEqual(set(flood.statuses), {200, 503})
                ordered = sorted(quiet.times)
                self.assertGreater(len(ordered), 30)
                # What the flood waits for, with all places in the line taken, is sixteen times the service time.
                waits = statistics.median(flood.times)
                self.assertLess(statistics.median(ordered), waits / 3, ordered)
                self.assertLess(ordered[int(len(ordered) * 0.98)], waits, ordered)
                self.settled(gateway)
                gateway.stop()

    def test_streams_of_a_server_of_http2_are_shared_as_connections_are(self):
        most = []
        gateway = self.edge(streams(0.03, most), dict(a=1, b=3, quiet=1), "protocols h2; max_connections 1; queue size=60;")
        crowds = [Crowd(self, gateway, name, 24) for name in "ab"]
        time.sleep(1)
        before = [len(crowd.statuses) for crowd in crowds]
        # What a server allows is not known before it has said so.
        most.clear()
        quiet = Crowd(self, gateway, "quiet", 1, pause=0.05)
        time.sleep(4)
        served = [len(crowd.statuses) - count for crowd, count in zip(crowds, before)]
        for crowd in (*crowds, quiet):
            crowd.end()
            self.assertEqual(set(crowd.statuses), {200})
        self.assertAlmostEqual(served[1] / served[0], 3, delta=0.3, msg=served)
        self.assertLess(statistics.median(quiet.times), statistics.median(crowds[0].times) / 2)
        self.assertLessEqual(max(most), 8)
        self.settled(gateway)

    def test_a_slow_tenant_does_not_have_all_connections(self):
        """Turns cost their time: requests that take ten times as long come ten times as seldom."""
        gateway = self.edge(Server(0.02), dict(slow=1, quick=1), "max_connections 8;")
        slow, quick = Crowd(self, gateway, "slow", 20, target="/0.2"), Crowd(self, gateway, "quick", 20)
        time.sleep(1.5)
        before = len(slow.statuses), len(quick.statuses)
        time.sleep(4)
        served = len(slow.statuses) - before[0], len(quick.statuses) - before[1]
        for crowd in (slow, quick):
            crowd.end()
        self.assertGreater(served[1] / served[0], 6, served)
        self.assertLess(served[1] / served[0], 15, served)

    def test_a_queue_has_a_size_and_a_time(self):
        server = Server()
        gateway = self.edge(server, dict(a=1), "max_connections 1; queue size=3 timeout=300ms; connect_timeout 20s;", 2)
        first = self.connect(gateway.plain)
        first.send("GET /1.0 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        self.until(lambda: server.now == 1, "the first one at the server")
        began = time.monotonic()
        others = [self.connect(gateway.plain) for _ in range(5)]
        for client in others:
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        self.until(lambda: self.queued(gateway) == 3, "three wait")
        answers = [client.read_response() for client in others]
        self.assertLess(time.monotonic() - began, 0.9)
        self.assertEqual([answer.status for answer in answers], [503] * 5)
        self.assertTrue(all(answer["retry-after"] for answer in answers))
        self.assertTrue(all(b"overloaded" in answer.body for answer in answers))
        self.assertEqual(first.read_response().status, 200)
        self.settled(gateway)
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_upstream_queue_seconds_count", upstream="app"), 3)
        self.assertEqual(metrics.sum("gateway_refused_total", reason="overloaded"), 5)

    def test_a_client_that_leaves_leaves_the_queue(self):
        server = Server()
        gateway = self.edge(server, dict(a=1), "max_connections 1; queue size=3 timeout=10s;", 2)
        first = self.connect(gateway.plain)
        first.send("GET /1.0 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        self.until(lambda: server.now == 1, "the first one at the server")
        others = [self.connect(gateway.plain) for _ in range(3)]
        for client in others:
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        self.until(lambda: self.queued(gateway) == 3, "three wait")
        others[0].reset()
        others[1].reset()
        self.until(lambda: self.queued(gateway) == 1, "two have left", within=0.7)
        self.assertEqual(others[2].read_response().status, 200)
        self.settled(gateway)

    def test_the_queue_is_everybodys_and_none_can_fill_it(self):
        """A tenant's part of a full line is free for it, whoever fills the line and on whichever worker."""
        for workers in (1, 2):
            with self.subTest(workers=workers):
                server = Server()
                gateway = self.edge(
                    server, dict(flood=1, a=1, b=1), "max_connections 1; queue size=12 timeout=10s;", workers
                )
                ask = lambda tenant, target="/": self.asked(gateway, tenant, target)
                first = ask("flood", "/1.5")
                self.until(lambda: server.now == 1, "the first one at the server")
                flood = [ask("flood") for _ in range(20)]
                self.until(lambda: self.queued(gateway) == 12, "a full line")
                a = [ask("a") for _ in range(4)]
                b = [ask("b") for _ in range(4)]
                refused = lambda: gateway.metrics().sum("gateway_refused_total", reason="overloaded")
                self.until(lambda: refused() == 16, "8 refused at the door and 8 who had to leave")
                late = ask("a")
                self.assertEqual(late.read_response().status, 503)
                self.assertEqual(self.queued(gateway), 12)
                self.assertEqual([client.read_response().status for client in a + b], [200] * 8)
                self.assertEqual(sorted(client.read_response().status for client in flood), [200] * 4 + [503] * 16)
                self.assertEqual(first.read_response().status, 200)
                self.settled(gateway)
                gateway.stop()

    def asked(self, gateway, tenant, target="/"):
        client = self.connect(gateway.plain)
        client.send(f"GET {target} HTTP/1.1\r\nHost: {tenant}.test\r\n\r\n")
        return client

    def test_a_share_of_the_connections_while_others_want_them(self):
        for workers in (1, 2):
            with self.subTest(workers=workers):
                server = Server(0.02)
                gateway = self.gateway(
                    "upstream app { server 127.0.0.1:$app; max_connections 8; }\n"
                    "tenant big { host big.test; upstream app; weight 1000; share 50%; }\n"
                    "tenant small { host small.test; upstream app; }\n",
                    app=self.upstream(server, record=False),
                    workers=workers,
                )
                big = Crowd(self, gateway, "big", 24)
                time.sleep(0.8)
                # All of them are its as long as nobody else comes.
                self.assertEqual(server.most, 8)
                small = Crowd(self, gateway, "small", 24)
                time.sleep(0.8)
                before = len(big.statuses), len(small.statuses)
                time.sleep(3)
                served = len(big.statuses) - before[0], len(small.statuses) - before[1]
                for crowd in (big, small):
                    crowd.end()
                    self.assertEqual(set(crowd.statuses), {200})
                self.assertAlmostEqual(served[0] / served[1], 1, delta=0.2, msg=served)
                self.settled(gateway)
                gateway.stop()

    def test_max_requests_is_a_breaker(self):
        server = Server()
        gateway = self.edge(server, dict(a=1, b=1), "max_requests 5; max_connections 3;", 2)
        held = [self.asked(gateway, name, "/1.0") for name in "aabba"]
        self.until(lambda: server.now == 3 and self.queued(gateway) == 2, "three at the server, two wait")
        for _ in range(3):
            answer = self.asked(gateway, "b").read_response()
            self.assertEqual((answer.status, answer["retry-after"]), (503, "1"))
            self.assertIn(b"overloaded", answer.body)
        # Whatever becomes of one, it is one less: a client that leaves, at the server or in the line.
        held.pop(0).close()
        held.pop().reset()

        def served():
            with RawClient(gateway.plain) as client:
                return client.request("GET", "/", "b.test").status == 200

        self.until(served, "room again")
        self.assertEqual([client.read_response().status for client in held], [200] * 3)
        # The bound goes by the configuration in force, and by what is under way.
        held = [self.asked(gateway, "a", "/1.0") for _ in range(2)]
        self.until(lambda: server.now == 2, "two at the server")
        gateway.write("upstream app { server 127.0.0.1:$app; max_requests 2; }\n" + tenants(a=1, b=1))
        gateway.reload()
        self.assertEqual(self.asked(gateway, "b").read_response().status, 503)
        gateway.write("upstream app { server 127.0.0.1:$app; max_requests 3; }\n" + tenants(a=1, b=1))
        gateway.reload()
        self.assertEqual(self.asked(gateway, "b").read_response().status, 200)
        gateway.write("upstream app { server 127.0.0.1:$app; }\n" + tenants(a=1, b=1))
        gateway.reload()
        self.assertEqual([self.asked(gateway, "b").read_response().status for _ in range(4)], [200] * 4)
        self.assertEqual([client.read_response().status for client in held], [200] * 2)

    def offer(self, gateway, seconds, *plan):
        """What became of so many requests a second over so many connections, by tenant: statuses and how many of each."""
        offer = Offer(gateway.plain, [(f"{name}.test", rate, connections) for name, rate, connections in plan], seconds)
        self.addCleanup(offer.stop)
        found = offer.wait()
        return [found[f"{name}.test"]["statuses"] for name, _, _ in plan]

    def test_a_flood_at_the_breaker_leaves_places_to_others(self):
        for workers, weights, block in ((1, dict(a=1, b=1), ""), (2, dict(a=2, b=1), "max_connections 8;")):
            with self.subTest(workers=workers, weights=weights):
                server = Server(0.05)
                gateway = self.edge(server, weights, "max_requests 16; " + block, workers)
                # Some 160 a second are what there is room for with eight at once, and 320 with sixteen.
                flood, quiet = self.offer(gateway, 3, ("a", 3200, 160), ("b", 20, 4))
                self.assertEqual(set(quiet), {200}, quiet)
                # Who floods is served all the same, and never beyond the bound.
                self.assertGreater(flood[503], 1000)
                self.assertGreater(flood[200], 250)
                self.assertLessEqual(server.most, 16)
                gateway.stop()

    def test_floods_at_the_breaker_share_by_weight(self):
        gateway = self.edge(Server(0.1), dict(a=1, b=3), "max_requests 16;", 2)
        small, big = self.offer(gateway, 4, ("a", 900, 60), ("b", 900, 60))
        print(f"     served {small[200]} and {big[200]}", flush=True)
        self.assertAlmostEqual(big[200] / small[200], 3, delta=0.5, msg=(small, big))

    def test_a_storm_at_the_breaker_leaves_nothing_behind(self):
        server = Server(0.01)
        gateway = self.edge(server, dict(a=1), "max_requests 7; max_connections 4;", 2)
        crowd = Crowd(self, gateway, "a", 30)
        for _ in range(60):
            client = self.asked(gateway, "a", "/0.05")
            time.sleep(0.005)
            client.reset() if _ % 2 else client.close()
        crowd.end()
        self.assertEqual(set(crowd.statuses), {200, 503})
        # The server goes on with what its clients have left: how many it has at once says nothing.
        self.settled(gateway)
        self.until(lambda: server.now == 0, "a quiet server")
        held = [self.asked(gateway, "a", "/0.5") for _ in range(7)]
        self.assertEqual([client.read_response().status for client in held], [200] * 7)

    def test_connections_of_a_tenants_clients(self):
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            "tenant a { host a.test; upstream app; max_connections 3; }\ntenant b { host b.test; upstream app; }\n",
            app=self.upstream(record=False),
            workers=4,
        )
        kept = [self.connect(gateway.plain) for _ in range(3)]
        for client in kept * 2:
            self.assertEqual(client.request("GET", "/", "a.test").status, 200)
        for _ in range(4):
            client = self.connect(gateway.plain)
            answer = client.request("GET", "/", "a.test")
            self.assertEqual((answer.status, answer["retry-after"], answer["connection"]), (429, "1", "close"))
            self.assertIn(b'"violated-policies":["connections"]', answer.body)
            self.assertIn(b"concurrency-limited", answer.body)
        other = self.connect(gateway.plain)
        self.assertEqual(other.request("GET", "/", "b.test").status, 200)

        def served():
            client = self.connect(gateway.plain)
            if client.request("GET", "/", "a.test").status != 200:
                return False
            kept.append(client)
            return True

        # One that leaves makes room for one, and one that becomes another tenant's does.
        kept.pop(0).close()
        self.until(served, "room for one")
        self.assertEqual(kept.pop(0).request("GET", "/", "b.test").status, 200)
        self.until(served, "room for another one")
        self.assertEqual(self.connect(gateway.plain).request("GET", "/", "a.test").status, 429)
        # HTTP/2 counts as well.
        with self.assertRaises(AssertionError), h2.Client(gateway.plain) as client:
            self.assertEqual(client.get("/", host="a.test").status, 200)
        kept.pop().close()
        self.until(lambda: self.h2_status(gateway, "a") == 200, "room for a connection of HTTP/2")

    def h2_status(self, gateway, tenant):
        with h2.Client(gateway.plain) as client:
            return client.get("/", host=f"{tenant}.test").status

    def test_streams_of_a_tenants_clients(self):
        server = Server()
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            "tenant a { host a.test; upstream app; max_streams 5; }\ntenant b { host b.test; upstream app; }\n",
            app=self.upstream(server, record=False),
            workers=2,
        )
        with h2.Client(gateway.plain) as one, h2.Client(gateway.plain) as two:
            held = [(c, c.head(c.fields(path="/0.6", host="a.test"))) for c in (one, two, one, two, one)]
            self.until(lambda: server.now == 5, "five at the server")
            for client in (one, two):
                answer = client.get("/", host="a.test")
                self.assertEqual((answer.status, answer.get("retry-after")), (429, "1"))
                self.assertIn(b'"violated-policies":["streams"]', bytes(answer.body))
                self.assertEqual(client.get("/", host="b.test").status, 200)
            # HTTP/1.1 has none.
            self.assertEqual(self.asked(gateway, "a").read_response().status, 200)
            client, stream = held.pop(0)
            client.reset(stream)
            self.until(lambda: two.get("/", host="a.test").status == 200, "one less")
            self.assertEqual([client.answer(stream).status for client, stream in held], [200] * 4)
            again = [one.head(one.fields(path="/0.1", host="a.test")) for _ in range(5)]
            self.assertEqual([one.answer(stream).status for stream in again], [200] * 5)

    def test_weights_and_queues_that_change_while_many_wait(self):
        server = Server(0.02)
        gateway = self.edge(server, dict(a=1, b=1), "max_connections 4; queue size=40 timeout=5s;", 2)
        crowds = [Crowd(self, gateway, "a", 20), Crowd(self, gateway, "b", 20)]
        for size, most, weight in ((5, 2, 7), (100, 8, 1), (1, 1, 1000), (40, 4, 3)):
            time.sleep(0.4)
            gateway.write(
                f"upstream app {{ server 127.0.0.1:$app; max_connections {most}; queue size={size} timeout=5s; }}\n"
                + tenants(a=weight, b=1)
            )
            gateway.reload()
        time.sleep(1)
        before = [len(crowd.statuses) for crowd in crowds]
        time.sleep(3)
        served = [len(crowd.statuses) - count for crowd, count in zip(crowds, before)]
        self.assertAlmostEqual(served[0] / served[1], 3, delta=0.3, msg=served)
        # A tenant that is removed leaves with all that waits.
        gateway.write("upstream app { server 127.0.0.1:$app; max_connections 4; }\n" + tenants(b=1))
        gateway.reload()
        crowds[1].end()
        self.settled(gateway)
        crowds[0].end()
        self.assertEqual(self.asked(gateway, "b").read_response().status, 200)
