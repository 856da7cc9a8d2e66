"""`authorize`: another service decides whether a request passes."""

import hashlib
import os
import re
import ssl
import threading
import time

from Support.client import RawClient
from Support.ports import free_port
from Support.tokens import Key, jwks, token
from Support.upstream import answer, over_tls, text
from test_h2 import H2Case

YES = text("", fields=["X-Policy: gold", "X-User: jane", "X-Decision: yes"])
NO = text("not you", "403 Forbidden", ["Content-Type: text/plain", "X-Decision: no", "X-Policy: none"])


class Service:
    """A policy service: `decide(request)` gives the bytes of its answer, or None for none. `asked` has all questions."""

    def __init__(self, case, decide=lambda request: YES, port=0, **options):
        self.asked = []
        self.decide = decide

        def behaviour(peer):
            while request := peer.read_request():
                self.asked.append(request)
                data = self.decide(request)
                if data is None:
                    return
                peer.send(data)

        self.server = case.upstream(behaviour, port=port, **options)
        self.port = self.server.port


class Authorize(H2Case):
    FIELDS = "{ request_header X-Policy; request_header X-User; response_header X-Decision; }"

    def edge(self, service, options="cache=10s", fields=FIELDS, upstream=None, route="/", more="", tenant="", top="", start=True, **values):
        self.app = upstream or self.upstream(answer(text("hello", fields=["X-Decision: forged"])))
        return self.gateway(
            top + "upstream app { server 127.0.0.1:$app; }\n"
            f"tenant acme {{ host acme.test; upstream app; {tenant}\n"
            f"route {route} {{ authorize http://127.0.0.1:$policy/check?by=gw {options} {fields or ''}{'' if fields else ';'} {more} }} }}\n",
            app=self.app,
            policy=getattr(service, "port", service),
            start=start,
            **{"workers": 1, **values},
        )

    def rewrite(self, gateway, old, new):
        told = self.told(gateway)
        self.assertIn(old, told)
        with open(gateway.file, "w") as file:
            file.write(told.replace(old, new))
        return gateway.reload()

    def told(self, gateway):
        with open(gateway.file) as file:
            return file.read()

    def counts(self, gateway, tenant="acme"):
        metrics = gateway.metrics()
        results = ("allowed", "denied", "unavailable", "passed")
        return tuple(int(metrics.sum("gateway_authorizations_total", tenant=tenant, result=result)) for result in results)

    # --- What is asked, and what is made of it

    def test_a_yes_and_what_it_hands_on(self):
        service = Service(self)
        gateway = self.edge(service)
        fields = [
            ("Authorization", "Bearer abc"), ("Cookie", "a=b"), ("X-Own", "1"), ("X-Policy", "forged"), ("x_user", "forged"),
            ("X-Original-URI", "/forged"), ("x_original_method", "FORGED"), ("X-Tenant-Id", "globex"), ("X-Forwarded-For", "1.2.3.4"),
            ("Connection", "x-hop"), ("X-Hop", "1"), ("Content-Type", "text/x"), ("TE", "trailers"),
        ]
        with RawClient(gateway.plain) as client:
            response = client.request("POST", "/a/../b?c=d", "acme.test", fields=fields, body=b"content")
        self.assertEqual((response.status, response.body), (200, b"hello"), response)
        self.assertEqual(response.fields.all("x-decision"), ["yes"])
        self.assertIsNone(response["x-policy"])
        asked = service.asked[0]
        self.assertEqual((asked.method, asked.target, asked.body), ("GET", "/check?by=gw", b""))
        self.assertEqual(asked["host"], f"127.0.0.1:{service.port}")
        self.assertEqual(asked.fields.all("x-original-method"), ["POST"])
        self.assertEqual(asked.fields.all("x-original-uri"), ["/b?c=d"])
        self.assertEqual(asked.fields.all("x-tenant-id"), ["acme"])
        self.assertEqual((asked["authorization"], asked["cookie"], asked["x-own"]), ("Bearer abc", "a=b", "1"))
        self.assertEqual((asked["x-forwarded-for"], asked["x-forwarded-host"]), ("127.0.0.1", "acme.test"))
        for name in ("content-length", "transfer-encoding", "connection", "te", "x-hop", "x_original_method"):
            self.assertIsNone(asked[name], name)
        request = self.app.next_request()
        self.assertEqual((request.method, request.target, request.body), ("POST", "/b?c=d", b"content"))
        self.assertEqual((request.fields.all("x-policy"), request.fields.all("x-user"), request["x_user"]), (["gold"], ["jane"], None))
        self.assertEqual(request["x-request-id"], asked["x-request-id"])
        self.assertEqual(request["authorization"], "Bearer abc")
        self.assertIsNone(request["x-decision"])
        self.assertEqual(self.counts(gateway), (1, 0, 0, 0))

    def test_credentials_that_are_exchanged_are_shown_and_told_apart(self):
        def exchange(request):
            name = (request["authorization"] or "").removeprefix("Bearer ")
            return text("", fields=[f"Authorization: Internal {name}"]) if name else NO

        for fields, more in (("{ request_header Authorization; }", ""), ("", "request_header Authorization off; request_header Cookie off;")):
            service = Service(self, exchange)
            gateway = self.edge(service, fields=fields, more=more)
            for _ in range(2):
                for name in ("jane", "joe"):
                    self.assertEqual(self.get(gateway, fields=[("Authorization", f"Bearer {name}"), ("Cookie", "c=1")]).status, 200)
                    request = self.app.next_request()
                    self.assertEqual(request.fields.all("authorization"), [f"Internal {name}"] if fields else [])
                self.assertEqual(self.get(gateway).status, 403)
            self.assertEqual(len(service.asked), 3)
            self.assertEqual(service.asked[0]["cookie"], "c=1")

    def test_claims_are_the_gateway_s_to_tell(self):
        key = Key("ES256", "one")
        with open(os.path.join(self.folder, "keys.json"), "w") as out:
            out.write(jwks(key))
        service = Service(self)
        gateway = self.edge(
            service,
            "cache=10s",
            tenant="jwt idp; authenticate jwt;",
            more="authenticate none;",
            top=f'jwt idp {{ issuer idp; keys "{self.folder}/keys.json"; algorithms ES256; claim_header role X-Role; }}\n',
        )
        self.get(gateway, fields=[("X-Role", "admin"), ("x_role", "admin")])
        self.assertEqual((service.asked[0]["x-role"], service.asked[0]["x_role"]), (None, None))
        told = token(key, {"iss": "idp", "sub": "jane", "role": "clerk", "exp": int(time.time()) + 60})
        self.get(gateway, fields=[("X-Role", "admin"), ("Authorization", "Bearer " + told)])
        self.assertEqual((service.asked[1].fields.all("x-role"), service.asked[1]["x-tenant-consumer"]), (["clerk"], "jane"))

    def test_what_the_service_does_not_say_does_not_arrive_from_a_client(self):
        service = Service(self, lambda request: text("ok"))
        gateway = self.edge(service)
        response = self.get(gateway, fields=[("X-Policy", "gold"), ("X_Policy", "gold"), ("X-User", "root")])
        self.assertEqual((response.status, response["x-decision"]), (200, None))
        request = self.app.next_request()
        self.assertEqual((request["x-policy"], request["x_policy"], request["x-user"]), (None, None, None))
        # Nor behind a body.
        with RawClient(gateway.plain) as client:
            client.send(
                "POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Policy\r\n\r\n"
                "1\r\na\r\n0\r\nX-Policy: gold\r\nX-Other: 1\r\n\r\n"
            )
            self.assertEqual(client.read_response().status, 200)
        self.assertNotIn(b"gold", self.app.bytes_received)

    def test_credentials_in_place_of_the_client_s(self):
        def decide(request):
            if (request["authorization"], request["cookie"]) != ("Bearer me", "session=1"):
                return text("", "401 Unauthorized")
            return text("", fields=["Authorization: Bearer internal"])

        service = Service(self, decide)
        gateway = self.edge(service, fields="{ request_header Authorization; }", more="request_header Cookie off;")
        fields = [("Authorization", "Bearer me"), ("Cookie", "session=1")]
        self.assertEqual(self.get(gateway, fields=fields).status, 200)
        request = self.app.next_request()
        self.assertEqual((request.fields.all("authorization"), request["cookie"]), (["Bearer internal"], None))
        # What is kept is theirs alone.
        for other in ([], fields[:1], fields[1:], [("Authorization", "Bearer you"), fields[1]], [fields[0], ("Cookie", "session=2")]):
            self.assertEqual(self.get(gateway, fields=other).status, 401)

    def test_what_overrides_a_request_is_shown(self):
        service = Service(self, lambda request: NO if "DELETE" in (request["x-http-method-override"], request["x-rewrite-url"]) else YES)
        names = "X-HTTP-Method-Override X-Rewrite-URL X-Original-URI X-Original-Method"
        gateway = self.edge(service, top=f"pass_fields {names};\n")
        self.assertEqual(self.get(gateway).status, 200)
        self.assertEqual(self.get(gateway, fields=[("X-HTTP-Method-Override", "DELETE")]).status, 403)
        self.assertEqual(self.get(gateway, fields=[("X-Rewrite-URL", "DELETE")]).status, 403)
        forged = [("X-Original-URI", "/forged"), ("X-Original-Method", "FORGED")]
        self.assertEqual(self.get(gateway, "/a", fields=forged).status, 200)
        asked = service.asked[-1]
        self.assertEqual((asked.fields.all("x-original-uri"), asked.fields.all("x-original-method")), (["/a"], ["GET"]))

    def test_a_no_in_the_service_s_own_words(self):
        answers = {
            "/403": NO,
            "/401": text("{}", "401 Unauthorized", ['WWW-Authenticate: Custom realm="x"', "WWW-Authenticate: Basic", "Content-Type: a/b"]),
            "/empty": text("", "403 Forbidden"),
            "/large": text("x" * 100_000, "403 Forbidden", ["Content-Type: a/b"]),
            "/chunked": b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "/cut": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\nConnection: close\r\n\r\nabc",
        }
        service = Service(self, lambda request: answers[request["x-original-uri"]])
        gateway = self.edge(service, "timeout=500ms", tenant="rate 1000/s;")
        response = self.get(gateway, "/403")
        self.assertEqual((response.status, response.body, response["content-type"]), (403, b"not you", "text/plain"))
        self.assertEqual((response["x-decision"], response["x-policy"]), ("no", None))
        self.assertTrue(response["x-request-id"] and response["ratelimit"] and response["date"])
        response = self.get(gateway, "/401")
        self.assertEqual((response.status, response.body, response["content-type"]), (401, b"{}", "a/b"))
        self.assertEqual(response.fields.all("www-authenticate"), ['Custom realm="x"', "Basic"])
        response = self.get(gateway, "/empty")
        self.assertEqual((response.status, response.body), (403, b""))
        # Of what is too long, or is not whole, there is nothing.
        response = self.get(gateway, "/large")
        self.assertEqual((response.status, response.body, response["content-type"]), (403, b"", None))
        self.assertEqual((self.get(gateway, "/cut").status, self.get(gateway, "/chunked").body), (403, b"abc"))
        with RawClient(gateway.plain) as client:
            response = client.request("HEAD", "/403", "acme.test")
            self.assertEqual((response.status, response.body, response["content-length"]), (403, b"", "7"))
            self.assertEqual(client.request("GET", "/403", "acme.test").body, b"not you")
        self.assertEqual(self.app.requests, [])
        line = gateway.log_line(lambda line: line["path"] == "/403")
        self.assertEqual((line["status"], line["refused"], line["upstream"]), (403, "forbidden", None))
        self.assertEqual(gateway.log_line(lambda line: line["path"] == "/401")["refused"], "credentials-required")

    def test_anything_else_is_no_decision(self):
        answers = {
            "/500": text("x", "500 Oops"),
            "/302": text("", "302 Found", ["Location: /login"]),
            "/404": text("", "404 Not Found"),
            "/garbage": b"SSH-2.0-OpenSSH\r\n\r\n",
            "/two": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "/head": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 40_000 + b"\r\nContent-Length: 0\r\n\r\n",
            "/nul": b"HTTP/1.1 200 OK\r\nX-Policy: a\0b\r\nContent-Length: 0\r\n\r\n",
            "/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "/closed": None,
        }
        service = Service(self, lambda request: answers.get(request["x-original-uri"], YES))
        gateway = self.edge(service, "timeout=1s cache=10s")
        for target in answers:
            with self.subTest(target=target):
                response = self.get(gateway, target)
                self.assert_problem(response, 503, "authorization-unavailable")
                self.assertEqual(response["retry-after"], "1")
                self.assertEqual(self.get(gateway, "/fine").status, 200)
                self.assertEqual(self.get(gateway, "/fine" + target).status, 200)
        self.assertEqual(len(self.app.requests), 2 * len(answers))
        self.assertEqual(gateway.metrics().sum("gateway_refused_total", tenant="acme", reason="authorization-unavailable"), len(answers))
        # They are not kept either.
        self.assertEqual(len([one for one in service.asked if one["x-original-uri"] == "/500"]), 1)
        self.get(gateway, "/500")
        self.assertEqual(len([one for one in service.asked if one["x-original-uri"] == "/500"]), 2)

    def test_no_answer_in_time(self):
        service = Service(self, lambda request: time.sleep(1))
        gateway = self.edge(service, "timeout=100ms")
        began = time.monotonic()
        self.assert_problem(self.get(gateway), 503, "authorization-unavailable")
        self.assertLess(time.monotonic() - began, 0.6)
        self.assertGreater(time.monotonic() - began, 0.09)
        # An answer that drips has no more time.
        def drip(request):
            return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nabc"

        service.decide = drip
        began = time.monotonic()
        response = self.get(gateway, "/drip")
        self.assertEqual((response.status, response.body), (403, b""))
        self.assertLess(time.monotonic() - began, 0.6)

    def test_on_error_allow(self):
        service = Service(self, lambda request: text("x", "500 Oops", ["X-Policy: bad"]))
        gateway = self.edge(service, "timeout=100ms on_error=allow")
        response = self.get(gateway, fields=[("X-Policy", "forged")])
        self.assertEqual((response.status, response.body, response["x-decision"]), (200, b"hello", None))
        self.assertIsNone(self.app.next_request()["x-policy"])
        service.decide = lambda request: NO
        self.assertEqual(self.get(gateway).status, 403)
        gateway = self.edge(free_port(), "timeout=100ms on_error=allow", None)
        for _ in range(8):
            self.assertEqual(self.get(gateway).status, 200)
        self.assertEqual(self.counts(gateway), (0, 0, 0, 8))

    # --- What is kept

    def test_kept_by_credential_path_and_method(self):
        service = Service(self)
        gateway = self.edge(service)

        def ask(expected, target="/a", method="GET", fields=(("Authorization", "Bearer one"),), **options):
            before = len(service.asked)
            with RawClient(gateway.plain, **options) as client:
                response = client.request(method, target, "acme.test", fields=fields)
            self.assertEqual((response.status, response["x-decision"]), (200, "yes"))
            self.assertEqual(len(service.asked) - before, expected, (target, method, fields))
            self.assertEqual(self.app.next_request().fields.all("x-policy"), ["gold"])

        ask(1)
        ask(0)
        ask(0, fields=[("Authorization", "Bearer one"), ("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01")])
        ask(1, method="POST")
        ask(0, method="POST")
        ask(1, target="/a/b")
        ask(1, target="/a?x")
        for name, values in (
            ("Authorization", ("Bearer two", "Basic one")), ("X-API-Key", ("k1", "k2")), ("Cookie", ("s=1", "s=2")),
            # Whatever else an application may take for somebody's name.
            ("X-Auth-Token", ("1", "2")), ("X-User-Name", ("jane", "joe")),
        ):
            for value in values:
                ask(1, fields=[(name, value)])
                ask(0, fields=[(name, value)])
        ask(1, fields=())
        ask(0, fields=())
        # Nor is one address another one.
        ask(1, fields=(), source="127.0.0.2")
        ask(0, fields=(), source="127.0.0.2")
        self.assertEqual(self.counts(gateway)[0], gateway.metrics().sum("gateway_requests_total", tenant="acme"))

    def test_a_cookie_is_for_one_client(self):
        service = Service(self)
        service.decide = lambda request: text("", fields=[f"Set-Cookie: session={len(service.asked)}", "X-Policy: gold"])
        gateway = self.edge(service, fields="{ request_header X-Policy; response_header Set-Cookie; }")
        self.assertEqual([self.get(gateway)["set-cookie"] for _ in range(3)], ["session=1", "session=2", "session=3"])
        # One that the client gets nothing of is kept.
        gateway = self.edge(service, fields="{ request_header X-Policy; }")
        self.assertEqual([self.get(gateway)["set-cookie"] for _ in range(3)], [None] * 3)
        self.assertEqual(len(service.asked), 4)

    def test_a_no_is_kept_too_and_nothing_for_longer_than_its_time(self):
        service = Service(self, lambda request: NO)
        gateway = self.edge(service, "cache=400ms")
        for _ in range(5):
            self.assertEqual(self.get(gateway).body, b"not you")
        self.assertEqual(len(service.asked), 1)
        service.decide = lambda request: YES
        time.sleep(0.5)
        self.assertEqual(self.get(gateway).status, 200)
        self.assertEqual(len(service.asked), 2)
        # Without `cache` each request asks.
        gateway = self.edge(service, "")
        for _ in range(3):
            self.get(gateway)
        self.assertEqual(len(service.asked), 5)

    def test_keys_of_the_gateway_are_told_apart_though_nobody_is_shown_them(self):
        keys = ["key-of-jane", "key-of-joe"]
        lines = " ".join(f"key sha256:{hashlib.sha256(key.encode()).hexdigest()};" for key in keys)
        service = Service(self)
        gateway = self.edge(service, tenant=f"authenticate api_key; {lines}")
        for key, expected in ((keys[0], 1), (keys[0], 1), (keys[1], 2), (keys[0], 2)):
            self.assertEqual(self.get(gateway, fields=[("X-API-Key", key)]).status, 200)
            self.assertEqual(len(service.asked), expected)
        self.assertEqual(self.get(gateway).status, 401)
        self.assertEqual(len(service.asked), 2)
        self.assertNotIn(b"key-of", service.server.bytes_received)

    def test_nothing_crosses_tenants_routes_or_reloads(self):
        service = Service(self, lambda request: NO if request["x-tenant-id"] == "globex" else YES)
        rule = "authorize http://127.0.0.1:$policy/ cache=60s { request_header X-Policy; }"
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            f"plan both {{ route / {{ {rule} }} route /x {{ {rule} }} }}\n"
            "defaults { plan both; upstream app; }\n"
            "tenant acme { host acme.test; } tenant globex { host globex.test; }\n",
            app=self.upstream(), policy=service.port, workers=1,
        )
        for _ in range(2):
            self.assertEqual(self.get(gateway, "/a").status, 200)
            self.assertEqual(self.get(gateway, "/a", "globex.test").status, 403)
        self.assertEqual(len(service.asked), 2)
        # A reload that changes nothing of it keeps what is known, one that does keeps nothing.
        self.rewrite(gateway, "defaults {", "defaults { response_header X-New 1;")
        self.assertEqual((self.get(gateway, "/a").status, len(service.asked)), (200, 2))
        self.rewrite(gateway, "cache=60s { request_header X-Policy; } } route /x", "cache=50s { request_header X-Policy; } } route /x")
        self.assertEqual((self.get(gateway, "/a").status, len(service.asked)), (200, 3))
        # The same request, of another route.
        self.rewrite(gateway, "route /x", "route /a")
        self.assertEqual((self.get(gateway, "/a").status, len(service.asked)), (200, 4))

    def test_memory_is_bounded(self):
        service = Service(self, lambda request: text("", fields=["X-Policy: " + "p" * 4000]))
        gateway = self.edge(service, "timeout=5s cache=1h")
        with RawClient(gateway.plain) as client:
            for number in range(400):
                self.assertEqual(client.request("GET", f"/{number}", "acme.test").status, 200)
            before = gateway.resident
            for number in range(400, 1600):
                self.assertEqual(client.request("GET", f"/{number}", "acme.test").status, 200)
            self.assertLess(gateway.resident - before, 2 << 20)
            asked = len(service.asked)
            # The last ones are still known.
            client.request("GET", "/1599", "acme.test")
            client.request("GET", "/1590", "acme.test")
            self.assertEqual(len(service.asked), asked)

    # --- Who waits

    def test_a_thousand_wait_for_one_answer(self):
        gate = threading.Event()
        service = Service(self, lambda request: gate.wait(20) and YES)
        gateway = self.edge(service, "timeout=20s", upstream=self.upstream(answer(text("hello")), record=False), top="limits { max_connections 5000; }\n")
        clients = [self.connect(gateway.plain) for _ in range(1000)]
        for client in clients:
            client.send("GET /same HTTP/1.1\r\nHost: acme.test\r\nAuthorization: Bearer x\r\n\r\n")
        self.until(lambda: len(service.asked) == 1, "the question")
        time.sleep(0.5)
        # Some of them leave.
        for client in clients[::10]:
            client.reset()
        gate.set()
        for number, client in enumerate(clients):
            if number % 10:
                self.assertEqual(client.read_response().status, 200)
        self.assertEqual(len(service.asked), 1)
        self.assertEqual(self.counts(gateway)[0], 900)
        # It was not kept.
        self.assertEqual(self.get(gateway, "/same", fields=[("Authorization", "Bearer x")]).status, 200)
        self.assertEqual(len(service.asked), 2)

    def test_so_many_questions_at_once_and_no_more(self):
        gate = threading.Event()
        service = Service(self, lambda request: gate.wait(20) and YES)
        gateway = self.edge(service, "timeout=20s on_error=allow", top="limits { max_connections 5000; }\n")
        clients = [self.connect(gateway.plain) for _ in range(300)]
        for number, client in enumerate(clients):
            client.send(f"GET /{number} HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        refused = lambda: gateway.metrics().sum("gateway_refused_total", tenant="acme", reason="overloaded")
        self.until(lambda: len(service.asked) == 256 and refused() == 44, "the questions")
        gate.set()
        statuses = [client.read_response().status for client in clients]
        # Not even where they pass without an answer.
        self.assertEqual((statuses.count(200), statuses.count(503)), (256, 44))

    def test_answers_without_an_end_take_few_descriptors(self):
        def endless(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            peer.wait_for_end(30)

        server = self.upstream(endless)
        gateway = self.edge(server.port, "timeout=60s")
        with RawClient(gateway.plain) as client:
            for i in range(300):
                self.assertEqual(client.request("GET", f"/{i}", "acme.test").status, 200)
        self.assertLess(len(os.listdir(f"/proc/{gateway.process.pid}/fd")), 150)

    def test_a_client_that_leaves_takes_its_question_along(self):
        closed = threading.Event()

        def decide(request):
            if request["x-original-uri"] == "/slow":
                peer = next(peer for peer in service.server.connections if request in peer.requests)
                peer.wait_for_end(10)
                closed.set()
                return None
            return YES

        service = Service(self, decide)
        gateway = self.edge(service, "timeout=30s", tenant="concurrency 2;")
        for _ in range(3):
            closed.clear()
            clients = [self.connect(gateway.plain) for _ in range(2)]
            for client in clients:
                client.send("GET /slow HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.until(lambda: self.get(gateway).status == 429, "both places taken")
            clients[0].reset()
            self.until(lambda: self.get(gateway, "/other").status == 200, "a place")
            self.assertFalse(closed.is_set())
            clients[1].reset()
            self.assertTrue(closed.wait(5))
            self.until_served(gateway)
        self.until(lambda: [line["status"] for line in gateway.log_lines()].count(499) == 6, "their lines")

    def test_a_body_is_asked_for_behind_the_decision(self):
        gate = threading.Event()
        service = Service(self, lambda request: gate.wait(10) and (NO if request["x-original-uri"] == "/no" else YES))
        gateway = self.edge(service, "timeout=10s")
        head = "POST {} HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"
        with RawClient(gateway.plain, timeout=0.3) as client:
            client.send(head.format("/a"))
            with self.assertRaises(TimeoutError):
                client.read_head()
            client.socket.settimeout(10)
            gate.set()
            self.assertEqual(client.read_head().status, 100)
            client.send("hello")
            time.sleep(0.1)
            client.send(" world")
            self.assertEqual(client.read_response().status, 200)
        self.assertEqual(self.app.next_request().body, b"hello world")
        self.assertIsNone(service.asked[0]["expect"])
        with RawClient(gateway.plain) as client:
            client.send(head.format("/no"))
            response = client.read_response()
            self.assertEqual((response.status, response.interim), (403, []))
        # What comes unasked waits, and arrives whole.
        gate.clear()
        body = os.urandom(3_000_000)
        with RawClient(gateway.plain) as client:
            threading.Timer(0.3, gate.set).start()
            client.send(f"POST /big HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            self.assertEqual(client.read_response().status, 200)
        self.assertEqual(hashlib.sha256(self.app.next_request().body).digest(), hashlib.sha256(body).digest())

    # --- Its outage

    def test_a_breaker_opens_and_closes(self):
        port = free_port()
        gateway = self.edge(port, "timeout=300ms")
        for _ in range(20):
            self.assert_problem(self.get(gateway), 503, "authorization-unavailable")
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_authorization_calls_total", tenant="acme", result="failed"), 5)
        self.assertEqual(metrics.sum("gateway_authorization_calls_total", tenant="acme", result="spared"), 15)
        self.assertEqual(metrics.sum("gateway_authorization_breaker_opened_total", tenant="acme"), 1)
        self.assertEqual(metrics.sum("gateway_authorization_breakers_open", tenant="acme"), 1)
        self.until(lambda: f"authorize of tenant acme: http://127.0.0.1:{port} does not decide" in gateway.stderr, "a line of the log")
        service = Service(self, port=port)
        self.until(lambda: self.get(gateway).status == 200, "an answer", 6)
        self.until(lambda: f"authorize of tenant acme: http://127.0.0.1:{port} answers again" in gateway.stderr, "a line of the log")
        self.assertEqual(gateway.metrics().sum("gateway_authorization_breakers_open", tenant="acme"), 0)
        del service

    def test_what_one_client_provokes_is_nobody_else_s(self):
        said = {"1": "431 Too Large", "2": "406 Not Acceptable", "3": "302 Found", "4": "400 Bad Request"}
        service = Service(self, lambda request: text("", said[request["x-way"]]) if request["x-way"] else YES)
        gateway = self.edge(service, "timeout=1s")
        for way in said:
            for _ in range(6):
                self.assert_problem(self.get(gateway, fields=[("X-Way", way)]), 503, "authorization-unavailable")
            self.assertEqual(self.get(gateway).status, 200, way)
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_authorization_calls_total", tenant="acme", result="failed"), 24)
        self.assertEqual(metrics.sum("gateway_authorization_breaker_opened_total", tenant="acme"), 0)

    def test_a_breaker_goes_with_its_rule(self):
        def opened(gateway):
            return gateway.metrics().sum("gateway_authorization_breakers_open", tenant="acme")

        gateway = self.edge(free_port(), "timeout=300ms")
        for _ in range(6):
            self.assert_problem(self.get(gateway), 503, "authorization-unavailable")
        self.assertEqual(opened(gateway), 1)
        # Over a reload it is left alone as before, and who is asked for is told of.
        self.rewrite(gateway, "host acme.test;", "host acme.test other.test;")
        self.assert_problem(self.get(gateway), 503, "authorization-unavailable")
        self.assertEqual(opened(gateway), 1)
        self.rewrite(gateway, "/check?by=gw", "/another")
        self.until(lambda: opened(gateway) == 0, "nothing that is open")
        for _ in range(6):
            self.get(gateway)
        self.assertEqual(opened(gateway), 1)
        self.rewrite(gateway, "tenant acme", "tenant globex")
        self.until(lambda: opened(gateway) == 0, "nothing that is open")

    def test_one_tenant_s_service_is_no_other_s(self):
        service = Service(self, lambda request: text("", "500 Oops") if request["x-tenant-id"] == "globex" else YES)
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            "defaults { upstream app; route / { authorize http://127.0.0.1:$policy/; } }\n"
            "tenant acme { host acme.test; } tenant globex { host globex.test; }\n",
            app=self.upstream(), policy=service.port, workers=1,
        )
        for _ in range(10):
            self.assertEqual(self.get(gateway, "/", "globex.test").status, 503)
            self.assertEqual(self.get(gateway).status, 200)
        self.assertEqual(len(service.asked), 15)

    # --- What it says

    def test_fields_that_smuggle(self):
        answers = {
            "/folded": b"HTTP/1.1 200 OK\r\nX-Policy: a\r\n b\r\nContent-Length: 0\r\n\r\n",
            "/bare": b"HTTP/1.1 200 OK\r\nX-Policy: a\nX-User: root\r\nContent-Length: 0\r\n\r\n",
            "/cr": b"HTTP/1.1 200 OK\r\nX-Policy: a\rX-User: root\r\nContent-Length: 0\r\n\r\n",
            "/space": b"HTTP/1.1 200 OK\r\nX-Policy : a\r\nContent-Length: 0\r\n\r\n",
            "/octets": b"HTTP/1.1 200 OK\r\nX-Policy: \xff\xfeM\xfcller \xc3\xa9\r\nContent-Length: 0\r\n\r\n",
            "/connection": b"HTTP/1.1 200 OK\r\nConnection: x-policy\r\nX-Policy: gold\r\nX-User: jane\r\nContent-Length: 0\r\n\r\n",
            "/two": b"HTTP/1.1 200 OK\r\nX-Policy: a\r\nX-Policy: b\r\nContent-Length: 0\r\n\r\n",
            "/long": b"HTTP/1.1 200 OK\r\nX-Policy: " + b"x" * 15_000 + b"\r\nContent-Length: 0\r\n\r\n",
        }
        service = Service(self, lambda request: answers[request["x-original-uri"]])
        gateway = self.edge(service, "cache=10s")
        for target in ("/folded", "/bare", "/cr", "/space"):
            self.assert_problem(self.get(gateway, target), 503, "authorization-unavailable")
        self.assertEqual(self.app.requests, [])
        for _ in range(2):
            self.assertEqual(self.get(gateway, "/octets").status, 200)
            self.assertIn(b"x-policy: \xff\xfeM\xfcller \xc3\xa9\r\n", self.app.connections[-1].received)
            self.app.next_request()
            self.assertEqual(self.get(gateway, "/connection", fields=[("X-Policy", "forged")]).status, 200)
            request = self.app.next_request()
            self.assertEqual((request["x-policy"], request["x-user"]), (None, "jane"))
            self.assertEqual(self.get(gateway, "/two").status, 200)
            self.assertEqual(self.app.next_request().fields.all("x-policy"), ["a", "b"])
        self.assertEqual(self.get(gateway, "/long").status, 200)
        self.assertEqual(len(self.app.next_request()["x-policy"]), 15_000)
        self.assertEqual(self.get(gateway, "/two", fields=[("X-Fill", "y" * 30_000)]).status, 200)

    def test_what_a_client_gets_of_it(self):
        cookies = text("", fields=["Set-Cookie: a=1", "Set-Cookie: b=2", "X-Decision: yes"])
        service = Service(self, lambda request: cookies)
        upstream = self.upstream(answer(text("hello", fields=["Set-Cookie: c=3", "X-Decision: forged"])))
        gateway = self.edge(service, "cache=10s", "{ response_header Set-Cookie; response_header X-Decision; }", upstream)
        for _ in range(2):
            response = self.get(gateway)
            self.assertEqual(sorted(response.fields.all("set-cookie")), ["a=1", "b=2", "c=3"])
            self.assertEqual(response.fields.all("x-decision"), ["yes"])

    def test_an_own_answer_behind_a_decision_and_faults(self):
        service = Service(self, lambda request: NO if request["x-original-uri"] == "/no" else YES)
        gateway = self.edge(service, "cache=10s", more='respond 200 text/plain "secret";')
        for _ in range(2):
            response = self.get(gateway, "/no")
            self.assertEqual((response.status, response.body), (403, b"not you"))
            response = self.get(gateway, "/yes")
            self.assertEqual((response.status, response.body, response["x-decision"]), (200, b"secret", "yes"))
        service.asked.clear()
        gateway = self.edge(service, "", more='respond 200 text/plain "secret"; delay 50ms;')
        self.assertEqual((self.get(gateway, "/yes").body, self.get(gateway, "/no").body), (b"secret", b"not you"))
        gateway = self.edge(service, "", more="delay 50ms;")
        self.assertEqual((self.get(gateway, "/yes").body, self.get(gateway, "/no").body), (b"hello", b"not you"))
        self.assertEqual(self.app.next_request().fields.all("x-policy"), ["gold"])
        asked = len(service.asked)
        gateway = self.edge(service, "", more="abort 503;")
        self.assertIn(b"fault-injected", self.get(gateway).body)
        # Nor does it hear of what others refuse before it.
        gateway = self.edge(service, "", more="deny all;")
        self.assert_problem(self.get(gateway), 403, "address-denied")
        gateway = self.edge(service, "", tenant="rate 1/h;")
        self.assertEqual([self.get(gateway).status for _ in range(3)], [200, 429, 429])
        self.assertEqual(len(service.asked), asked + 1)
        self.assertEqual(self.get(gateway, "/a%2Fb").status, 400)

    # --- What happens meanwhile

    def test_a_reload_and_a_suspension_in_the_middle(self):
        gate = threading.Event()
        service = Service(self, lambda request: gate.wait(10) and YES)
        gateway = self.edge(service, "timeout=10s cache=60s")
        first = self.connect(gateway.plain)
        first.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: len(service.asked) == 1, "a question")
        self.rewrite(gateway, "cache=60s", "cache=30s")
        # By the new rule it is another question.
        second = self.connect(gateway.plain)
        second.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: len(service.asked) == 2, "another question")
        gate.set()
        self.assertEqual((first.read_response().status, second.read_response().status), (200, 200))
        gate.clear()
        third = self.connect(gateway.plain)
        third.send("GET /other HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: len(service.asked) == 3, "a third question")
        self.rewrite(gateway, "host acme.test;", "host acme.test; suspended on;")
        gate.set()
        self.assert_problem(third.read_response(), 403, "tenant-suspended")
        self.assertEqual(len(self.app.requests), 2)
        # A rule that is gone asks nobody.
        self.rewrite(gateway, "suspended on;", "")
        rule = re.search(r"authorize .*? }", self.told(gateway))[0]
        self.rewrite(gateway, rule, "request_header X-Nobody 1;")
        self.assertEqual((self.get(gateway, "/new").status, len(service.asked)), (200, 3))

    def test_a_drain_waits_for_the_decision(self):
        gate = threading.Event()
        service = Service(self, lambda request: gate.wait(10) and YES)
        gateway = self.edge(service, "timeout=10s")
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: len(service.asked) == 1, "a question")
        gateway.signal(15)
        time.sleep(0.2)
        gate.set()
        self.assertEqual(client.read_response().status, 200)
        gateway.wait()
        # Without an answer it ends all the same.
        gate.clear()
        gateway = self.edge(service, "timeout=60s")
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.until(lambda: len(service.asked) == 2, "a question")
        gateway.stop(8)

    # --- Protocols

    def test_by_http_2_and_grpc(self):
        service = Service(self, lambda request: NO if request["x-original-uri"] == "/no" else YES)
        gateway = self.edge(service, "cache=10s")
        client = self.open(gateway, tls=False)
        for _ in range(2):
            got = client.get("/a?b", more=[("cookie", "a=1"), ("cookie", "b=2"), ("x-policy", "forged")])
            self.assertEqual((got.status, bytes(got.body), got.get("x-decision")), (200, b"hello", "yes"))
            self.assertEqual(self.app.next_request().fields.all("x-policy"), ["gold"])
        self.assertEqual((service.asked[0]["x-original-uri"], service.asked[0]["host"]), ("/a?b", f"127.0.0.1:{service.port}"))
        got = client.get("/no")
        self.assertEqual((got.status, bytes(got.body)), (403, b"not you"))
        self.assertEqual(bytes(client.post(b"x" * 100_000, "/post").body), b"hello")
        self.assertEqual(len(self.app.next_request().body), 100_000)
        got = client.get("/no", method="POST", more=[("content-type", "application/grpc"), ("te", "trailers")])
        self.assertEqual((got.status, got.get("grpc-status"), bytes(got.body)), (200, "7", b""))
        service.decide = lambda request: time.sleep(1)
        got = client.get("/late", method="POST", more=[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "50m")])
        self.assertEqual(got.get("grpc-status"), "4")
        # Streams that are given up leave nothing behind.
        streams = [client.head(client.fields("GET", f"/{number}")) for number in range(20)]
        for stream in streams:
            client.reset(stream)
        service.decide = lambda request: YES
        self.until(lambda: self.get(gateway, "/after").status == 200, "service")

    def test_by_tls_verified(self):
        certificate, key = self.leaf("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = self.upstream(over_tls(context, answer(YES)))
        app = self.upstream()
        configuration = (
            "upstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test; upstream app; route / { authorize https://localhost:$policy/ timeout=2s; } }\n"
        )
        gateway = self.gateway(configuration, app=app, policy=server, start=False)
        gateway.start(environment={"SSL_CERT_FILE": self.authority.certificate})
        self.assertEqual(self.get(gateway).status, 200)
        # Nobody vouches for it.
        gateway = self.gateway(configuration, app=app, policy=server)
        self.assert_problem(self.get(gateway), 503, "authorization-unavailable")
