"""Who guesses credentials is slowed down, and nobody beside him: not who shares his address, nor whose time is over."""

import concurrent.futures
import os
import time

from Support.case import Case
from Support.client import RawClient
from Support.tokens import Key, jwks, token
from test_identity import key_line

CONFIGURATION = f"""
shared_host api.test;
upstream app {{ server 127.0.0.1:$app; }}
defaults {{ upstream app; }}
jwt idp {{ issuer https://id.test; audience api.test; keys $folder/jwks.json; algorithms ES256; tenant_claim tenant; leeway 0s; }}
tenant acme   {{ host acme.test;   authenticate api_key jwt; jwt idp; {key_line("old", "expires=2020-01-01")} {key_line("good")} }}
tenant globex {{ host globex.test; authenticate api_key; {key_line("globex")} }}
tenant jot    {{ host jot.test;    authenticate jwt; jwt idp; }}
tenant open   {{ host open.test;   authenticate api_key; {key_line("open")} route /open {{ authenticate none; }} }}
"""
KEY = Key("ES256", "one")


class Guesses(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(KEY))
        self.edge = self.gateway(CONFIGURATION, folder=self.folder, app=self.upstream(), workers=1)

    def ask(self, host, *fields, path="/"):
        with RawClient(self.edge.plain) as client:
            return client.request("GET", path, host, fields=fields)

    def guess_until_damped(self):
        statuses = [self.ask("acme.test", ("X-API-Key", f"guess-{number}")).status for number in range(12)]
        self.assertEqual(statuses[:10], [401] * 10)
        self.assertIn(429, statuses)

    def test_users_of_other_tenants_behind_the_same_address_are_told_what_is_wrong(self):
        self.guess_until_damped()
        for host in ("globex.test", "api.test"):
            began = time.monotonic()
            self.assert_problem(self.ask(host, ("X-API-Key", "mistyped")), 401, "credentials-invalid")
            self.assertLess(time.monotonic() - began, 0.9)

    def test_good_credentials_are_never_damped(self):
        self.guess_until_damped()
        for _ in range(20):
            began = time.monotonic()
            self.assertEqual(self.ask("acme.test", ("X-API-Key", "good")).status, 200)
            self.assertEqual(self.ask("acme.test", ("Authorization", "Bearer " + token(KEY))).status, 200)
            self.assertLess(time.monotonic() - began, 0.9)

    def test_what_is_well_signed_is_no_guess(self):
        now = int(time.time())
        for more in (
            {"exp": now - 600},
            {"nbf": now + 600},
            {"aud": "elsewhere"},
            {"tenant": "nobody"},
            {"exp": "soon"},
        ):
            for host in ("acme.test", "api.test"):
                with self.subTest(more=more, host=host):
                    made = token(KEY, **more)
                    statuses = [self.ask(host, ("Authorization", "Bearer " + made)).status for _ in range(30)]
                    self.assertEqual(set(statuses), {401})

    def test_an_expired_key_is_no_guess(self):
        for host in ("acme.test", "api.test"):
            statuses = [self.ask(host, ("X-API-Key", "old")).status for _ in range(30)]
            self.assertEqual(set(statuses), {401})

    def test_a_token_that_nobody_signed_is_a_guess(self):
        stranger = Key("ES256", "one")
        statuses = [self.ask("acme.test", ("Authorization", "Bearer " + token(stranger))).status for _ in range(12)]
        self.assertIn(429, statuses)

    def test_the_operator_is_told_who_guesses(self):
        self.guess_until_damped()
        self.until(lambda: "client 127.0.0.1 on" in self.edge.stderr, "a line in the log")
        self.assertRegex(self.edge.stderr, "client 127.0.0.1 on .*: too many credentials that are not valid: held up, and answered 429")

    def test_users_of_a_shared_host_are_not_one_tenants(self):
        for number in range(60):
            self.assertEqual(self.ask("api.test", ("X-API-Key", f"guess-{number}")).status, 401)

    def test_keys_are_not_told_apart_where_nobody_asks_for_them(self):
        """What an application's own keys are there is its own matter; whose they are elsewhere is nobody's to find out."""
        token_of = ("Authorization", "Bearer " + token(KEY, tenant="jot"))
        self.assert_problem(self.ask("jot.test", token_of, ("X-API-Key", "globex")), 403, "tenant-mismatch")
        for number in range(150):
            self.assertEqual(self.ask("jot.test", token_of, ("X-API-Key", f"guess-{number}")).status, 200)
        self.assertEqual(self.ask("jot.test", token_of, ("X-API-Key", "globex")).status, 200)

    def test_guesses_on_an_open_route_are_slow_and_answered(self):
        for number in range(10):
            self.assertEqual(self.ask("open.test", ("X-API-Key", f"guess-{number}"), path="/open").status, 200)
        began = time.monotonic()
        self.assertEqual(self.ask("open.test", ("X-API-Key", "one-more"), path="/open").status, 200)
        self.assertGreater(time.monotonic() - began, 0.9)
        began = time.monotonic()
        self.assertEqual(self.ask("open.test", ("X-API-Key", "open"), path="/open").status, 200)
        self.assertEqual(self.ask("open.test", path="/open").status, 200)
        self.assertLess(time.monotonic() - began, 0.9)

    def test_credentials_that_stand_twice_are_the_hosts_tenants(self):
        response = self.ask("acme.test", ("X-API-Key", "one"), ("X-API-Key", "two"))
        self.assert_problem(response, 400, "bad-request")
        self.assertEqual(self.edge.log_line(lambda line: line["status"] == 400)["tenant"], "acme")


class Loops(Case):
    """All loops of a gateway count together."""

    def test_no_more_may_guess_with_more_workers(self):
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(KEY))
        edge = self.gateway(CONFIGURATION, folder=self.folder, app=self.upstream(), workers=4)

        def guess(number):
            with RawClient(edge.plain) as client:
                return client.request("GET", "/", "acme.test", [("X-API-Key", f"guess-{number}")]).status

        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            statuses = list(pool.map(guess, range(40)))
        self.assertLessEqual(statuses.count(401), 11)
        self.assertEqual(statuses.count(401) + statuses.count(429), 40)


class Signatures(Case):
    """What one token costs is bounded, whoever's keys it is tried with."""

    def test_a_token_without_a_name_is_tried_with_some_keys(self):
        keys = [Key("ES512", None) for _ in range(40)]
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(*keys))
        edge = self.gateway(CONFIGURATION.replace("ES256", "ES512"), folder=self.folder, app=self.upstream(), workers=1)
        self.assertIn("no `kid` tells 40 of its keys apart, and a token is tried with 16", edge.stderr)

        def ask(key):
            with RawClient(edge.plain) as client:
                return client.request("GET", "/", "acme.test", [("Authorization", "Bearer " + token(key))]).status

        self.assertEqual([ask(key) for key in (keys[0], keys[15], keys[16])], [200, 200, 401])
        before = edge.cpu
        for _ in range(5):
            ask(Key("ES512", None))
        self.assert_bar(edge.cpu - before, 5 * 0.06)
