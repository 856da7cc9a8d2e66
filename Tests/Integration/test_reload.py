"""Reloading and ending: what changes, what stays, and that no request is lost by either."""

import json
import os
import re
import signal
import threading
import time

from Support.case import Case
from Support.client import RawClient, Truncated
from Support.load import Load
from Support.ports import free_port
from Support.upstream import answer, chunk, text

BASE = "upstream app { server 127.0.0.1:$app; }\n"
ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
GLOBEX = "tenant globex { host globex.test; authenticate none; upstream app; }\n"
POSITION = r"gateway\.conf:\d+:\d+: error: "


def lists(answer):
    """Every list in the answer by the name it stands under, however deep."""
    found = {}

    def walk(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, list):
                    found.setdefault(name, []).extend(inner)
                walk(inner)

    walk(answer)
    return found


class Gate:
    """An upstream's behaviour that holds its answers to /hold until opened."""

    def __init__(self):
        self.held, self.open = threading.Semaphore(0), threading.Event()

    def __call__(self, peer):
        while request := peer.read_request():
            if request.target.startswith("/hold"):
                self.held.release()
                self.open.wait(20)
            peer.send(text("held" if request.target.startswith("/hold") else "ok"))

    def wait(self):
        assert self.held.acquire(timeout=5), "the held request did not reach the upstream"


class Reload(Case):
    def by_signal(self, gateway):
        gateway.reload_by_signal()

    def by_command(self, gateway):
        gateway.reload()

    def by_request(self, gateway):
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 200, body)

    def ways(self):
        return (("HUP", self.by_signal), ("gateway reload", self.by_command), ("POST /v1/reload", self.by_request))

    def test_tenants_come_go_and_change(self):
        upstream, other = self.upstream(), self.upstream(answer(text("other")))
        for name, reload in self.ways():
            with self.subTest(name):
                gateway = self.gateway(BASE + ACME, app=upstream, other=other)
                self.assertEqual(self.get(gateway, host="globex.test").status, 421)
                gateway.write(BASE + ACME + GLOBEX)
                reload(gateway)
                self.assertEqual(self.get(gateway, host="globex.test").status, 200)
                gateway.write(BASE.replace("$app", "$other") + GLOBEX)
                reload(gateway)
                self.assertEqual(self.get(gateway).status, 421)
                self.assertEqual(self.get(gateway, host="globex.test").body, b"other")
                gateway.stop()

    def test_the_command_says_what_changed(self):
        gateway = self.gateway(BASE + ACME + GLOBEX, app=self.upstream())
        gateway.write(
            BASE + ACME.replace("host acme.test", "host acme.test new.test") + GLOBEX.replace("globex", "initech")
        )
        said = gateway.reload()
        for tenant, word in (("initech", "added"), ("globex", "removed"), ("acme", "changed")):
            self.assertRegex(said, rf"(?is){word}.*{tenant}|{tenant}.*{word}")

    def test_the_request_says_what_changed(self):
        gateway = self.gateway(BASE + ACME + GLOBEX, app=self.upstream())
        gateway.write(
            BASE + ACME.replace("host acme.test", "host acme.test new.test") + GLOBEX.replace("globex", "initech")
        )
        found = lists(gateway.json("/v1/reload", method="POST"))
        self.assertEqual((found["added"], found["removed"], found["changed"]), (["initech"], ["globex"], ["acme"]))
        found = lists(gateway.json("/v1/reload", method="POST"))
        self.assertEqual((found["added"], found["removed"], found["changed"]), ([], [], []))

    def test_a_bad_file_changes_nothing_and_says_why(self):
        gateway = self.gateway(BASE + ACME, app=self.upstream())
        gateway.write(BASE + "tenant globex { host globex.test; authenticate none; upstrem app; }\n")
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, POSITION)
        self.assertIn("upstream", done.stdout + done.stderr)
        status, headers, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 422, body)
        self.assertRegex(body.decode(), POSITION)
        json.loads(body)
        gateway.reload_by_signal()
        self.assertEqual((self.get(gateway).status, self.get(gateway, host="globex.test").status), (200, 421))
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_config_last_reload_successful"), 0)
        gateway.write(BASE + ACME + GLOBEX)
        gateway.reload()
        self.assertEqual(self.get(gateway, host="globex.test").status, 200)
        self.assertEqual(gateway.metrics().sum("gateway_config_last_reload_successful"), 1)

    def test_a_file_that_is_gone_changes_nothing(self):
        gateway = self.gateway(BASE + ACME, app=self.upstream())
        os.rename(gateway.file, gateway.file + ".away")
        self.assertEqual(gateway.call("POST", "/v1/reload")[0], 422)
        gateway.reload_by_signal()
        self.assertEqual(self.get(gateway).status, 200)

    def test_a_reload_without_a_running_gateway_says_so(self):
        gateway = self.gateway(BASE + ACME, app=self.upstream(), start=False)
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.strip())

    def test_kept_connections_of_a_removed_tenant_are_closed_and_others_stay(self):
        gateway = self.gateway(BASE + ACME + GLOBEX, app=self.upstream())
        acme = [self.connect(gateway.plain) for _ in range(6)]
        globex = [self.connect(gateway.plain) for _ in range(6)]
        for client in acme:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        for client in globex:
            self.assertEqual(client.request("GET", "/", "globex.test").status, 200)
        gateway.write(BASE + ACME)
        gateway.reload()
        for client in globex:
            self.assert_closed(client)
        for client in acme:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_a_kept_connection_sees_the_new_configuration(self):
        gateway = self.gateway(BASE + ACME, app=self.upstream())
        client = self.connect(gateway.plain)
        self.assertIsNone(client.request("GET", "/", "acme.test")["x-new"])
        gateway.write(BASE + ACME.replace("upstream app;", "upstream app; response_header X-New 1;"))
        gateway.reload()
        self.assertEqual(client.request("GET", "/", "acme.test")["x-new"], "1")

    def test_a_request_in_flight_keeps_its_configuration(self):
        gate = Gate()
        old, new = self.upstream(gate), self.upstream(answer(text("new")))
        tenant = ACME.replace("upstream app;", "upstream app; response_header X-Version old;")
        gateway = self.gateway(BASE + tenant, app=old, new=new)
        client = self.connect(gateway.plain)
        client.send("GET /hold HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        gate.wait()
        gateway.write(BASE.replace("$app", "$new") + tenant.replace("old", "new"))
        gateway.reload()
        response = self.get(gateway)
        self.assertEqual((response.body, response["x-version"]), (b"new", "new"))
        gate.open.set()
        response = client.read_response()
        self.assertEqual((response.body, response["x-version"]), (b"held", "old"))

    def test_a_stream_lives_through_reloads(self):
        step = threading.Semaphore(0)

        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(20):
                step.acquire(timeout=10)
                peer.send(chunk(b"%02d" % number))
            peer.send(b"0\r\n\r\n")

        gateway = self.gateway(BASE + ACME, app=self.upstream(behaviour))
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertEqual(client.read_head().status, 200)
        parts, data = client.stream.chunks(), b""
        for number in range(20):
            self.assertEqual(gateway.call("POST", "/v1/reload")[0], 200)
            step.release()
            while len(data) < 2 * (number + 1):
                data += next(parts)
        self.assertEqual(list(parts), [])

    def test_listeners_come_and_go(self):
        first, second = free_port(), free_port()
        gateway = self.gateway(
            "listen 127.0.0.1:$first;\n" + BASE + ACME, app=self.upstream(), first=first, second=second
        )
        kept = self.connect(first)
        self.assertEqual(kept.request("GET", "/", "acme.test").status, 200)
        gateway.write("listen 127.0.0.1:$second;\n" + BASE + ACME)
        gateway.reload()
        with RawClient(second) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

        def refused():
            try:
                RawClient(first).close()
                return False
            except ConnectionError:
                return True

        self.until(refused, "the old listener closed")
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_a_listener_that_cannot_be_opened_rejects_the_reload(self):
        taken = self.upstream()
        gateway = self.gateway(BASE + ACME, app=self.upstream(), taken=taken.port)
        gateway.write("listen 127.0.0.1:$taken;\n" + BASE + ACME + GLOBEX)
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 422, body)
        self.assertEqual((self.get(gateway).status, self.get(gateway, host="globex.test").status), (200, 421))

    def test_a_tls_listener_is_added_by_reload(self):
        gateway = self.gateway(BASE + ACME, app=self.upstream())
        gateway.write(self.tls_listener(self.leaf("acme.test")) + BASE + ACME)
        gateway.reload()
        with RawClient(gateway.tls, tls=self.authority.context(), sni="acme.test") as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_hot_settings_are_applied(self):
        top = "trusted_proxies 10.0.0.0/8;\nlimits { max_header_size 8k; }\nproblem_base https://old.test/;\n"
        gateway = self.gateway(top + BASE + ACME, app=self.upstream())
        client = self.connect(gateway.plain)
        self.assertNotEqual(client.request("GET", "/", "acme.test", [("X-Request-Id", "mine")])["x-request-id"], "mine")
        gateway.write(
            "trusted_proxies 127.0.0.0/8;\nlimits { max_header_size 16k; }\nproblem_base https://new.test/;\n"
            + BASE
            + ACME
        )
        gateway.reload()
        self.assertEqual(client.request("GET", "/", "acme.test", [("X-Request-Id", "mine")])["x-request-id"], "mine")
        response = self.get(gateway, fields=[("X", "a" * 10_000)])
        self.assertEqual(response.status, 200)
        self.assertIn("https://new.test/", self.get(gateway, host="nobody.test").body.decode())

    def test_the_access_log_moves(self):
        text = """workers 2; state ./state; shutdown_timeout 3s; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;
            access_log ./$log.log;\n"""
        gateway = self.gateway(text + BASE + ACME, preamble=False, app=self.upstream(), log="one")
        first = self.get(gateway)["x-request-id"]
        gateway.log_line(lambda line: line["request_id"] == first, name="one.log")
        gateway.write(text + BASE + ACME, log="two")
        gateway.reload()
        second = self.get(gateway)["x-request-id"]
        gateway.log_line(lambda line: line["request_id"] == second, name="two.log")
        self.assertEqual([line["request_id"] for line in gateway.log_lines("one.log")], [first])

    def test_the_admin_listener_moves(self):
        text = "workers 2; state ./state; shutdown_timeout 3s; listen 127.0.0.1:$plain; admin 127.0.0.1:$there;\n"
        first, second = free_port(), free_port()
        gateway = self.gateway(text + BASE + ACME, preamble=False, app=self.upstream(), admin=first, there=first)
        gateway.write(text + BASE + ACME, there=second)
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 200, body)
        if not re.search("`admin` takes effect at the next start", gateway.stderr):
            gateway.values["admin"] = second
        self.assertEqual(gateway.get("/readyz")[0], 200)

    def test_servers_come_and_go(self):
        one, two = self.upstream(answer(text("one"))), self.upstream(answer(text("two")))
        check = "health_check /healthz interval=100ms;"
        both = "upstream app { server 127.0.0.1:$one; server 127.0.0.1:$two; balance round_robin; %s }\n" % check
        gateway = self.gateway(both + ACME, one=one, two=two)
        client = self.connect(gateway.plain)
        seen = {client.request("GET", "/", "acme.test").body for _ in range(10)}
        self.assertEqual(seen, {b"one", b"two"})
        gateway.write("upstream app { server 127.0.0.1:$two; %s }\n" % check + ACME)
        gateway.reload()
        self.assertEqual({client.request("GET", "/", "acme.test").body for _ in range(10)}, {b"two"})
        healthy = lambda: [labels["server"] for labels, _ in gateway.metrics().samples("gateway_upstream_healthy")]
        self.until(lambda: healthy() == [f"127.0.0.1:{two.port}"], "the removed server to leave the figures")
        gateway.write(both + ACME)
        gateway.reload()
        self.until(
            lambda: {client.request("GET", "/", "acme.test").body for _ in range(10)} == {b"one", b"two"}, "both in use"
        )

    def test_an_outlier_keeps_its_health_over_a_reload(self):
        ill = self.upstream(answer(lambda r: text("ill", status="500 Ill" if r.target == "/healthz" else "200 OK")))
        well = self.upstream(answer(text("well")))
        text_of = """upstream app { server 127.0.0.1:$ill; server 127.0.0.1:$well; balance round_robin;
            health_check /healthz interval=50ms fall=3 rise=2; }\n"""
        gateway = self.gateway(text_of + ACME, ill=ill, well=well)
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") == 1, "one server out")
        for number in range(10):
            gateway.write(text_of + ACME + (GLOBEX if number % 2 else ""))
            gateway.reload()
            self.assertEqual([self.get(gateway).body for _ in range(4)], [b"well"] * 4)

    def test_no_request_fails_in_100_reloads_under_load(self):
        upstream = self.upstream(record=False)
        gateway = self.gateway(BASE + ACME, app=upstream)
        with Load(gateway.plain, connections=4) as load, Load(gateway.plain, connections=2, fresh=True) as fresh:
            for number in range(100):
                gateway.write(BASE + ACME + (GLOBEX if number % 2 else ""))
                status, _, body = gateway.call("POST", "/v1/reload")
                self.assertEqual(status, 200, body)
        self.assertEqual((load.failures, fresh.failures), ([], []))
        self.assertGreater(load.count, 100)
        self.assertGreater(fresh.count, 50)

    def test_signals_in_a_storm_are_survived(self):
        gateway = self.gateway(BASE + ACME, app=self.upstream(record=False))
        with Load(gateway.plain, connections=2) as load:
            for _ in range(200):
                gateway.signal(signal.SIGHUP)
                gateway.signal(signal.SIGUSR1)
            count = load.count
            self.until(lambda: load.count > count + 100, "requests to go on")
        self.assertEqual(load.failures, [])

    def test_memory_and_descriptors_stay_over_reloads(self):
        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test"), self.leaf("*.wild.test")) + BASE + ACME, app=self.upstream()
        )

        def reload(count):
            for _ in range(count):
                self.assertEqual(gateway.call("POST", "/v1/reload")[0], 200)
            self.assertEqual(self.get(gateway).status, 200)
            return gateway.resident, gateway.descriptors

        reload(100)
        memory, descriptors = reload(100)
        after, descriptors_after = reload(300)
        self.assert_bar(after - memory, 4 << 20, "memory grows with reloads")
        self.assertLess(descriptors_after - descriptors, 8, "descriptors grow with reloads")

    def test_a_cold_setting_keeps_its_value_and_warns(self):
        text = "state ./$place; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;\n" + BASE + ACME
        gateway = self.gateway(text, preamble=False, place="state", app=self.upstream())
        gateway.write(text, place="other")
        gateway.reload_by_signal()
        self.assertRegex(gateway.stderr, r"(?i)warning.*state")
        self.assertEqual(self.get(gateway).status, 200)


class End(Case):
    def holding(self, **options):
        gate = Gate()
        self.addCleanup(gate.open.set)
        gateway = self.simple(self.upstream(gate), **options)
        client = self.connect(gateway.plain)
        client.send("GET /hold HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        gate.wait()
        return gate, gateway, client

    def refused(self, gateway):
        def check():
            try:
                RawClient(gateway.plain).close()
                return False
            except ConnectionError:
                return True

        self.until(check, "new connections refused")

    def test_term_lets_a_request_in_flight_finish(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                gate, gateway, client = self.holding()
                idle = self.connect(gateway.plain)
                self.assertEqual(idle.request("GET", "/", "acme.test").status, 200)
                gateway.signal(number)
                self.refused(gateway)
                self.assert_closed(idle)
                gate.open.set()
                response = client.read_response()
                self.assertEqual((response.status, response.body), (200, b"held"))
                self.assertFalse(response.keeps_alive)
                self.assert_closed(client)
                self.assertEqual(gateway.wait(3), 0)

    def test_readyz_says_503_while_draining_and_healthz_200(self):
        gate, gateway, client = self.holding()
        gateway.signal(signal.SIGTERM)
        self.until(lambda: gateway.get("/readyz")[0] == 503, "503 from /readyz")
        self.assertEqual(gateway.get("/healthz")[0], 200)
        gate.open.set()
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(gateway.wait(3), 0)

    def test_shutdown_timeout_bounds_the_drain(self):
        gate, gateway, client = self.holding(
            preamble=False,
            top="""workers 2; state ./state; shutdown_timeout 500ms;
            listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;""",
        )
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(5), 0)
        self.assertLess(time.monotonic() - began, 2.5)
        with self.assertRaises(Truncated):
            client.read_response()

    def test_a_second_term_ends_at_once(self):
        gate, gateway, client = self.holding(
            preamble=False,
            top="""workers 2; state ./state; shutdown_timeout 30s;
            listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;""",
        )
        gateway.signal(signal.SIGTERM)
        self.refused(gateway)
        gateway.signal(signal.SIGTERM)
        began = time.monotonic()
        gateway.wait(5)
        self.assertLess(time.monotonic() - began, 1.5)
        self.assertNotIn(
            gateway.process.returncode, (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGILL, -signal.SIGTRAP)
        )

    def test_an_upload_in_flight_finishes(self):
        gateway = self.simple(self.upstream(answer(lambda request: text(request.body))))
        client = self.connect(gateway.plain)
        client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 10\r\n\r\nhello")
        self.until(lambda: gateway.metrics().sum("gateway_connections", state="active") >= 1, "the upload to begin")
        gateway.signal(signal.SIGTERM)
        self.refused(gateway)
        client.send("world")
        self.assertEqual(client.read_response().body, b"helloworld")
        self.assertEqual(gateway.wait(3), 0)

    def test_it_can_be_started_again_after_a_crash(self):
        gateway = self.simple(self.upstream())
        token = gateway.token
        for _ in range(3):
            self.assertEqual(self.get(gateway).status, 200)
            gateway.kill()
            gateway.start()
        self.assertEqual(gateway.token, token)

    def test_it_can_be_started_again_at_once(self):
        gateway = self.simple(self.upstream())
        for _ in range(5):
            client = RawClient(gateway.plain)
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            gateway.stop()
            client.close()
            gateway.start()

    def test_no_accepted_request_is_lost_at_the_end(self):
        for _ in range(3):
            gateway = self.simple(self.upstream(record=False))
            load = Load(gateway.plain, connections=4).start()
            self.until(lambda: load.count > 200, "some load")
            gateway.signal(signal.SIGTERM)
            self.assertEqual(gateway.wait(5), 0)
            load.stop()
            # Between requests a connection may close under a request that is on its way: a client cannot tell, and may
            # repeat it. What must not happen is an answer that is broken or wrong.
            wrong = [
                failure
                for failure in load.failures
                if not re.search(
                    r"ConnectionRefused|ConnectionReset|BrokenPipe|broke off \((end|reset)\) after b''", failure
                )
            ]
            self.assertEqual(wrong, [])
