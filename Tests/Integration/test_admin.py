"""The admin listener, the figures, and the access log."""

import json
import os
import signal
import stat
import subprocess
import urllib.parse
import urllib.request

from Support import exposition
from Support.case import Case
from Support.client import RawClient
from Support.gateway import BINARY, end_with_parent
from Support.ports import free_port
from Support.upstream import answer, text

TWO = """
upstream app { server 127.0.0.1:$app; health_check /healthz interval=1s; }
tenant acme { host acme.test; authenticate none; upstream app; }
tenant globex { host globex.test; authenticate none; upstream app; max_body 10; }
"""
FIELDS = (
    "time request_id tenant key client method host path protocol status refused request_bytes response_bytes "
    "duration_ms upstream upstream_ms attempts tls trace_id"
).split()


class Admin(Case):
    def two(self, **options):
        return self.gateway(
            options.pop("top", "") + TWO, app=options.pop("upstream", None) or self.upstream(), **options
        )

    def test_healthz_and_readyz(self):
        gateway = self.two()
        for path in ("/healthz", "/readyz"):
            status, _ = gateway.get(path)
            self.assertEqual(status, 200)
            status, _, body = gateway.call("HEAD", path)
            self.assertEqual((status, body), (200, b""))

    def test_what_there_is_not(self):
        gateway = self.two()
        for path in ("/", "/v2", "/metricsx", "/v1/nothing", "/v1/tenants/nobody", "/../etc/passwd"):
            self.assertEqual(gateway.get(path)[0], 404, path)
        for method, path in (("POST", "/metrics"), ("DELETE", "/v1/tenants"), ("GET", "/v1/reload")):
            status, headers, _ = gateway.call(method, path)
            self.assertEqual(status, 405, path)
            self.assertTrue(headers["Allow"])

    def test_v1_wants_the_token(self):
        gateway = self.two()
        token = gateway.token
        for path, method in (("/v1/tenants", "GET"), ("/v1/tenants/acme", "GET"), ("/v1/reload", "POST")):
            for value in (
                None,
                "Bearer ",
                "Bearer wrong",
                "Basic " + token,
                token,
                "Bearer " + token[:-1],
                "Bearer " + token + "x",
            ):
                with self.subTest(path=path, value=value and value.replace(token, "T")):
                    status, headers, body = gateway.call(
                        method, path, {"Authorization": value} if value else {}, token=False
                    )
                    self.assertEqual(status, 401)
                    self.assertIn("Bearer", headers["WWW-Authenticate"])
                    self.assertNotIn(token.encode(), body)
        self.assertEqual(gateway.get("/v1/tenants")[0], 200)
        self.assertEqual(gateway.reloads(), gateway.metrics().sum("gateway_config_reloads_total"))

    def test_the_token_is_for_its_owner_only_and_stays(self):
        gateway = self.two()
        state = os.path.join(gateway.folder, "state")
        self.assertEqual(stat.S_IMODE(os.stat(state).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(state, "admin.token")).st_mode), 0o600)
        token = gateway.token
        self.assertGreaterEqual(len(token), 32)
        gateway.stop()
        gateway.start()
        self.assertEqual(gateway.token, token)

    def test_a_token_is_not_written_into_a_file_that_others_may_read(self):
        os.makedirs(os.path.join(self.folder, "state"))
        name = os.path.join(self.folder, "state", "admin.token")
        with open(name, "w"):
            os.chmod(name, 0o644)
        gateway = self.two(folder=self.folder)
        self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)
        self.assertEqual(gateway.call("GET", "/v1/tenants")[0], 200)

    def test_tenants_are_listed_page_by_page(self):
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            + "".join(
                f"tenant t{n:03} {{ host t{n:03}.test; authenticate none; upstream app; }}\n" for n in range(250)
            ),
            app=self.upstream(),
        )

        def ids(answer):
            items = answer if isinstance(answer, list) else next(v for v in answer.values() if isinstance(v, list))
            return [item["id"] if isinstance(item, dict) else item for item in items]

        seen, after = [], ""
        while page := ids(gateway.json("/v1/tenants?limit=100" + (f"&after={after}" if after else ""))):
            self.assertLessEqual(len(page), 100)
            seen += page
            after = page[-1]
        self.assertEqual(seen, [f"t{n:03}" for n in range(250)])

    def test_one_tenant(self):
        gateway = self.two()
        tenant = gateway.json("/v1/tenants/acme")
        self.assertEqual(tenant["id"], "acme")
        self.assertIn("acme.test", json.dumps(tenant))
        self.assertNotIn("globex", json.dumps(tenant))

    def test_a_standard_error_that_nobody_reads_holds_nothing_up(self):
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        gateway = self.two(start=False)
        gateway.start(program="sh", arguments=["-c", 'exec "$0" run -c "$1" 2>"$2"', BINARY, gateway.file, fifo])
        gateway.write("nonsense;\n" * 30)
        for _ in range(100):
            gateway.call("POST", "/v1/reload")
        self.assertEqual(gateway.get("/healthz")[0], 200)
        self.assertIn(b"serves 2 tenants", os.read(reader, 1 << 20))
        gateway.call("POST", "/v1/reload")
        self.assertIn(b"events were not taken", os.read(reader, 1 << 20))

    def test_garbage_at_the_admin_listener_harms_nobody(self):
        gateway = self.two()
        for data in (
            b"\0" * 5000,
            b"GET",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET /" + b"a" * 100_000,
            b"\x16\x03\x01\x02\x00",
            b"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n",
        ):
            with RawClient(gateway.admin) as client:
                client.send_as_taken(data)
                client.socket.settimeout(0.3)
                try:
                    client.stream.fill()
                except TimeoutError:
                    pass
        held = [self.connect(gateway.admin) for _ in range(50)]
        for client in held:
            client.send("GET /met")
        self.assertEqual(gateway.get("/healthz")[0], 200)
        self.assertEqual(self.get(gateway).status, 200)


class Metrics(Case):
    NAMES = """
        gateway_requests_total gateway_request_duration_seconds gateway_upstream_duration_seconds
        gateway_overhead_seconds gateway_request_bytes_total gateway_response_bytes_total
        gateway_refused_total gateway_connections gateway_upstream_requests_total gateway_upstream_healthy
        gateway_config_reloads_total gateway_config_last_reload_successful gateway_tls_handshakes_total
        gateway_config_last_reload_success_timestamp_seconds gateway_build_info gateway_log_dropped_total
        process_cpu_seconds_total process_resident_memory_bytes process_virtual_memory_bytes process_open_fds
        process_max_fds process_start_time_seconds
    """.split()

    def busy(self, top=""):
        upstream = self.upstream(
            answer(lambda r: text("x" * 100, status="404 No" if r.target == "/none" else "200 OK"))
        )
        gateway = self.gateway(top + self.tls_listener(self.leaf("acme.test")) + TWO, app=upstream)
        with RawClient(gateway.plain) as client:
            for _ in range(10):
                client.request("GET", "/", "acme.test")
            for _ in range(3):
                client.request("GET", "/none", "acme.test")
            for _ in range(2):
                client.request("POST", "/", "globex.test", body=b"12345")
        with RawClient(gateway.plain) as client:
            client.request("POST", "/", "globex.test", body=b"x" * 11)
        self.get(gateway, host="nobody.test")
        context = self.authority.context()
        with RawClient(gateway.tls, tls=context, sni="acme.test") as client:
            client.request("GET", "/", "acme.test")
            session = client.socket.session
        with RawClient(gateway.tls, tls=context, sni="acme.test", session=session) as client:
            client.request("GET", "/", "acme.test")
        return gateway, upstream

    def settled(self, gateway):
        """The figures, once the last request is among them: it is counted after its answer was sent."""
        return self.until(
            lambda: (m := gateway.metrics()).sum("gateway_requests_total", tenant="acme") >= 15
            and m.sum("gateway_requests_total", tenant="globex") >= 3
            and m,
            "the requests counted",
        )

    def test_every_name_of_the_contract_that_has_a_meaning_is_there(self):
        gateway, _ = self.busy()
        gateway.reload()
        metrics = self.settled(gateway)
        self.assertEqual([name for name in self.NAMES if not metrics.has(name)], [])
        for name, kind in metrics.types.items():
            self.assertTrue(name.startswith(("gateway_", "process_")), name)
            self.assertTrue(metrics.help.get(name), f"{name} without HELP")
        for name in (
            "gateway_request_duration_seconds",
            "gateway_upstream_duration_seconds",
            "gateway_overhead_seconds",
        ):
            self.assertEqual(metrics.types[name], "histogram")

    def test_counts_are_what_was_sent(self):
        gateway, upstream = self.busy()
        metrics = self.settled(gateway)
        count = lambda **labels: metrics.sum("gateway_requests_total", **labels)
        self.assertEqual((count(tenant="acme", code="200"), count(tenant="acme", code="404")), (12, 3))
        self.assertEqual((count(tenant="globex", code="200"), count(tenant="globex", code="413")), (2, 1))
        self.assertEqual(metrics.sum("gateway_refused_total", tenant="globex", reason="content-too-large"), 1)
        self.assertEqual(metrics.sum("gateway_refused_total", reason="misdirected"), 1)
        self.assertEqual(metrics.sum("gateway_request_bytes_total", tenant="acme"), 0)
        self.assertEqual(metrics.sum("gateway_request_bytes_total", tenant="globex"), 10)
        self.assertEqual(metrics.sum("gateway_response_bytes_total", tenant="acme"), 1500)
        self.assertEqual(metrics.sum("gateway_request_duration_seconds_count", tenant="acme"), 15)
        self.assertEqual(
            metrics.sum(
                "gateway_upstream_requests_total", upstream="app", server=f"127.0.0.1:{upstream.port}", code="404"
            ),
            3,
        )
        self.assertEqual(metrics.sum("gateway_upstream_requests_total", upstream="app"), 17)
        self.assertEqual(metrics.sum("gateway_upstream_duration_seconds_count", upstream="app"), 17)
        self.assertEqual(metrics.sum("gateway_upstream_healthy", upstream="app"), 1)
        handshakes = metrics.samples("gateway_tls_handshakes_total")
        self.assertEqual(sum(value for _, value in handshakes), 2, handshakes)
        resumed = {labels["resumed"]: value for labels, value in handshakes if value}
        self.assertEqual(sorted(resumed.values()), [1, 1], handshakes)

    def test_counts_survive_reloads(self):
        gateway, _ = self.busy()
        before = self.settled(gateway)
        for _ in range(3):
            gateway.reload()
        after = gateway.metrics()
        for name in ("gateway_requests_total", "gateway_request_duration_seconds_count", "gateway_refused_total"):
            self.assertEqual(
                dict((tuple(sorted(k.items())), v) for k, v in before.samples(name)),
                dict((tuple(sorted(k.items())), v) for k, v in after.samples(name)),
            )
        self.assertEqual(after.sum("gateway_config_reloads_total") - before.sum("gateway_config_reloads_total"), 3)

    def test_connections_are_counted_by_state(self):
        gateway = self.gateway(TWO, app=self.upstream())
        clients = [self.connect(gateway.plain) for _ in range(7)]
        for client in clients:
            client.request("GET", "/", "acme.test")
        total = lambda: gateway.metrics().sum("gateway_connections", state="idle")
        self.until(lambda: total() == 7, "seven idle connections")
        for client in clients[:3]:
            client.close()
        self.until(lambda: total() == 4, "four idle connections")

    def test_the_budget_of_tenants_keeps_the_sum_exact(self):
        tenants = "".join(f"tenant t{n} {{ host t{n}.test; authenticate none; upstream app; }}\n" for n in range(20))
        gateway = self.gateway(
            "metrics_tenants 5;\nupstream app { server 127.0.0.1:$app; }\n" + tenants, app=self.upstream()
        )
        with RawClient(gateway.plain) as client:
            for n in range(20):
                for _ in range(3):
                    self.assertEqual(client.request("GET", "/", f"t{n}.test").status, 200)
        metrics = self.until(
            lambda: (m := gateway.metrics()).sum("gateway_requests_total") >= 60 and m, "60 requests counted"
        )
        self.assertEqual(metrics.sum("gateway_requests_total"), 60)
        names = {labels["tenant"] for labels, _ in metrics.samples("gateway_requests_total")}
        self.assertLessEqual(len(names - {"_other", ""}), 5)
        self.assertEqual(metrics.sum("gateway_requests_total", tenant="_other"), 45)

    def test_openmetrics_by_accept(self):
        gateway, _ = self.busy()
        self.settled(gateway)
        for accept, kind in (
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", "application/openmetrics-text"),
            (
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                "application/openmetrics-text",
            ),
            ("text/plain", "text/plain"),
            ("*/*", "text/plain"),
            (None, "text/plain"),
            ("application/openmetrics-text;q=0.1, text/plain;q=0.9", "text/plain"),
        ):
            with self.subTest(accept=accept):
                status, headers, body = gateway.call("GET", "/metrics", {"Accept": accept} if accept else {})
                self.assertEqual((status, headers["Content-Type"].split(";")[0]), (200, kind))
                metrics = exposition.parse(body.decode(), openmetrics="openmetrics" in kind)
                self.assertEqual(metrics.sum("gateway_requests_total", tenant="acme"), 15)

    def test_promtool_finds_nothing_wrong(self):
        gateway, _ = self.busy()
        _, body = gateway.get("/metrics")
        done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_real_prometheus_scrapes_it(self):
        gateway, _ = self.busy()
        self.settled(gateway)
        port, folder = free_port(), os.path.join(self.folder, "prometheus")
        os.mkdir(folder)
        with open(os.path.join(folder, "prometheus.yml"), "w") as out:
            out.write(
                "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                "scrape_configs:\n- job_name: gateway\n  static_configs:\n"
                f"  - targets: ['127.0.0.1:{gateway.admin}']\n"
            )
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=end_with_parent,
            )
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                    return json.load(response)["data"]
            except OSError:
                return None

        def value():
            query = urllib.parse.quote('sum(gateway_requests_total{tenant="acme"})')
            data = ask("/api/v1/query?query=" + query)
            return data and data["result"] and data["result"][0]["value"][1]

        self.assertEqual(self.until(value, "Prometheus to scrape the gateway", within=20, every=0.1), "15")
        target = ask("/api/v1/targets")["activeTargets"][0]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        info = ask("/api/v1/query?query=gateway_build_info")["result"][0]
        self.assertTrue(info["metric"]["version"])


class AccessLog(Case):
    def test_a_line_has_every_field_in_order(self):
        upstream = self.upstream()
        gateway = self.gateway(TWO, app=upstream)
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        with RawClient(gateway.plain) as client:
            response = client.request(
                "POST",
                "/a/b?token=s3cret",
                "acme.test",
                [("traceparent", f"00-{trace}-00f067aa0ba902b7-01")],
                body=b"hello",
            )
        line = gateway.log_line(lambda line: line["request_id"] == response["x-request-id"])
        self.assertEqual(list(line), FIELDS)
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        wanted = {
            "tenant": "acme",
            "key": None,
            "client": "127.0.0.1",
            "method": "POST",
            "host": "acme.test",
            "path": "/a/b",
            "protocol": "HTTP/1.1",
            "status": 200,
            "refused": None,
            "request_bytes": 5,
            "response_bytes": 2,
            "attempts": 1,
            "tls": None,
            "trace_id": trace,
        }
        self.assertEqual({name: line[name] for name in wanted}, wanted)
        self.assertIn(str(upstream.port), line["upstream"])
        self.assertGreater(line["duration_ms"], 0)
        self.assertLessEqual(line["upstream_ms"], line["duration_ms"])

    def test_a_refusal_is_logged_with_its_reason(self):
        gateway = self.gateway(TWO, app=self.upstream())
        for host, kind, tenant in (
            ("nobody.test", "misdirected", None),
            ("globex.test", "content-too-large", "globex"),
        ):
            with RawClient(gateway.plain) as client:
                response = client.request("POST", "/", host, body=b"x" * 11)
            line = gateway.log_line(lambda line: line["request_id"] == response["x-request-id"])
            self.assertEqual((line["refused"], line["status"], line["tenant"]), (kind, response.status, tenant))
            self.assertIn(line["attempts"], (0, None))

    def test_what_is_not_http_is_logged_too(self):
        gateway = self.gateway(TWO, app=self.upstream())
        with RawClient(gateway.plain) as client:
            client.send(b"GET /\x80\xff HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.assertEqual(client.read_response().status, 400)
        line = gateway.log_line(lambda line: line["status"] == 400)
        self.assertEqual(line["refused"], "bad-request")

    def test_tls_and_a_trusted_client_are_in_it(self):
        gateway = self.gateway(
            "trusted_proxies 127.0.0.1;\n" + self.tls_listener(self.leaf("acme.test")) + TWO, app=self.upstream()
        )
        with RawClient(gateway.tls, tls=self.authority.context(), sni="acme.test") as client:
            client.request("GET", "/", "acme.test", [("X-Forwarded-For", "203.0.113.7"), ("X-Request-Id", "edge-1")])
        line = gateway.log_line(lambda line: line["request_id"] == "edge-1")
        self.assertEqual(line["client"], "203.0.113.7")
        self.assertIn("1.3", line["tls"])

    def test_hostile_text_stays_one_line_of_json(self):
        gateway = self.gateway("trusted_proxies 127.0.0.1;\n" + TWO, app=self.upstream())
        for number, path in enumerate(('/"', "/'\\n", "/%0a%0d", "/{}", '/","tenant":"globex')):
            with RawClient(gateway.plain) as client:
                response = client.request("GET", path, "acme.test", [("X-Request-Id", f"hostile-{number}")])
            if response.status == 200:
                self.assertEqual(gateway.log_line(lambda line: line["request_id"] == f"hostile-{number}")["path"], path)
        self.assertEqual({line["tenant"] for line in gateway.log_lines()}, {"acme"})

    def test_the_query_is_logged_only_when_asked_for(self):
        for option, there in (("", False), ("query=on", True)):
            with self.subTest(option):
                gateway = self.gateway(
                    f"""workers 1; state ./state; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;
                    access_log ./access.log {option};""" + TWO,
                    app=self.upstream(),
                    preamble=False,
                )
                response = self.get(gateway, "/p?token=s3cret")
                gateway.log_line(lambda line: line["request_id"] == response["x-request-id"])
                self.assertEqual("s3cret" in gateway._read("access.log"), there)
                gateway.stop()

    def test_secrets_are_in_no_line(self):
        gateway = self.gateway(TWO, app=self.upstream())
        self.get(
            gateway, fields=[("X-API-Key", "gw_s3cret"), ("Authorization", "Bearer s3cret.b.c"), ("Cookie", "s3cret")]
        )
        gateway.log_line(lambda line: line["tenant"] == "acme")
        for name in ("access.log", "stdout", "stderr"):
            self.assertNotIn("s3cret", gateway._read(name))

    def test_stdout_and_off(self):
        for target in ("stdout", "off"):
            with self.subTest(target):
                gateway = self.gateway(
                    f"""workers 1; state ./state; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;
                    access_log {target};""" + TWO,
                    app=self.upstream(),
                    preamble=False,
                )
                self.get(gateway)
                if target == "stdout":
                    self.until(lambda: '"tenant":"acme"' in gateway.stdout.replace(" ", ""), "a line on stdout")
                gateway.stop()
                self.assertEqual("acme.test" in gateway.stdout, target == "stdout")

    def test_usr1_reopens_the_log(self):
        gateway = self.gateway(TWO, app=self.upstream())
        first = self.get(gateway)["x-request-id"]
        gateway.log_line(lambda line: line["request_id"] == first)
        path = os.path.join(gateway.folder, "access.log")
        os.rename(path, path + ".1")
        gateway.signal(signal.SIGUSR1)
        self.until(lambda: os.path.exists(path), "a new access log")
        second = self.get(gateway)["x-request-id"]
        gateway.log_line(lambda line: line["request_id"] == second)
        self.assertNotIn(second, gateway._read("access.log.1"))

    def test_every_request_is_logged_once(self):
        gateway = self.gateway(TWO, app=self.upstream())
        ids = []
        for _ in range(5):
            with RawClient(gateway.plain) as client:
                client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" * 100)
                ids += [client.read_response()["x-request-id"] for _ in range(100)]
        self.until(lambda: len(gateway.log_lines()) >= 500, "500 lines")
        self.assertEqual(sorted(line["request_id"] for line in gateway.log_lines()), sorted(ids))

    def test_lines_are_all_there_after_the_end(self):
        gateway = self.gateway(TWO, app=self.upstream())
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" * 50)
            for _ in range(50):
                client.read_response()
        gateway.stop()
        self.assertEqual(len(gateway.log_lines()), 50)

    def test_a_log_that_cannot_be_written_slows_no_request(self):
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        gateway = self.gateway(
            f"""workers 1; state ./state; shutdown_timeout 3s; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;
            access_log {fifo};""" + TWO,
            app=self.upstream(record=False),
            preamble=False,
        )
        with RawClient(gateway.plain) as client:
            for _ in range(40):
                client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" * 200)
                for _ in range(200):
                    self.assertEqual(client.read_response().status, 200)
        self.assertEqual(gateway.get("/healthz")[0], 200)
