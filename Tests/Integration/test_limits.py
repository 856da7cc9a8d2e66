"""Limits: what is admitted, what is refused and how, over floods, reloads and restarts."""

import os
import signal
import socket
import threading
import time

from Support.case import Case
from Support.client import RawClient
from Support.offer import Offer
from Support.upstream import answer, text
from Support.wire import count_answer

LONG = os.environ.get("GATEWAY_LONG") == "1"


class Flood:
    """Closed loops of pipelining-free GETs over kept connections, in threads; counts answers by status."""

    def __init__(self, port, host, connections, target="/", pause=0.0):
        self.port, self.host, self.target, self.pause = port, host, target, pause
        self.statuses, self.lock, self.ending = {}, threading.Lock(), threading.Event()
        self.request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(10)
        return self.statuses

    def _run(self):
        mine, sock, kept = {}, None, b""
        while not self.ending.is_set():
            try:
                if sock is None:
                    sock, kept = socket.create_connection(("127.0.0.1", self.port), 5), b""
                sock.sendall(self.request)
                status, kept, closes = count_answer(sock, kept)
                mine[status] = mine.get(status, 0) + 1
                if closes:
                    sock.close()
                    sock = None
            except OSError:
                sock = None
                if self.ending.is_set():
                    break
                time.sleep(0.005)
            if self.pause:
                self.ending.wait(self.pause)
        with self.lock:
            for status, count in mine.items():
                self.statuses[status] = self.statuses.get(status, 0) + count


class Limits(Case):
    def live(self, gateway, tenant="acme"):
        return gateway.json(f"/v1/tenants/{tenant}")

    def limit(self, gateway, policy, tenant="acme"):
        return next(one for one in self.live(gateway, tenant)["limits"] if one["policy"] == policy)

    def test_a_refusal_says_all_that_a_client_needs(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), "rate 1/s burst=2; quota 100/hour;")
        for left in (1, 0):
            response = self.get(gateway)
            self.assertEqual(response.status, 200)
            self.assertEqual(response["ratelimit"], f'"rate-second";r={left};t=1')
            self.assertEqual(response["ratelimit-policy"], '"rate-second";q=2;w=2, "quota-hour";q=100;w=3600')
        response = self.get(gateway)
        problem = self.assert_problem(response, 429, "rate-limited", closes=False)
        self.assertEqual(problem["violated-policies"], ["rate-second"])
        self.assertEqual(response["retry-after"], "1")
        self.assertEqual(response["ratelimit"], '"rate-second";r=0;t=1, "quota-hour";r=98')

    def test_who_waits_as_long_as_told_gets_in(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), "rate 1/s burst=1;")
        for _ in range(3):
            self.assertEqual(self.get(gateway).status, 200)
            refused = self.get(gateway)
            self.assertEqual(refused.status, 429)
            time.sleep(int(refused["retry-after"]))

    def test_a_connection_that_is_refused_and_waits_is_served(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), "rate 2/s burst=1;")
        with RawClient(gateway.plain) as client:
            statuses = []
            began = time.monotonic()
            while time.monotonic() - began < 3:
                statuses.append(client.request("GET", "/", "acme.test").status)
            # It asks again at once each time: it is read less and less often, but never starves.
            self.assertGreaterEqual(statuses.count(200), 4)
            self.assertLessEqual(statuses.count(200), 8)
            self.assertLess(statuses.count(429), 100)

    def test_legacy_fields_and_none(self):
        upstream = self.upstream(answer(text("ok")))
        gateway = self.simple(upstream, "rate 5/s burst=5; ratelimit_headers legacy;")
        response = self.get(gateway)
        self.assertEqual((response["x-ratelimit-limit"], response["x-ratelimit-remaining"]), ("5", "4"))
        self.assertIsNone(response["ratelimit"])
        gateway = self.simple(upstream, "rate 5/s burst=5; ratelimit_headers off;")
        response = self.get(gateway)
        self.assertIsNone(response["x-ratelimit-limit"] or response["ratelimit"])

    def test_a_route_and_its_tenant_are_taken_together(self):
        gateway = self.simple(
            self.upstream(answer(text("ok"))), "quota 100/hour; route /r { quota 3/hour; cost 2; }"
        )
        self.assertEqual(self.get(gateway, "/r").status, 200)
        response = self.get(gateway, "/r")
        problem = self.assert_problem(response, 429, "quota-exceeded")
        self.assertEqual(problem["violated-policies"], ["route-quota-hour"])
        self.assertEqual(self.limit(gateway, "quota-hour")["used"], 2)
        self.assertEqual(self.get(gateway, "/").status, 200)
        self.assertEqual(self.limit(gateway, "quota-hour")["used"], 3)

    def test_requests_at_once(self):
        upstream = self.upstream(lambda peer: (peer.read_request(), time.sleep(0.5), peer.send(text("ok"))))
        gateway = self.simple(upstream, "concurrency 2;")
        statuses = []

        def ask():
            statuses.append(self.get(gateway).status)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(statuses), [200, 200, 429, 429, 429, 429])
        self.until(lambda: self.live(gateway)["live"]["in_flight"] == 0, "nothing in flight", 2)
        self.assertEqual(self.get(gateway).status, 200)

    def test_a_client_that_leaves_gives_its_place_back(self):
        upstream = self.upstream(lambda peer: (peer.read_request(), time.sleep(0.3)))
        gateway = self.simple(upstream, "concurrency 1;")
        for _ in range(5):
            with RawClient(gateway.plain) as client:
                client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                self.until(lambda: self.live(gateway)["live"]["in_flight"] == 1, "in flight", 2)
            self.until(lambda: self.live(gateway)["live"]["in_flight"] == 0, "nothing in flight", 2)

    def test_what_the_gateway_failed_to_forward_is_not_charged(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), "quota 100/hour;")
        self.get(gateway)
        gateway.write(
            "upstream app { server 127.0.0.1:1; }\n"
            "tenant acme { host acme.test; upstream app; quota 100/hour; }"
        )
        gateway.reload()
        self.assertIn(self.get(gateway).status, (502, 503))
        # It is given back a moment after the answer.
        self.until(lambda: self.limit(gateway, "quota-hour")["used"] == 1, "what was not forwarded given back", 2)

    def test_the_upstream_says_what_it_has_cost(self):
        upstream = self.upstream(answer(text("ok", fields=["X-Gateway-Cost: 7"])))
        gateway = self.simple(upstream, "quota 100/hour; cost_header X-Gateway-Cost;")
        response = self.get(gateway)
        self.assertEqual(response.status, 200)
        self.assertIsNone(response["x-gateway-cost"])
        self.until(lambda: self.limit(gateway, "quota-hour")["used"] == 7, "the cost", 2)

    def test_a_cost_that_is_said_twice_reaches_no_client(self):
        upstream = self.upstream(answer(text("ok", fields=["X-Gateway-Cost: 7", "x-gateway-cost: 9"])))
        gateway = self.simple(upstream, "quota 100/hour; cost_header X-Gateway-Cost;")
        self.assertNotIn("x-gateway-cost", self.get(gateway).fields.names())
        self.until(lambda: self.limit(gateway, "quota-hour")["used"] == 7, "the cost, as the first says", 2)

    def test_shadow_never_refuses_and_counts(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), "rate 1/h burst=3 mode=shadow;")
        for _ in range(10):
            response = self.get(gateway)
            self.assertEqual(response.status, 200)
            self.assertIsNone(response["ratelimit"])
        self.assertEqual(self.live(gateway)["live"]["shadow_refused"], 7)

    def test_responses_are_paced(self):
        body = "x" * 1_500_000
        gateway = self.simple(self.upstream(answer(text(body))), "bandwidth 1000k/s burst=500k;")
        began = time.monotonic()
        response = self.get(gateway)
        took = time.monotonic() - began
        self.assertEqual(len(response.body), len(body))
        self.assertGreater(took, 0.8)
        self.assertLess(took, 2.0)

    def test_what_is_used_stays_used_over_reloads_and_restarts(self):
        upstream = self.upstream(answer(text("ok")))
        gateway = self.simple(upstream, "quota 20/day; rate 1/h burst=10;")
        for _ in range(5):
            self.get(gateway)
        for _ in range(20):
            gateway.reload()
        self.assertEqual(self.limit(gateway, "quota-day")["used"], 5)
        self.assertEqual(self.limit(gateway, "rate-hour")["left"], 5)
        gateway.stop()
        gateway.start()
        self.assertEqual(self.limit(gateway, "quota-day")["used"], 5)
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
        gateway.start()
        self.assertEqual(self.limit(gateway, "quota-day")["used"], 5)
        statuses = [self.get(gateway).status for _ in range(10)]
        self.assertEqual(statuses, [200] * 5 + [429] * 5)
        # A limit that changes keeps what is used of it.
        gateway.write(
            "upstream app { server 127.0.0.1:$app; }\ntenant acme { host acme.test; upstream app; quota 12/day; }"
        )
        gateway.reload()
        self.assertEqual([self.get(gateway).status for _ in range(4)], [200] * 2 + [429] * 2)

    def test_metrics_and_status(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), "quota 10/hour; rate 1/h burst=3;")
        for _ in range(4):
            self.get(gateway)
        metrics = gateway.metrics()
        limits = {labels["policy"]: value for labels, value in metrics.samples("gateway_quota_limit")}
        used = {labels["policy"]: value for labels, value in metrics.samples("gateway_quota_used")}
        self.assertEqual(limits, {"quota-hour": 10, "rate-hour": 3})
        self.assertEqual(used, {"quota-hour": 3, "rate-hour": 3})
        done = gateway.command("status", "-c", gateway.file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"acme .* quota-hour 7/10")


class Accuracy(Case):
    """A minute each with GATEWAY_LONG=1, else some seconds."""

    seconds = 400

    def offer(self, gateway, plan, seconds):
        """Offers it; then, by host, what was offered, and two readings: once the bursts are used up, and near the end."""
        offer = Offer(gateway.plain, plan, seconds)
        self.addCleanup(offer.stop)
        time.sleep(2)
        first = {host: self.read(gateway, host) for host, _, _ in plan}
        time.sleep(seconds - 2.3)
        last = {host: self.read(gateway, host) for host, _, _ in plan}
        return {host: (one, first[host], last[host]) for host, one in offer.wait().items()}

    def read(self, gateway, host):
        """The tenant's figures at a known moment: the quickest of some readings."""
        readings = []
        for _ in range(5):
            before = time.monotonic()
            figures = gateway.json("/v1/tenants/" + host.partition(".")[0])
            readings.append((before, time.monotonic(), figures["live"], figures["limits"][0]["left"]))
        return min(readings, key=lambda one: one[1] - one[0])

    def assert_accurate(self, host, rate, burst, offered, first, last):
        """Never more than burst + rate x time; and from a moment at which the bucket was not full on, just rate x time."""
        (since, sure_since, early, left_early), (until, sure_until, late, left) = first, last
        admitted = late["admitted"]
        most = burst + rate * (sure_until - offered["first_sent"])
        print(f"     {host}: {late['refused_rate']} refused, admitted {admitted} of {most:.1f}, {left} left", flush=True)
        self.assertGreater(late["refused_rate"], 0)
        self.assertLessEqual(admitted, most + max(2.0, 0.001 * most), host)
        # What came into the bucket meanwhile was admitted or is still in it; both are told in whole tokens.
        self.assertLess(left_early, burst / 2, host)
        gained = admitted + left - early["admitted"] - left_early
        self.assertLessEqual(gained, rate * (sure_until - since) + 2, host)
        self.assertGreaterEqual(gained, rate * (until - sure_since) - 2, host)
        # A pause of those who ask leaves something in it, and no more than comes in such a pause.
        self.assertLessEqual(left, max(2.0, (0.001 if LONG else 0.1) * most), host)

    def test_a_rate_admits_burst_and_rate_times_time(self):
        gateway = self.simple(self.upstream(answer(text("ok")), record=False), "rate 1000/s burst=1000;")
        plan = [("acme.test", 3000, 64)]
        for host, measured in self.offer(gateway, plan, 60 if LONG else 6).items():
            self.assert_accurate(host, 1000, 1000, *measured)

    def test_ten_tenants_at_ten_rates(self):
        rates = {f"t{number}": 20 * number for number in range(1, 11)}
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            + "".join(
                f"tenant {name} {{ host {name}.test; upstream app; rate {rate}/s burst={rate}; }}\n"
                for name, rate in rates.items()
            ),
            app=self.upstream(answer(text("ok")), record=False),
        )
        plan = [(f"{name}.test", 3 * rate, 6) for name, rate in rates.items()]
        for host, measured in self.offer(gateway, plan, 60 if LONG else 6).items():
            rate = rates[host.partition(".")[0]]
            self.assert_accurate(host, rate, rate, *measured)

    def test_a_quota_under_parallel_floods_admits_exactly_as_many(self):
        upstream = self.upstream(answer(text("ok")))
        quota = 10_000 if LONG else 2000
        gateway = self.simple(upstream, f"quota {quota}/month;")
        floods = [Flood(gateway.plain, "acme.test", 4).start() for _ in range(16)]
        self.until(lambda: gateway.json("/v1/tenants/acme")["live"]["refused_quota"] > 200, "the quota's end", 120)
        statuses = {}
        for flood in floods:
            for status, count in flood.stop().items():
                statuses[status] = statuses.get(status, 0) + count
        self.assertEqual(statuses.get(200), quota)
        self.assertEqual(gateway.json("/v1/tenants/acme")["live"]["admitted"], quota)
