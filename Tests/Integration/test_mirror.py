"""`mirror`: copies of requests go to another upstream, and nobody waits for what is answered there."""

import hashlib
import os
import socket
import threading
import time

from Support import h2, preload
from Support.client import RawClient
from Support.ports import free_port
from Support.upstream import answer, text
from test_h2 import H2Case


class Mirror(H2Case):
    def edge(self, mirror, block="", rule="mirror staging;", tenant="", main=None, staging="server 127.0.0.1:$staging;", top="", **values):
        self.app = main or self.upstream(answer(text("hello")))
        return self.gateway(
            top + "upstream app { server 127.0.0.1:$app; }\nupstream staging { " + staging + block + " }\n"
            f"tenant acme {{ host acme.test; upstream app; {tenant} route / {{ {rule} }} }}\n",
            app=self.app,
            staging=getattr(mirror, "port", mirror),
            **{"workers": 1, **values},
        )

    def copies(self, gateway, upstream="staging"):
        metrics = gateway.metrics()
        return tuple(int(metrics.sum("gateway_mirrored_total", upstream=upstream, result=result)) for result in ("ok", "failed", "dropped"))

    def test_a_copy_with_its_body(self):
        staging = self.upstream(answer(text("thrown away", "500 Oops", ["X-Staging: 1"])))
        gateway = self.edge(staging)
        body = os.urandom(40_000)
        with RawClient(gateway.plain) as client:
            fields = [("X-Own", "1"), ("X-Mirror", "0"), ("x_mirror", "0"), ("Connection", "x-hop"), ("X-Hop", "1"), ("Accept", "a/b")]
            response = client.request("POST", "/a?b=c", "acme.test", fields=fields, body=body)
            self.assertEqual((response.status, response.body, response["x-staging"]), (200, b"hello", None))
            self.assertEqual(client.request("GET", "/get", "acme.test").status, 200)
            self.assertEqual(client.request("PUT", "/chunks", "acme.test", body=b"c" * 1000, chunked=True).status, 200)
        request = self.app.next_request()
        # Nobody has waited for one before the next was sent.
        copies = {copy.target: copy for copy in (staging.next_request() for _ in range(3))}
        copy = copies["/a?b=c"]
        self.assertEqual((copy.method, copy.body), ("POST", body))
        self.assertEqual((copy.fields.all("x-mirror"), request["x-mirror"], request["x_mirror"]), (["1"], None, None))
        for name in ("x-request-id", "host", "x-own", "x-tenant-id", "traceparent", "x-forwarded-for", "via", "accept", "content-length"):
            self.assertEqual(copy[name], request[name], name)
        self.assertIsNone(copy["x-hop"])
        copy = copies["/get"]
        self.assertEqual((copy.method, copy["content-length"]), ("GET", None))
        copy = copies["/chunks"]
        self.assertEqual((copy.method, copy.body, copy["content-length"]), ("PUT", b"c" * 1000, "1000"))
        self.until(lambda: self.copies(gateway) == (3, 0, 0), "the copies' end")
        # One after the other they need no other connection.
        count = len(staging.connections)
        for number in range(4, 9):
            self.get(gateway)
            self.until(lambda: self.copies(gateway) == (number, 0, 0), "the copy's end")
        self.assertEqual(len(staging.connections), count)

    def test_a_large_body_does_not_go_along(self):
        staging = self.upstream(answer(text("")))
        gateway = self.edge(staging, rule="mirror staging; mirror_body 1k;")
        for size, expected in ((1024, 1024), (1025, 0), (3_000_000, 0)):
            for chunked in (False, True):
                with RawClient(gateway.plain) as client:
                    client.request("POST", f"/{size}", "acme.test", body=b"x" * size, chunked=chunked)
                self.assertEqual(len(self.app.next_request().body), size)
                copy = staging.next_request()
                self.assertEqual((copy.target, len(copy.body), copy["content-length"]), (f"/{size}", expected, str(expected)))
        gateway = self.edge(staging, rule="mirror staging; mirror_body 0;")
        with RawClient(gateway.plain) as client:
            client.request("POST", "/none", "acme.test", body=b"x")
        self.assertEqual(staging.next_request()["content-length"], "0")
        # Of half a request there is no copy.
        gateway = self.edge(staging)
        client = self.connect(gateway.plain)
        client.send("POST /half HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 10\r\n\r\nabc")
        self.until(lambda: b"abc" in self.app.bytes_received, "the half")
        client.reset()
        self.assertEqual(self.get(gateway, "/whole").status, 200)
        self.assertEqual(staging.next_request().target, "/whole")

    def test_the_largest_body_goes_along(self):
        size = 256 << 10
        staging = self.upstream(answer(text("")))
        gateway = self.edge(staging, rule="mirror staging; mirror_body 256k;")
        fields = [(f"X-Long-{i}", "x" * 7000) for i in range(3)]
        for expected, length in ((size, size), (0, size + 1), (0, 1_000_000)):
            with RawClient(gateway.plain) as client:
                self.assertEqual(client.request("POST", "/", "acme.test", fields=fields, body=os.urandom(length)).status, 200)
            request, copy = self.app.next_request(), staging.next_request()
            self.assertEqual(len(copy.body), expected)
            if expected:
                self.assertEqual(copy.body, request.body)

    def test_halves_take_no_place(self):
        staging = self.upstream(answer(text("")))
        gateway = self.edge(staging)
        # More than there may be copies at a time.
        for i in range(70):
            client = self.connect(gateway.plain)
            client.send(f"POST /half{i}/ HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 10\r\n\r\nabc")
            self.until(lambda: f"/half{i}/".encode() in self.app.bytes_received, "the half")
            client.reset()
        self.until(lambda: gateway.metrics().sum("gateway_requests_total", tenant="acme", code="499") == 70, "their end")
        self.assertEqual(self.get(gateway, "/whole").status, 200)
        self.assertEqual(staging.next_request().target, "/whole")
        self.until(lambda: self.copies(gateway) == (1, 0, 0), "the copy's end")

    def test_a_share(self):
        staging = self.upstream(answer(text("")))
        gateway = self.edge(staging, rule="mirror staging 30%;")
        with RawClient(gateway.plain) as client:
            for _ in range(1000):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.until(lambda: sum(self.copies(gateway)) == len(staging.requests), "the copies")
        self.assertTrue(230 < len(staging.requests) < 370, len(staging.requests))
        self.assertEqual(len({one["x-request-id"] for one in staging.requests}), len(staging.requests))

    def test_dead_or_deaf_it_changes_nothing(self):
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        full = [socket.socket() for _ in range(4)]
        for one in full:
            self.addCleanup(one.close)
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())

        def silent(peer):
            peer.wait_for_end(30)

        def endless(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                peer.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

        def garbage(peer):
            peer.read_request()
            peer.send(b"SSH-2.0\r\n\r\n")

        for name, server in (
            ("dead", free_port()), ("deaf", deaf.getsockname()[1]), ("silent", self.upstream(silent)), ("endless", self.upstream(endless)),
            ("garbage", self.upstream(garbage)), ("closing", self.upstream(lambda peer: None)),
        ):
            with self.subTest(name=name):
                gateway = self.edge(server, block="connect_timeout 1s; response_timeout 1s; retry tries=5 on=connect,reset,timeout,503;")
                took = []
                with RawClient(gateway.plain) as client:
                    for _ in range(100):
                        began = time.monotonic()
                        self.assertEqual(client.request("POST", "/", "acme.test", body=b"b" * 100).body, b"hello")
                        took.append(time.monotonic() - began)
                self.assert_bar(sorted(took)[50], 0.05)
                self.assert_bar(max(took), 0.5)
                self.until(lambda: sum(self.copies(gateway)) == 100, "the copies' end", 10)
                metrics = gateway.metrics()
                self.assertEqual(metrics.sum("gateway_upstream_retries_total", upstream="staging"), 0)
                self.assertEqual(metrics.sum("gateway_requests_total", tenant="acme"), 100)
                self.assertEqual(metrics.sum("gateway_requests_total", tenant="acme", code="200"), 100)

    def test_no_more_than_so_many_at_once(self):
        gate = threading.Event()

        def slow(peer):
            while peer.read_request():
                gate.wait(20)
                peer.send(text(""))

        staging = self.upstream(slow)
        gateway = self.edge(staging, block="max_connections 100;")
        with RawClient(gateway.plain) as client:
            for _ in range(200):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            self.until(lambda: len(staging.requests) == 64, "as many as there may be")
            self.assertEqual(self.copies(gateway), (0, 0, 136))
            gate.set()
            self.until(lambda: self.copies(gateway) == (64, 0, 136), "their end")
            client.request("GET", "/", "acme.test")
        self.until(lambda: self.copies(gateway) == (65, 0, 136), "one more")
        # Nor do they wait in line where there is one.
        gate.clear()
        gateway = self.edge(staging, block="max_connections 2; queue size=1000 timeout=20s;")
        with RawClient(gateway.plain) as client:
            for _ in range(20):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.until(lambda: self.copies(gateway)[2] == 18, "those without a place")
        gate.set()
        self.until(lambda: self.copies(gateway) == (2, 0, 18), "those with one")

    def test_it_is_nobody_s_bill(self):
        staging = self.upstream(answer(text("x" * 50_000)))
        gateway = self.edge(staging, tenant="rate 1000/s; quota 1000/day; concurrency 5;", top="ledger_interval 100ms;\n")
        for _ in range(10):
            self.assertEqual(self.get(gateway).status, 200)
        self.until(lambda: self.copies(gateway) == (10, 0, 0), "the copies")
        usage = lambda: (gateway.json("/v1/tenants/acme/usage") or [{}])[0]
        self.until(lambda: usage().get("settled", 0) >= 10, "the ledger")
        time.sleep(0.3)
        told = usage()
        self.assertEqual((told["admitted"], told["settled"], told["response_bytes"]), (10, 10, 50))
        self.assertEqual(len(gateway.log_lines()), 10)
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_response_bytes_total", tenant="acme"), 50)
        self.assertEqual(metrics.sum("gateway_upstream_requests_total", upstream="staging", code="200"), 10)
        self.assertEqual(metrics.sum("gateway_upstream_duration_seconds_count", upstream="staging"), 0)
        # What is refused is not copied.
        gateway = self.edge(staging, tenant="rate 1/h;", rule="mirror staging; require role=any;")
        self.get(gateway)
        gateway = self.edge(staging, tenant="rate 1/h;")
        self.assertEqual([self.get(gateway).status for _ in range(3)], [200, 429, 429])
        self.until(lambda: self.copies(gateway) == (1, 0, 0), "one copy")
        self.assertEqual(len(staging.requests), 11)

    def test_credentials_end_where_they_end_for_the_upstream(self):
        key = "key-of-somebody"
        staging = self.upstream(answer(text("")))
        gateway = self.edge(
            staging, tenant=f"authenticate api_key; key sha256:{hashlib.sha256(key.encode()).hexdigest()} name=ci roles=a,b;",
        )
        for fields in ([("X-API-Key", key)], [("X-API-Key", key), ("Proxy-Authorization", "Basic x"), ("Cookie", "a=b")]):
            self.get(gateway, fields=fields)
            request, copy = self.app.next_request(), staging.next_request()
            self.assertEqual([one for one in copy.fields if one[0].lower() != "x-mirror"], list(request.fields))
        self.assertNotIn(key.encode(), staging.bytes_received)
        self.assertEqual((copy["x-tenant-consumer"], copy["x-tenant-roles"]), ("ci", "a,b"))

    def test_templates_and_proxy_headers(self):
        seen = []

        def proxied(peer):
            while b"\r\n" not in peer.stream.buffer:
                if not peer.stream.fill():
                    return
            at = bytes(peer.stream.buffer).index(b"\r\n") + 2
            seen.append(bytes(peer.stream.take(at)))
            answer(text(""))(peer)

        staging = self.upstream(proxied)
        # The client is gone before its copy is sent.
        gateway = self.edge(staging, block="proxy_protocol v1;", staging="server {tenant}.test:$staging;", start=False)
        gateway.start(environment=preload.environment(preload.Names(gateway.folder, "*.test 0 1 0 127.0.0.1")))
        with RawClient(gateway.plain, source="127.0.0.7") as client:
            port = client.socket.getsockname()[1]
            client.request("GET", "/", "acme.test")
        staging.next_request()
        self.assertEqual(seen, [f"PROXY TCP4 127.0.0.7 127.0.0.1 {port} {gateway.plain}\r\n".encode()])
        self.assertIn("server=\"{tenant}.test", gateway.get("/metrics")[1].decode())

    def test_by_http_2_on_both_sides(self):
        copies = []

        def behaviour(server):
            while taken := server.request():
                copies.append(taken[1])
                server.respond(taken[0], b"x" * 10_000)

        gateway = self.edge(self.upstream(h2.serving(behaviour)), block="protocols h2;")
        client = self.open(gateway, tls=False)
        body = os.urandom(50_000)
        for number in range(3):
            got = client.post(body, f"/{number}")
            self.assertEqual((got.status, bytes(got.body)), (200, b"hello"))
            self.assertEqual(self.app.next_request().body, body)
            self.until(lambda: len(copies) == number + 1, "a copy")
            copy = copies[number]
            self.assertEqual((copy.get(":path"), bytes(copy.body), copy.get("x-mirror")), (f"/{number}", body, "1"))
        self.until(lambda: self.copies(gateway) == (3, 0, 0), "their end")
        # By HTTP/1.1, for a client of HTTP/2.
        staging = self.upstream(answer(text("")))
        gateway = self.edge(staging)
        client = self.open(gateway, tls=False)
        client.post(body, "/a")
        copy = staging.next_request()
        self.assertEqual((copy.target, copy.body, copy["x-mirror"], copy["via"]), ("/a", body, "1", "2 gateway"))

    def test_upgrades_and_calls_pass_without_a_copy(self):
        staging = self.upstream(answer(text("")))

        def tunnel(peer):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            while peer.stream.fill():
                peer.send(bytes(peer.stream.take(len(peer.stream.buffer))))

        gateway = self.edge(staging, main=self.upstream(tunnel))
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            self.assertEqual(client.read_head().status, 101)
            client.send("hello")
            self.until(lambda: client.stream.fill() and bytes(client.stream.buffer) == b"hello", "an echo")
        # A stream of gRPC is not held up.
        parts = []

        def call(peer):
            peer.read_head()
            parts.append(bytes(peer.stream.buffer))
            while b"last" not in peer.stream.buffer:
                peer.stream.fill()
                parts.append(bytes(peer.stream.buffer))
            peer.send(text("", fields=["Content-Type: application/grpc", "grpc-status: 0"]))

        gateway = self.edge(staging, main=self.upstream(call))
        client = self.open(gateway, tls=False)
        stream = client.head(client.fields("POST", "/s/m", more=[("content-type", "application/grpc"), ("te", "trailers")]), ends=False)
        client.data(stream, b"\0\0\0\0\5first")
        self.until(lambda: any(b"first" in part for part in parts), "the first message")
        client.data(stream, b"\0\0\0\0\4last", ends=True)
        self.assertEqual(client.answer(stream).get("grpc-status"), "0")
        self.assertEqual((self.copies(gateway), staging.requests), ((0, 0, 0), []))

    def test_behind_a_decision_and_over_a_reload(self):
        staging = self.upstream(answer(text("")))
        gate = threading.Event()
        gate.set()
        policy = self.upstream(
            answer(lambda request: gate.wait(10) and text("", "403 Forbidden" if "/no" in request["x-original-uri"] else "200 OK", ["X-Policy: gold"]))
        )
        rule = "mirror staging; authorize http://127.0.0.1:$policy/ timeout=10s cache=10s { request_header X-Policy; }"
        gateway = self.edge(staging, rule=rule, policy=policy)
        for _ in range(2):
            self.assertEqual(self.get(gateway, "/no").status, 403)
            with RawClient(gateway.plain) as client:
                self.assertEqual(client.request("POST", "/yes", "acme.test", body=b"content").status, 200)
            copy = staging.next_request()
            self.assertEqual((copy.target, copy["x-policy"], copy.body), ("/yes", "gold", b"content"))
        gate.clear()
        client = self.connect(gateway.plain)
        client.send("POST /wait HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 3\r\n\r\nabc")
        self.until(lambda: len(policy.requests) == 3, "a question")
        with open(gateway.file) as file:
            told = file.read()
        with open(gateway.file, "w") as file:
            file.write(told.replace("mirror staging;", "").replace("upstream staging", "upstream former"))
        gateway.reload()
        gate.set()
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(staging.next_request().body, b"abc")
        self.assertEqual(self.get(gateway, "/gone").status, 200)
        self.assertEqual(len(staging.requests), 3)
