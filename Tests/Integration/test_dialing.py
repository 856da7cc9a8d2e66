"""Dead, full and silent addresses and servers among live ones, and kept connections that the upstream ends: what could
be sent somewhere gets there, whatever a retry budget says."""

import resource
import socket
import threading
import time

from Support import preload
from Support.case import Case
from Support.ports import free_port
from Support.upstream import answer, answer_and_close, text

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
METHODS = (("GET", None), ("POST", b"x" * 3000), ("PUT", b"y"), ("DELETE", None))


class Full:
    """A listening socket whose queue of connections is full: the kernel drops further ones without a word."""

    def __init__(self, case, host="127.0.0.1", port=0, backlog=0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        case.addCleanup(self.listener.close)
        for _ in range(backlog + 4):
            filler = socket.socket(family)
            filler.setblocking(False)
            filler.connect_ex((host, self.port))
            case.addCleanup(filler.close)
        time.sleep(0.05)

    def serve(self, body):
        """From now on connections are taken and answered, but for those that filled the queue."""

        def one(sock):
            try:
                sock.settimeout(5)
                if sock.recv(65536):
                    sock.sendall(text(body))
            except OSError:
                pass
            sock.close()

        def loop():
            while True:
                try:
                    sock, _ = self.listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(sock,), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()


class Dialing(Case):
    def named(self, names, upstreams, **values):
        """A gateway for which names are looked up as `names` say."""
        values.setdefault("workers", 1)
        gateway = self.gateway(upstreams + "\n" + ACME, start=False, **values)
        gateway.start(environment=preload.environment(preload.Names(gateway.folder, *names)))
        return gateway

    def ask_all(self, gateway, count, pause=0.0):
        """So many requests, of each method, over one client's connection; their statuses."""
        statuses = []
        client = self.connect(gateway.plain)
        for number in range(count):
            method, body = METHODS[number % len(METHODS)]
            statuses.append(client.request(method, f"/{number}", "acme.test", body=body).status)
            time.sleep(pause)
        return statuses

    def quickest(self, gateway, count):
        """How long each of so many requests took, each of which must be answered."""
        took = []
        for _ in range(count):
            began = time.monotonic()
            self.assertEqual(self.get(gateway).status, 200)
            took.append(time.monotonic() - began)
        return took

    # --- dead ones

    def test_an_address_that_refuses_costs_no_request(self):
        for closes in (False, True):
            with self.subTest(closes=closes):
                ok = text("ok", fields=["Connection: close"] if closes else [])
                upstream = self.upstream(answer_and_close(ok) if closes else answer(ok))
                gateway = self.named(
                    ["app.test 0 0 0 127.0.0.2 127.0.0.3 127.0.0.1"], "upstream app { server app.test:$app; }", app=upstream
                )
                self.assertEqual(self.ask_all(gateway, 200), [200] * 200)
                # The dead ones are left alone for a while: not every request asks them again.
                gateway.stop()

    def test_servers_that_are_down_cost_no_request(self):
        upstream = self.upstream(answer_and_close(text("ok", fields=["Connection: close"])))
        for balance in ("round_robin", "least_requests"):
            with self.subTest(balance):
                gateway = self.gateway(
                    "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b; server 127.0.0.1:$app; balance "
                    + balance
                    + "; }\n"
                    + ACME,
                    workers=2,
                    app=upstream,
                    a=free_port(),
                    b=free_port(),
                )
                self.assertEqual(self.ask_all(gateway, 200), [200] * 200)
                # At a pace at which rests end again and again.
                self.assertEqual(self.ask_all(gateway, 80, pause=0.025), [200] * 80)
                gateway.stop()

    def test_what_was_never_sent_spends_no_retry(self):
        """Each connection that is kept dies unanswered at its second request, and two of three servers are dead."""

        def behaviour(peer):
            if peer.read_request():
                peer.send(text("ok"))
                peer.read_request()

        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$app; }\n" + ACME,
            workers=1,
            app=self.upstream(behaviour, record=False),
            a=free_port(),
        )
        client = self.connect(gateway.plain)
        statuses = [client.request("GET", "/", "acme.test").status for _ in range(200)]
        self.assertEqual(statuses, [200] * 200)

    def test_a_name_that_does_not_resolve_costs_no_request_while_another_does(self):
        gateway = self.named(
            ["dead.test 1500 1500 100 127.0.0.9", "app.test 0 0 0 127.0.0.1"],
            "upstream app { server dead.test:$app; server app.test:$app; }",
            app=self.upstream(),
        )
        self.until(lambda: self.get(gateway).status == 200, "an answer")
        took = self.quickest(gateway, 10)
        self.assertLess(max(took), 1, took)

    def test_nobody_left_is_told_at_once(self):
        gateway = self.named(
            ["app.test 0 0 0 127.0.0.2 127.0.0.3"],
            "upstream app { server app.test:$a; server 127.0.0.1:$a; }",
            a=free_port(),
        )
        for method, body in METHODS:
            began = time.monotonic()
            response = self.connect(gateway.plain).request(method, "/", "acme.test", body=body)
            self.assert_problem(response, 502, "bad-upstream")
            self.assertLess(time.monotonic() - began, 1)

    def test_each_server_that_failed_is_counted_and_the_line_says_how_many(self):
        port = free_port()
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$app; balance round_robin; }\n" + ACME,
            workers=1,
            app=self.upstream(),
            a=port,
        )
        self.assertEqual(self.get(gateway).status, 200)
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_upstream_requests_total", server=f"127.0.0.1:{port}", code="0"), 1)
        self.assertEqual(metrics.sum("gateway_upstream_requests_total", code="200"), 1)

    # --- silent ones

    def test_a_silent_address_holds_up_nobody_for_long(self):
        upstream = self.upstream(answer_and_close(text("ok", fields=["Connection: close"])))
        Full(self, "127.0.0.2", upstream.port)
        gateway = self.named(
            ["app.test 0 0 0 127.0.0.2 127.0.0.1"], "upstream app { server app.test:$app; }", app=upstream
        )
        took = self.quickest(gateway, 20)
        self.assertLess(max(took), 1, took)
        # It is remembered: a few wait a quarter of a second, all others not at all.
        self.assertGreaterEqual(len([one for one in took if one < 0.2]), 15, took)

    def test_a_silent_address_does_not_hold_the_only_place(self):
        for order in ("127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2"):
            with self.subTest(order=order):
                upstream = self.upstream(answer_and_close(text("ok", fields=["Connection: close"])))
                Full(self, "127.0.0.2", upstream.port)
                gateway = self.named(
                    [f"app.test 0 0 0 {order}"], "upstream app { server app.test:$app; max_connections 1; }", app=upstream
                )
                began = time.monotonic()
                self.assertEqual(self.ask_all(gateway, 8), [200] * 8)
                self.assertLess(time.monotonic() - began, 3)
                gateway.stop()

    def test_a_lack_of_descriptors_is_no_way_in_circles(self):
        """One server is full and the other one can't be connected to for want of a descriptor: nobody goes to and fro."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def slow(peer):
            while peer.read_request():
                gate.wait(30)
                peer.send(text("slow"))

        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b; max_connections 1; }\n" + ACME,
            a=self.upstream(slow),
            b=self.upstream(slow),
        )
        first = self.connect(gateway.plain)
        first.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        clients = [self.connect(gateway.plain) for _ in range(10)]
        time.sleep(0.2)
        limit = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (gateway.descriptors, limit[1]))
        before = gateway.cpu
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        statuses = {client.read_response().status for client in clients}
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limit)
        self.assertLessEqual(statuses, {502, 503})
        self.assert_bar(gateway.cpu - before, 0.5)
        self.assertLess(gateway.metrics().sum("gateway_upstream_requests_total"), 100)

    def test_families_race(self):
        upstream = self.upstream(answer_and_close(text("ok", fields=["Connection: close"])))
        names = ["app.test 0 0 0 ::1 ::1 127.0.0.1"]
        gateway = self.named(names, "upstream app { server app.test:$app; }", app=upstream)
        self.assertEqual(self.ask_all(gateway, 40), [200] * 40)
        gateway.stop()
        Full(self, "::1", upstream.port)
        gateway = self.named(names, "upstream app { server app.test:$app; }", app=upstream)
        took = self.quickest(gateway, 20)
        self.assertLess(max(took), 1, took)
        self.assertGreaterEqual(len([one for one in took if one < 0.2]), 15, took)

    def test_a_silent_server_holds_up_nobody_for_long(self):
        full, upstream = Full(self), self.upstream(answer_and_close(text("ok", fields=["Connection: close"])))
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$app; balance round_robin; }\n" + ACME,
            workers=1,
            app=upstream,
            a=full.port,
        )
        took = self.quickest(gateway, 20)
        self.assertLess(max(took), 1, took)
        self.assertGreaterEqual(len([one for one in took if one < 0.2]), 15, took)

    def test_a_silent_server_that_loses_each_race_is_told(self):
        full, upstream = Full(self), self.upstream(answer_and_close(text("ok", fields=["Connection: close"])))
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$full; server 127.0.0.1:$app; }\n" + ACME, full=full.port, app=upstream, workers=1
        )
        self.assertEqual(self.ask_all(gateway, 8), [200] * 8)
        self.until(lambda: f"127.0.0.1:{full.port}" in gateway.stderr, "a line in the log")
        self.assertNotIn(f"127.0.0.1:{upstream.port}", gateway.stderr)

    def test_all_of_it_takes_no_longer_than_connect_timeout(self):
        full = [Full(self) for _ in range(3)]
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b; server 127.0.0.1:$c; connect_timeout 900ms; }\n"
            + ACME,
            workers=1,
            **{name: one.port for name, one in zip("abc", full)},
        )
        for method in ("GET", "POST"):
            began = time.monotonic()
            response = self.connect(gateway.plain).request(method, "/", "acme.test", body=b"x")
            self.assert_problem(response, 502, "bad-upstream")
            self.assertLess(0.8, time.monotonic() - began)
            self.assertLess(time.monotonic() - began, 2)

    def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(self):
        full = Full(self)
        gateway = self.simple(full.port, workers=1)
        before = gateway.descriptors
        for _ in range(5):
            client = self.connect(gateway.plain)
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            time.sleep(0.02)
            # One that only closes may have sent all that it has to send, and still read.
            client.reset()
        self.until(lambda: gateway.descriptors <= before, "descriptors given back")

    def test_a_pause_of_the_origin_fails_nobody(self):
        """A lost SYN is sent again after a second, and once more two seconds later."""
        full = Full(self, backlog=16)
        gateway = self.simple(full.port, workers=1)
        clients = [self.connect(gateway.plain) for _ in range(8)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        time.sleep(1.3)
        full.serve("late")
        self.assertEqual([client.read_response().body for client in clients], [b"late"] * 8)

    # --- kept connections

    def test_kept_connections_that_end_without_a_word_cost_no_request_that_can_be_repeated(self):
        upstream = self.upstream(answer_and_close(text("ok")), record=False)
        gateway = self.simple(upstream, workers=1)
        statuses, lock = [], threading.Lock()

        def load(method, body):
            client = self.connect(gateway.plain)
            mine = [client.request(method, "/", "acme.test", body=body).status for _ in range(100)]
            with lock:
                statuses.extend(mine)

        threads = [threading.Thread(target=load, args=one) for one in (("GET", None), ("PUT", b"z" * 2000)) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 600)

    def test_the_body_goes_out_again_with_its_request(self):
        def behaviour(peer):
            if request := peer.read_request():
                peer.send(text(request.body))
                peer.read_request()

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream, workers=1)
        client = self.connect(gateway.plain)
        for number in range(60):
            body = b"%d" % number * 50
            response = client.request("PUT", f"/{number}", "acme.test", body=body)
            self.assertEqual((response.status, response.body), (200, body))

    def test_a_second_death_on_a_fresh_connection_is_a_retry_like_others(self):
        served = []

        def behaviour(peer):
            while request := peer.read_request():
                served.append(request.target)
                if len(served) > 1:
                    return
                peer.send(text("ok"))

        gateway = self.simple(self.upstream(behaviour), workers=1)
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/1", "acme.test").status, 200)
        self.assert_problem(client.request("GET", "/2", "acme.test"), 502, "bad-upstream")
        # The kept one, a fresh one, and one retry of that.
        self.assertEqual(served, ["/1", "/2", "/2", "/2"])

    def test_a_post_is_not_given_to_connections_that_a_server_ends_at_once(self):
        for block in ("", "max_connections 1;"):
            with self.subTest(block):
                gateway = self.simple(
                    self.upstream(answer_and_close(text("ok")), record=False), workers=1, block=block
                )
                client = self.connect(gateway.plain)
                statuses = [client.request("POST", "/", "acme.test", body=b"x").status for _ in range(200)]
                # Nobody can know of the first.
                self.assertLessEqual(len([one for one in statuses if one != 200]), 2, statuses)
                gateway.stop()

    # --- health checks

    def test_health_checks_ask_every_address(self):
        def behaviour(peer):
            while peer.read_request():
                peer.send(text("one"))

        upstream = self.upstream(behaviour)
        gateway = self.named(
            ["app.test 0 0 0 127.0.0.2 127.0.0.1"],
            "upstream app { server app.test:$app; health_check /healthz interval=50ms timeout=300ms fall=1 rise=1; }",
            app=upstream,
        )
        self.until(lambda: any(one.target == "/healthz" for one in upstream.requests), "a check of the live address")
        time.sleep(0.3)
        self.assertEqual(gateway.metrics().sum("gateway_upstream_healthy"), 1)
        self.assertEqual(self.ask_all(gateway, 40), [200] * 40)
        upstream.close()
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") == 0, "the server out")

    def test_an_address_whose_checks_fail_gets_nothing_while_another_is_up(self):
        port = free_port()

        def behaviour(name, status):
            def serve(peer):
                while request := peer.read_request():
                    peer.send(text(name, status=status if request.target == "/healthz" else "200 OK"))

            return serve

        ill = self.upstream(behaviour("ill", "503 Out"), port=port, host="127.0.0.2")
        self.upstream(behaviour("well", "200 OK"), port=port)
        gateway = self.named(
            ["app.test 0 0 0 127.0.0.2 127.0.0.1"],
            "upstream app { server app.test:$app; health_check /healthz interval=50ms timeout=300ms fall=1 rise=1; }",
            app=port,
        )
        self.until(lambda: any(one.target == "/healthz" for one in ill.requests), "a check of the other one")
        self.until(lambda: self.get(gateway).body == b"well", "an answer of the one that is up")
        time.sleep(0.2)
        for _ in range(20):
            self.assertEqual(self.get(gateway).body, b"well")
