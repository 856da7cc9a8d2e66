"""Sending again what has failed, as `retry` says: what goes again, how often, where to, and what the client gets."""

import socket
import threading
import time

from Support import h2
from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer, text
from Support.wire import Truncated


class Flaky:
    """An upstream's behaviour: does with the first requests what `steps` say, and answers the others with `ok`. A step is an
    answer's bytes, `cut` (closes without an answer), `reset` or `silent`. Answers carry which request they are of."""

    def __init__(self, *steps):
        self.steps, self.lock, self.count, self.times = list(steps), threading.Lock(), 0, []

    def __call__(self, peer):
        while peer.read_request():
            with self.lock:
                step = self.steps.pop(0) if self.steps else "ok"
                self.count += 1
                self.times.append(time.monotonic())
            if step == "cut":
                return
            if step == "reset":
                return peer.reset()
            if step == "silent":
                time.sleep(1)
                return
            peer.send(text("ok") if step == "ok" else step)


def status(code, **options):
    return text(f"bad {code}", status=f"{code} Bad", **options)


class Kept(Case):
    """Connections to servers that nobody uses."""

    def connections(self, gateway, state):
        return gateway.metrics().sum("gateway_upstream_connections", upstream="app", state=state)

    def test_a_connection_is_closed_before_its_server_closes_it(self):
        for fields, block, low, high in (
            (["Keep-Alive: timeout=1"], "", 0.3, 0.95), (["Connection: keep-alive", "Keep-Alive: max=9, timeout=2"], "", 0.8, 1.7),
            ([], "idle_timeout 400ms;", 0.3, 1.2), (["Keep-Alive: timeout=60"], "idle_timeout 300ms;", 0.2, 1.1),
            (["Keep-Alive: timeout=0"], "", 0, 0.2),
        ):
            with self.subTest(fields=fields, block=block):
                closed = []

                def behaviour(peer):
                    while peer.read_request():
                        peer.send(text("ok", fields=fields))
                        answered = time.monotonic()
                    closed.append(time.monotonic() - answered)

                gateway = self.simple(self.upstream(behaviour), block=block, workers=1)
                self.assertEqual(self.get(gateway).status, 200)
                self.until(lambda: closed, "closed by the gateway")
                self.assertTrue(low <= closed[0] < high, closed)
                gateway.stop()

    def test_how_many_there_are(self):
        gate = threading.Event()
        self.addCleanup(gate.set)

        def behaviour(peer):
            while peer.read_request():
                gate.wait(10)
                peer.send(text("ok"))

        gateway = self.simple(self.upstream(behaviour), workers=2)
        clients = [self.connect(gateway.plain) for _ in range(3)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: self.connections(gateway, "active") == 3, "three in use")
        gate.set()
        self.assertEqual([client.read_response().status for client in clients], [200] * 3)
        self.until(lambda: (self.connections(gateway, "active"), self.connections(gateway, "idle")) == (0, 3), "three unused")
        gateway.write("upstream app { server 127.0.0.1:$other; }\ntenant acme { host acme.test; upstream app; }\n", other=self.upstream().port)
        gateway.reload()
        self.until(lambda: (self.connections(gateway, "active"), self.connections(gateway, "idle")) == (0, 0), "none is left")


class Retries(Case):
    def edge(self, retry, *behaviours, block="", workers=1, tenant=""):
        names = [f"s{number}" for number in range(len(behaviours))]
        servers = {name: self.upstream(one) for name, one in zip(names, behaviours)}
        lines = " ".join(f"server 127.0.0.1:${name};" for name in names)
        self.text = f"upstream app {{ {lines} {retry} {block} }}\ntenant acme {{ host acme.test; upstream app; {tenant} }}\n"
        gateway = self.gateway(self.text, workers=workers, **servers)
        gateway.servers = [servers[name] for name in names]
        return gateway

    def retries(self, gateway, result):
        return gateway.metrics().sum("gateway_upstream_retries_total", upstream="app", result=result)

    def expect(self, gateway, flaky, code, sendings, method="GET", body=None, within=None):
        before, began = flaky.count, time.monotonic()
        with RawClient(gateway.plain) as client:
            response = client.request(method, "/", "acme.test", body=body)
        self.assertEqual((response.status, flaky.count - before), (code, sendings))
        if within:
            self.assertGreaterEqual(time.monotonic() - began, within[0])
            self.assertLess(time.monotonic() - began, within[1])
        return response

    def test_answers_that_are_as_good_as_none(self):
        for code in (429, 500, 502, 503, 504):
            flaky = Flaky()
            gateway = self.edge(f"retry on={code} backoff=1ms;", flaky)
            for _ in range(3):
                flaky.steps = [status(code)]
                self.assertEqual(self.expect(gateway, flaky, 200, 2).body, b"ok")
            # The last one's answer goes to the client.
            flaky.steps = [status(code), status(code, fields=["X-Which: second"])]
            answer = self.expect(gateway, flaky, code, 2)
            self.assertEqual((answer["x-which"], answer.body), ("second", f"bad {code}".encode()))
            other = 503 if code != 503 else 500
            flaky.steps = [status(other)]
            self.expect(gateway, flaky, other, 1)
            self.assertEqual((self.retries(gateway, "ok"), self.retries(gateway, "failed")), (3, 1))
            # Connections whose answers were whole go on.
            self.assertEqual(len(gateway.servers[0].connections), 1)
            gateway.stop()

    def test_an_answer_that_is_not_whole_is_dropped_with_its_connection(self):
        half = b"HTTP/1.1 503 Bad\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 50000
        chunked = b"HTTP/1.1 503 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        more = status(503) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        for step in (half, chunked, more, b"HTTP/1.1 503 Bad\r\n\r\nuntil the end"):
            with self.subTest(step=step[:60]):
                flaky = Flaky(step)
                gateway = self.edge("retry on=503 backoff=1ms;", flaky)
                self.assertEqual(self.expect(gateway, flaky, 200, 2).body, b"ok")
                self.assertEqual(len(gateway.servers[0].connections), 2)
                self.assertEqual(self.expect(gateway, flaky, 200, 1).body, b"ok")
                gateway.stop()

    def test_causes(self):
        """Each failure goes again only where its word stands."""
        for step, word, code in (("cut", "reset", 502), ("reset", "reset", 502), ("silent", "timeout", 504)):
            for on, sendings in ((word, 2), ("503,500", 1), ("connect", 1), ("reset,timeout,503", 2)):
                with self.subTest(step=step, on=on):
                    flaky = Flaky(step)
                    gateway = self.edge(f"retry on={on} backoff=1ms;", flaky, block="response_timeout 200ms;")
                    self.expect(gateway, flaky, 200 if sendings == 2 else code, sendings)
                    gateway.stop()

    def test_tries(self):
        for tries in (1, 2, 3, 5):
            flaky = Flaky()
            gateway = self.edge(f"retry tries={tries} on=reset,503 backoff=1ms;", flaky)
            for step, code in (("cut", 502), (status(503, fields=["Connection: close"]), 503)):
                flaky.steps = [step] * 6
                self.expect(gateway, flaky, code, tries)
            flaky.steps = [status(503)] * (tries - 1)
            self.expect(gateway, flaky, 200, tries)
            gateway.stop()

    def test_methods_and_bodies(self):
        flaky = Flaky()
        gateway = self.edge("retry on=503,reset backoff=1ms;", flaky)
        for step in ("cut", status(503)):
            for method, body, sendings in (
                ("GET", None, 2), ("HEAD", None, 2), ("PUT", b"x" * 1000, 2), ("DELETE", None, 2), ("OPTIONS", None, 2),
                ("POST", b"x", 1), ("PATCH", b"x", 1), ("POST", None, 1),
            ):
                with self.subTest(method=method, step=step):
                    flaky.steps = [step]
                    code = 200 if sendings == 2 else 502 if step == "cut" else 503
                    self.expect(gateway, flaky, code, sendings, method, body)
        bodies = [request.body for request in gateway.servers[0].requests if request.method == "PUT"]
        self.assertEqual(bodies, [b"x" * 1000] * 4)

    def test_not_idempotent_for_those_who_say_so(self):
        flaky = Flaky()
        gateway = self.edge("retry on=503,reset,timeout,non_idempotent backoff=1ms;", flaky, block="response_timeout 300ms;")
        for step in ("cut", status(503), "silent"):
            for body in (b"x" * 5000, None):
                flaky.steps = [step]
                self.expect(gateway, flaky, 200, 2, "POST", body)
        self.assertEqual([len(request.body) for request in gateway.servers[0].requests], [5000, 5000, 0, 0] * 3)
        # A kept connection that has ended.
        flaky.steps = ["ok", "cut"]
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("POST", "/", "acme.test", body=b"1").status, 200)
            self.assertEqual(client.request("POST", "/", "acme.test", body=b"2").status, 200)

    def test_a_body_that_is_not_in_memory_goes_once(self):
        flaky = Flaky(status(503))
        gateway = self.edge("retry on=503,non_idempotent backoff=1ms;", flaky)
        with RawClient(gateway.plain) as client:
            client.send(b"PUT / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 10\r\n\r\nhello")
            time.sleep(0.2)
            client.send(b"world")
            self.assertEqual(client.read_response().status, 503)
        self.assertEqual(flaky.count, 1)

    def test_it_goes_to_another_server(self):
        bad = lambda peer: answer(status(503))(peer)
        good = Flaky()
        gateway = self.edge("retry on=503 backoff=1ms budget=100%;", bad, good, block="balance round_robin;")
        for _ in range(20):
            self.assertEqual(self.get(gateway).status, 200)
        self.assertEqual(len(gateway.servers[0].requests), 10)

    def test_a_pause_that_grows(self):
        flaky = Flaky(*[status(503)] * 3)
        gateway = self.edge("retry tries=4 on=503 backoff=100ms;", flaky)
        self.expect(gateway, flaky, 200, 4)
        pauses = [b - a for a, b in zip(flaky.times, flaky.times[1:])]
        for pause, whole in zip(pauses, (0.1, 0.2, 0.4)):
            self.assertGreaterEqual(pause, whole / 2 - 0.01)
            self.assertLess(pause, whole + 0.1)

    def test_a_pause_holds_nobody_up(self):
        flaky = Flaky()
        gateway = self.edge("retry on=503 backoff=1s;", flaky)
        flaky.steps = [status(503)]
        slow = self.connect(gateway.plain)
        slow.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: flaky.count == 1, "the first sending")
        for _ in range(10):
            self.expect(gateway, flaky, 200, 1, within=(0, 0.3))
        self.assertEqual(slow.read_response().status, 200)
        # A client that leaves in a pause is not sent for again.
        flaky.steps = [status(503)]
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.until(lambda: flaky.count == 13, "the first sending")
            client.reset()
        time.sleep(1.2)
        self.assertEqual(flaky.count, 13)

    def test_connecting_is_tried_again(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        flaky = Flaky()
        for method, body in (("GET", None), ("POST", b"hello")):
            gateway = self.gateway(
                f"upstream app {{ server 127.0.0.1:{port}; retry tries=2 on=connect backoff=500ms; }}\n"
                "tenant acme { host acme.test; upstream app; }\n"
            )
            client = self.connect(gateway.plain)
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            client.send(f"{method} / HTTP/1.1\r\nHost: acme.test\r\n{length}\r\n".encode() + (body or b""))
            time.sleep(0.1)
            server = self.upstream(flaky, port=port)
            self.assertEqual(client.read_response().status, 200)
            self.assertEqual(server.requests[-1].body, body or b"")
            server.close()
            began = time.monotonic()
            self.assertEqual(self.get(gateway).status, 502)
            self.assertGreaterEqual(time.monotonic() - began, 0.24)
            self.assertEqual((self.retries(gateway, "ok"), self.retries(gateway, "failed")), (1, 1))
            gateway.stop()

    def test_the_budget_outlives_reloads(self):
        gateway = self.edge("retry on=503 budget=10% backoff=1ms;", answer(status(503)), workers=2)
        count, began = 300, time.monotonic()
        for number in range(count):
            self.assertEqual(self.get(gateway).status, 503)
            if number % 100 == 99:
                gateway.write(self.text + f"# {number}\n")
                gateway.reload()
        sent = len(gateway.servers[0].requests) - count
        # A retry is an attempt, which earns its part as well.
        self.assertLessEqual(sent, (10 + 10 * (time.monotonic() - began + 1) + count * 0.1) / 0.9 + 2)
        self.assertGreater(sent, 20)
        self.assertEqual(self.retries(gateway, "failed"), sent)
        self.assertEqual(self.retries(gateway, "budget"), count - sent)

    def test_a_tenant_whose_requests_all_fail_leaves_others_their_retries(self):
        seen = set()

        def first_fails(peer):
            while request := peer.read_request():
                is_first = request.target not in seen
                seen.add(request.target)
                peer.send(status(503) if request["host"] == "acme.test" or is_first else text("ok"))

        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; retry on=503 budget=10% backoff=1ms; }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; }\n"
            "tenant globex { host globex.test; authenticate none; upstream app; }\n",
            app=self.upstream(first_fails, record=False), workers=2)
        end = time.monotonic() + 5

        def flood():
            with RawClient(gateway.plain) as client:
                while time.monotonic() < end:
                    client.request("GET", "/", "acme.test")

        threads = [threading.Thread(target=flood) for _ in range(3)]
        for thread in threads:
            thread.start()
        self.until(lambda: self.retries(gateway, "budget") > 20, "the budget is used up")
        codes, client = [], self.connect(gateway.plain)
        while time.monotonic() < end:
            codes.append(client.request("GET", f"/{len(codes)}", "globex.test").status)
            time.sleep(0.4)
        for thread in threads:
            thread.join()
        self.assertGreater(len(codes), 3)
        self.assertEqual(set(codes), {200}, codes)

    def test_a_request_is_counted_once_whatever_is_sent_again(self):
        flaky = Flaky()
        gateway = self.edge("retry tries=3 on=503,reset backoff=1ms;", flaky, tenant="quota 1000/day; concurrency 5;")
        for _ in range(5):
            flaky.steps = [status(503), "cut"]
            self.expect(gateway, flaky, 200, 3)
        flaky.steps = [status(503)] * 3
        self.expect(gateway, flaky, 503, 3)
        # The last one is counted a moment after its answer.
        self.until(lambda: gateway.metrics().sum("gateway_requests_total", tenant="acme") == 6, "the last one counted")
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_quota_used", policy="quota-day"), 6)
        self.assertEqual(metrics.sum("gateway_upstream_requests_total"), 18)
        self.assertEqual(metrics.sum("gateway_quota_used", policy="concurrency"), 0)

    def test_over_http2(self):
        steps = ["503", "200", "503", "503", "200"]

        def behaviour(server):
            while request := server.request():
                code = steps.pop(0)
                server.respond(request[0] if isinstance(request, tuple) else request.stream, b"ok", status=code)

        upstream = self.upstream(h2.serving(behaviour), record=False)
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; protocols h2; retry on=503 backoff=1ms; }\n"
            "tenant acme { host acme.test; upstream app; }\n",
            app=upstream,
            workers=1,
        )
        self.assertEqual([self.get(gateway).status for _ in range(3)], [200, 503, 200])
        with h2.Client(gateway.plain) as client:
            steps[:] = ["503", "200"]
            self.assertEqual(client.get("/").status, 200)
        self.assertEqual(len(upstream.connections), 1)

    def test_a_reload_in_a_pause(self):
        flaky = Flaky(status(503), status(503))
        gateway = self.edge("retry tries=3 on=503 backoff=3s;", flaky)
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: flaky.count == 1, "the first sending")
        gateway.write(self.text.replace("tries=3", "tries=2"))
        gateway.reload()
        self.assertEqual(client.read_response().status, 503)
        self.assertEqual(flaky.count, 2)
        # A tenant that is removed in a pause.
        flaky.steps = [status(503)]
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: flaky.count == 3, "the first sending")
        gateway.write(self.text.replace("tenant acme { host acme.test", "tenant other { host other.test"))
        gateway.reload()
        try:
            client.read_response()
        except (Truncated, OSError):
            pass
        self.until(lambda: gateway.metrics().sum("gateway_upstream_queue", upstream="app") == 0, "nobody waits")
