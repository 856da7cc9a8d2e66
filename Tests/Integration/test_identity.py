"""A tenant is who its credentials say: API keys, shared hosts, and all identities naming the same tenant."""

import hashlib
import json
import time

from Support.case import Case
from Support.client import RawClient


def key_line(key, *options):
    return "key sha256:" + hashlib.sha256(key.encode()).hexdigest() + " " + " ".join(options) + ";"


ACME = "acme-key-0001"
ACME2 = "acme-key-0002"
GLOBEX = "globex-key-1"
EXPIRED = "acme-key-old"

CONFIGURATION = f"""
shared_host api.test;
upstream app {{ server 127.0.0.1:$app; }}
defaults {{ upstream app; }}
tenant acme {{
    host acme.test *.acme.test;
    authenticate api_key;
    {key_line(ACME, "name=ci")}
    {key_line(ACME2, "name=next", "expires=2099-01-01")}
    {key_line(EXPIRED, "name=old", "expires=2020-01-01")}
    route /public/ {{ authenticate none; }}
}}
tenant globex {{ host globex.test; authenticate api_key; {key_line(GLOBEX, "name=g")} }}
tenant open   {{ host open.test; authenticate none; }}
tenant part   {{ host part.test; authenticate none; {key_line("part-key")} route /private/ {{ authenticate api_key; }} }}
tenant quiet  {{ authenticate api_key; {key_line("quiet-key")} }}
tenant gone   {{ host gone.test; suspended on; authenticate api_key; {key_line("gone-key")} }}
"""


class Identities(Case):
    def setUp(self):
        super().setUp()
        self.app = self.upstream()
        self.edge = self.gateway(CONFIGURATION, app=self.app, workers=1)

    def ask(self, host, *fields, target="/", **options):
        with RawClient(self.edge.plain) as client:
            return client.request("GET", target, host, fields=fields, **options)

    def tenant_of(self, host, *fields, target="/"):
        before = len(self.app.requests)
        response = self.ask(host, *fields, target=target)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(len(self.app.requests), before + 1)
        return self.app.requests[-1]["x-tenant-id"]

    def refused(self, status, kind, host, *fields, target="/"):
        before = len(self.app.requests)
        response = self.ask(host, *fields, target=target)
        problem = self.assert_problem(response, status, kind)
        self.assertEqual(len(self.app.requests), before, "a refused request reached the upstream")
        for name in ("acme", "globex", "quiet"):
            if not host.startswith(name):
                self.assertNotIn(name, json.dumps(problem))
        if status == 401:
            self.assertIn(f'Bearer realm="{host}"', response["www-authenticate"])
            self.assertEqual('error="invalid_token"' in response["www-authenticate"], kind == "credentials-invalid")
        return response

    def test_a_key_opens_its_tenants_host(self):
        self.assertEqual(self.tenant_of("acme.test", ("X-API-Key", ACME)), "acme")
        self.assertEqual(self.tenant_of("a.b.acme.test", ("x-api-key", ACME2)), "acme")
        self.assertEqual(self.tenant_of("globex.test", ("X-API-Key", GLOBEX)), "globex")

    def test_the_key_never_arrives_and_is_never_logged(self):
        self.tenant_of("acme.test", ("X-API-Key", ACME), ("Authorization", "Basic YTpi"))
        seen = self.app.requests[-1]
        self.assertIsNone(seen["x-api-key"])
        self.assertEqual(seen["authorization"], "Basic YTpi")
        self.refused(401, "credentials-invalid", "acme.test", ("X-API-Key", "wrong-secret-key"))
        lines = self.until(lambda: self.edge.log_lines()[1:] and self.edge.log_lines(), "two lines of access log")
        self.assertEqual([line["key"] for line in lines], ["ci", None])
        self.assertEqual([line["tenant"] for line in lines], ["acme", "acme"])
        text = open(self.edge.folder + "/access.log").read() + self.edge.stderr + self.edge.stdout
        for secret in (ACME, "wrong-secret-key"):
            self.assertNotIn(secret, text)

    def test_without_a_key(self):
        self.refused(401, "credentials-required", "acme.test")
        self.refused(401, "credentials-required", "acme.test", ("Authorization", "Basic YTpi"))

    def test_a_wrong_key(self):
        for key in ("nope", "", " ", ACME + "x", ACME[:-1], ACME.upper(), "gw_" + "0" * 33, "k" * 600):
            with self.subTest(key=key):
                self.refused(401, "credentials-invalid", "acme.test", ("X-API-Key", key))

    def test_an_expired_key(self):
        self.refused(401, "credentials-invalid", "acme.test", ("X-API-Key", EXPIRED))

    def test_a_key_of_another_tenant(self):
        self.refused(403, "tenant-mismatch", "acme.test", ("X-API-Key", GLOBEX))
        self.refused(403, "tenant-mismatch", "globex.test", ("X-API-Key", ACME))
        self.refused(403, "tenant-mismatch", "acme.test", ("X-API-Key", GLOBEX), target="/public/x")

    def test_two_keys(self):
        self.refused(400, "bad-request", "acme.test", ("X-API-Key", ACME), ("X-API-Key", ACME))
        self.refused(400, "bad-request", "acme.test", ("X-API-Key", ACME), ("X_API_Key", GLOBEX))
        self.assertEqual(self.tenant_of("acme.test", ("X_API_Key", ACME)), "acme")
        self.assertIsNone(self.app.requests[-1]["x_api_key"])

    def test_a_route_without_authentication(self):
        self.assertEqual(self.tenant_of("acme.test", target="/public/a"), "acme")
        self.assertEqual(self.tenant_of("acme.test", ("X-API-Key", "stale"), target="/public/a"), "acme")
        self.assertIsNone(self.app.requests[-1]["x-api-key"])
        self.refused(401, "credentials-required", "acme.test", target="/publicx")
        self.refused(401, "credentials-required", "acme.test", target="/public/../private")
        self.refused(401, "credentials-required", "acme.test", target="/public/%2e%2e/private")

    def test_a_path_that_can_be_read_two_ways_does_not_choose_between_rules(self):
        # Readers who know path parameters cut a segment at its semicolon; others take more for a slash than a slash.
        for target in (
            "/private;x/a", "/private;/a", "/private;", "/;x/private/a", "/;/private", "/private%3bx/a", "/%3b/private/a",
            "/private%2fa", "/private%2Fa", "/%2fprivate/a", "/private%5ca", "/private\\a", "/\\private", "/./private;x",
            "/%70rivate;x/a", "//private;x/a", "/x/../private;y/a",
        ):  # fmt: skip
            with self.subTest(target):
                self.refused(400, "bad-request", "part.test", target=target)
        for target in (
            "/public;x/a", "/public%2fa", "/;/public/a", "/public\\a", "/public/;/../secret", "/public/%3b/../secret",
            "/public/;x=y/../../secret", "/public/..;/secret", "/public/%2e%2e;/secret", "/public/..%3b/secret",
            "/public/..%2fsecret", "/public/..%5csecret", "/public//../secret", "/public/x%2f..%2f../secret",
        ):  # fmt: skip
            with self.subTest(target):
                self.refused(400, "bad-request", "acme.test", target=target)
        for target in ("/a;x/b", "/a%2fb", "/a/private;x", "/a\\b", "/a/;/private", "/private-not;x"):
            with self.subTest(target):
                self.assertEqual(self.tenant_of("part.test", target=target), "part")
        for target in ("/public/a;x=1/b", "/public/a%2fb", "/public/;/a"):
            with self.subTest(target):
                self.assertEqual(self.tenant_of("acme.test", target=target), "acme")

    def test_a_route_with_authentication(self):
        self.assertEqual(self.tenant_of("part.test"), "part")
        self.refused(401, "credentials-required", "part.test", target="/private/a")
        self.assertEqual(self.tenant_of("part.test", ("X-API-Key", "part-key"), target="/private/a"), "part")

    def test_where_nobody_authenticates_credentials_are_the_applications(self):
        self.assertEqual(self.tenant_of("open.test", ("X-API-Key", GLOBEX), ("Authorization", "Bearer gw_x")), "open")
        self.assertEqual(self.app.requests[-1]["x-api-key"], GLOBEX)
        self.assertEqual(self.app.requests[-1]["authorization"], "Bearer gw_x")

    def test_a_shared_host(self):
        self.assertEqual(self.tenant_of("api.test", ("X-API-Key", ACME)), "acme")
        self.assertEqual(self.tenant_of("API.test.:80", ("X-API-Key", "quiet-key")), "quiet")
        self.assertEqual(self.tenant_of("api.test", ("X-API-Key", "part-key")), "part")
        self.refused(401, "credentials-required", "api.test")
        self.refused(401, "credentials-required", "api.test", target="/public/a")
        self.refused(401, "credentials-invalid", "api.test", ("X-API-Key", "nobody's"))

    def test_keep_alive_does_not_carry_an_identity_over(self):
        with RawClient(self.edge.plain) as client:
            for key, tenant in ((ACME, "acme"), (GLOBEX, "globex"), (ACME, "acme")):
                self.assertEqual(client.request("GET", "/", "api.test", fields=[("X-API-Key", key)]).status, 200)
                self.assertEqual(self.app.requests[-1]["x-tenant-id"], tenant)
            self.assertEqual(client.request("GET", "/", "api.test").status, 401)
            self.assertEqual(client.request("GET", "/", "acme.test", fields=[("X-API-Key", GLOBEX)]).status, 403)

    def test_pipelined_requests_are_judged_one_by_one(self):
        with RawClient(self.edge.plain) as client:
            one = "GET / HTTP/1.1\r\nHost: api.test\r\n{}\r\n"
            client.send(
                one.format(f"X-API-Key: {ACME}\r\n") + one.format("") + one.format(f"X-API-Key: {GLOBEX}\r\n")
            )
            self.assertEqual([client.read_response().status for _ in range(3)], [200, 401, 200])
        self.assertEqual([request["x-tenant-id"] for request in self.app.requests], ["acme", "globex"])

    def test_spoofed_identity_fields(self):
        self.tenant_of("api.test", ("X-API-Key", ACME), ("X-Tenant-Id", "globex"), ("X_Tenant_Id", "globex"))
        self.assertEqual(self.app.requests[-1].fields.all("x-tenant-id"), ["acme"])
        self.assertIsNone(self.app.requests[-1]["x_tenant_id"])
        self.refused(401, "credentials-required", "api.test", ("X-Forwarded-Host", "acme.test"), ("X-Tenant-Id", "acme"))

    def test_a_suspended_tenant(self):
        self.refused(403, "tenant-suspended", "gone.test", ("X-API-Key", "gone-key"))

    def test_a_body_behind_a_refusal_is_not_a_request(self):
        with RawClient(self.edge.plain) as client:
            response = client.request("POST", "/", "acme.test", body=b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n")
            self.assert_problem(response, 401, "credentials-required", closes=True)
            self.assert_closed(client)
        self.assertEqual(self.app.requests, [])

    def test_made_keys(self):
        run = self.command("key", "create", "acme", "--name", "laptop", "--expires", "2099-01-01")
        self.assertEqual(run.returncode, 0, run)
        words = run.stdout.split()
        key = next(word for word in words if word.startswith("gw_"))
        self.assertEqual(len(key), 36)
        line = next(line for line in run.stdout.splitlines() if line.startswith("key sha256:"))
        self.assertEqual(line, "key sha256:" + hashlib.sha256(key.encode()).hexdigest() + " name=laptop expires=2099-01-01;")
        self.edge.write(CONFIGURATION.replace("tenant quiet  {", "tenant quiet { " + line))
        self.edge.reload()
        self.assertEqual(self.tenant_of("api.test", ("X-API-Key", key)), "quiet")
        self.assertEqual(self.tenant_of("api.test", ("Authorization", "Bearer " + key)), "quiet")
        self.assertIsNone(self.app.requests[-1]["authorization"])
        self.assertEqual(self.tenant_of("api.test", ("Authorization", "bearer   " + key), ("X-API-Key", "quiet-key")), "quiet")
        self.refused(403, "tenant-mismatch", "api.test", ("Authorization", "Bearer " + key), ("X-API-Key", ACME))
        self.refused(403, "tenant-mismatch", "acme.test", ("Authorization", "Bearer " + key))
        typo = key[:-1] + ("a" if key[-1] != "a" else "b")
        self.refused(401, "credentials-invalid", "api.test", ("Authorization", "Bearer " + typo))

    def test_rotation_of_keys_by_reload(self):
        self.edge.write(CONFIGURATION.replace(key_line(ACME, "name=ci"), ""))
        self.edge.reload()
        self.refused(401, "credentials-invalid", "acme.test", ("X-API-Key", ACME))
        self.assertEqual(self.tenant_of("acme.test", ("X-API-Key", ACME2)), "acme")

    def test_guessing_is_slowed_down_and_good_keys_are_not(self):
        statuses, slow = [], 0
        with RawClient(self.edge.plain) as good:
            for guess in range(14):
                before = time.monotonic()
                response = self.ask("acme.test", ("X-API-Key", f"guess-{guess}"))
                statuses.append(response.status)
                slow += time.monotonic() - before > 0.9
                if response.status == 429:
                    self.assert_problem(response, 429, "rate-limited", closes=True)
                began = time.monotonic()
                self.assertEqual(good.request("GET", "/", "acme.test", fields=[("X-API-Key", ACME)]).status, 200)
                self.assertLess(time.monotonic() - began, 0.5)
        self.assertEqual(set(statuses[:10]), {401})
        self.assertIn(429, statuses)
        self.assertEqual(slow, statuses.count(429))

