"""`gateway recipes`: each is a whole configuration, and does what it says."""

import hashlib
import os
import re
import shutil

from Support.case import Case
from Support.client import RawClient
from Support.gateway import command
from Support.ports import free_port
from Support.upstream import answer, text


def recipe(name):
    done = command("recipes", name)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Recipes(Case):
    def edge(self, name, hosts=(), edit=lambda text: text):
        """A gateway that goes by the recipe, on free ports; its upstreams answer with the names of theirs."""
        configuration = recipe(name)
        values = {"plain_port": free_port(), "tls_port": free_port()}
        self.served = values
        for port, upstream in (("9101", "first"), ("9102", "second")):
            if port in configuration:
                values[upstream] = self.upstream(answer(text(upstream)))
                configuration = configuration.replace("127.0.0.1:" + port, f"127.0.0.1:${upstream}")
        configuration = re.sub(r"listen (80|8080)\b", "listen 127.0.0.1:$plain_port", configuration)
        configuration = configuration.replace("listen 443", "listen 127.0.0.1:$tls_port")
        if "Certs/" in configuration:
            os.mkdir(os.path.join(self.folder, "Certs"))
            for file, end in zip(self.leaf(*hosts), ("crt", "key")):
                shutil.copy(file, os.path.join(self.folder, "Certs", "gateway." + end))
            configuration = configuration.replace("Certs/", f"{self.folder}/Certs/")
        folder = f"state {self.folder}/state;\nadmin 127.0.0.1:$admin;\ntrusted_proxies 127.0.0.1;\n"
        gateway = self.gateway(folder + edit(configuration), preamble=False, **values)
        self.port, self.tls = gateway.values["plain_port"], gateway.values["tls_port"]
        return gateway

    def ask(self, host, target="/", method="GET", fields=(), port=None, **options):
        with RawClient(port or self.port, **options) as client:
            return client.request(method, target, host, fields=fields)

    def test_all_are_valid_as_they_are_printed(self):
        names = [line.split()[0] for line in command("recipes").stdout.splitlines()]
        self.assertGreaterEqual(len(names), 8)
        os.mkdir(os.path.join(self.folder, "Certs"))
        for file, end in zip(self.leaf("acme.example.com", "api.example.com"), ("crt", "key")):
            shutil.copy(file, os.path.join(self.folder, "Certs", "gateway." + end))
        for name in names:
            with self.subTest(name=name):
                done = self.checked(recipe(name))
                self.assertEqual((done.returncode, "warning" in done.stdout + done.stderr), (0, False), done.stdout + done.stderr)
        done = command("recipes", "canery")
        self.assertEqual(done.returncode, 1)
        self.assertIn("did you mean `canary`?", done.stderr)

    def test_https(self):
        self.edge("https", ["acme.example.com"])
        response = self.ask("acme.example.com", "/a?b=c")
        self.assertEqual((response.status, response["location"]), (308, "https://acme.example.com/a?b=c"))
        response = self.ask("acme.example.com", port=self.tls, tls=self.authority.context(), sni="acme.example.com")
        self.assertEqual((response.status, response.body), (200, b"first"))

    def test_www(self):
        self.edge("www")
        for target in ("/a/b?c=d", "/a"):
            response = self.ask("www.example.com", target)
            self.assertEqual((response.status, response["location"]), (308, "https://example.com" + target))
        self.assertEqual(self.ask("example.com").body, b"first")

    def test_strip_prefix(self):
        gateway = self.edge("strip-prefix")
        del gateway
        self.assertEqual(self.ask("acme.example.com", "/shops").body, b"first")
        for target in ("/shop/cart?x=1", "/shop"):
            self.assertEqual(self.ask("acme.example.com", target).body, b"second")

    def test_canary(self):
        gateway = self.edge("canary")
        self.assertEqual(self.ask("acme.example.com", fields=[("X-Canary", "yes")]).body, b"second")

        def sides():
            return [
                self.ask("acme.example.com", fields=[("X-Forwarded-For", f"198.51.100.{number}")]).body for number in range(1, 200)
            ]

        before = sides()
        self.assertIn(before.count(b"second"), range(1, 30))
        self.assertEqual(before, sides())
        with open(gateway.file) as file:
            text = file.read()
        with open(gateway.file, "w") as file:
            file.write(text.replace("split canary 5% by=client;", ""))
        gateway.reload()
        self.assertEqual(set(sides()), {b"first"})

    def test_block(self):
        self.edge("block")
        for address, status in (("198.51.100.7", 200), ("2001:db8:7::1", 200), ("198.51.101.7", 403), ("2001:db8:8::1", 403)):
            with self.subTest(address=address):
                fields = [("X-Forwarded-For", address)]
                self.assertEqual(self.ask("acme.example.com", "/admin/x", fields=fields).status, status)
                self.assertEqual(self.ask("acme.example.com", "/x", fields=fields).status, 200)

    def test_maintenance(self):
        self.edge("maintenance")
        response = self.ask("acme.example.com", "/any")
        self.assertEqual((response.status, response.body), (503, b"We are back at 18:00 UTC.\n"))
        self.assertEqual((response["content-type"], response["retry-after"]), ("text/plain", "3600"))

    def test_cors(self):
        self.edge("cors", ["api.example.com"])
        own = dict(port=self.tls, tls=self.authority.context(), sni="api.example.com")
        origin = ("Origin", "https://app.example.com")
        preflight = [origin, ("Access-Control-Request-Method", "DELETE"), ("Access-Control-Request-Headers", "authorization")]
        response = self.ask("api.example.com", method="OPTIONS", fields=preflight, **own)
        self.assertEqual(response.status, 204)
        self.assertEqual(response["access-control-allow-origin"], origin[1])
        self.assertEqual(response["access-control-allow-credentials"], "true")
        response = self.ask("api.example.com", fields=[origin], **own)
        self.assertEqual((response.body, response["access-control-allow-origin"]), (b"first", origin[1]))
        self.assertEqual(response["access-control-expose-headers"], "X-Request-Id")
        response = self.ask("api.example.com", fields=[("Origin", "https://evil.example")], **own)
        self.assertIsNone(response["access-control-allow-origin"])

    def test_policy(self):
        def decide(request):
            if request["authorization"] == "Bearer jane":
                return text("", fields=["X-User: jane"])
            return text("who are you?", "401 Unauthorized", ["WWW-Authenticate: Bearer"])

        service = self.upstream(answer(decide))
        gateway = self.edge("policy", edit=lambda text: text.replace("127.0.0.1:$second", f"127.0.0.1:{service.port}"))
        self.assertEqual(self.ask("acme.example.com", "/healthz").body, b"ok\n")
        response = self.ask("acme.example.com", "/a", fields=[("X-User", "jane")])
        self.assertEqual((response.status, response.body, response["www-authenticate"]), (401, b"who are you?", "Bearer"))
        for _ in range(3):
            response = self.ask("acme.example.com", "/a?b", "POST", [("Authorization", "Bearer jane"), ("X-User", "root")])
            self.assertEqual((response.status, response.body), (200, b"first"))
        self.assertEqual(gateway.metrics().sum("gateway_authorization_calls_total", result="answered"), len(service.requests))
        self.assertEqual((service.requests[-1]["x-original-method"], service.requests[-1]["x-original-uri"]), ("POST", "/a?b"))

    def test_mirror(self):
        self.edge("mirror", edit=lambda text: text.replace("staging 10%", "staging 100%"))
        self.assertEqual(self.ask("acme.example.com", "/a").body, b"first")
        self.assertEqual(self.served["second"].next_request()["x-mirror"], "1")

    def test_read_only_keys(self):
        keys = {digit: f"a-key-of-somebody-{digit}" for digit in "12"}

        def edit(text):
            for digit, key in keys.items():
                text = text.replace(digit * 64, hashlib.sha256(key.encode()).hexdigest())
            return text

        self.edge("read-only-keys", edit=edit)
        for digit, method, status in (("1", "GET", 200), ("1", "HEAD", 200), ("1", "POST", 403), ("2", "GET", 200), ("2", "POST", 200)):
            with self.subTest(digit=digit, method=method):
                self.assertEqual(self.ask("acme.example.com", method=method, fields=[("X-API-Key", keys[digit])]).status, status)
        self.assertEqual(self.ask("acme.example.com").status, 401)
