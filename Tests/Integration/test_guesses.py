"""Who guesses credentials is slowed down, and nobody beside him: not who shares his address, nor whose time is over."""

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
"""
KEY = Key("ES256", "one")


class Guesses(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(KEY))
        self.edge = self.gateway(CONFIGURATION, folder=self.folder, app=self.upstream(), workers=1)

    def ask(self, host, *fields):
        with RawClient(self.edge.plain) as client:
            return client.request("GET", "/", host, fields=fields)

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
