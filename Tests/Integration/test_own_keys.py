"""A key of the gateway's own form says who somebody is on every tenant, and is nobody's business behind the gateway."""

from Support.case import Case
from Support.client import RawClient
from test_identity import key_line


class OwnKeys(Case):
    def made(self):
        run = self.command("key", "create", "acme")
        self.assertEqual(run.returncode, 0, run)
        return next(word for word in run.stdout.split() if word.startswith("gw_"))

    def setUp(self):
        super().setUp()
        self.app = self.upstream()
        self.acme, self.open, self.old, self.nobody = (self.made() for _ in range(4))
        self.edge = self.gateway(
            f"""
            upstream app {{ server 127.0.0.1:$app; }}
            defaults {{ upstream app; }}
            jwt idp {{ issuer https://id.test; audience api.test; keys file:$folder/secret; algorithms HS256; }}
            tenant acme {{ host acme.test; authenticate api_key; {key_line(self.acme)} {key_line(self.old, "expires=2020-01-01")}
                route /public/ {{ authenticate none; }} }}
            tenant open {{ host open.test; authenticate none; }}
            tenant part {{ host part.test; authenticate none; {key_line(self.open, "name=own")}
                route /private/ {{ authenticate api_key; }} }}
            tenant token {{ host token.test; authenticate jwt; jwt idp; route /public/ {{ authenticate none; }} }}
            """,
            folder=self.secret(),
            app=self.app,
        )

    def secret(self):
        with open(self.folder + "/secret", "wb") as out:
            out.write(b"s" * 64)
        return self.folder

    def ask(self, host, *fields, target="/"):
        with RawClient(self.edge.plain) as client:
            return client.request("GET", target, host, fields=fields)

    @staticmethod
    def ways(key):
        return (("X-API-Key", key),), (("Authorization", "Bearer " + key),), (("x_api_key", key),), (("Authorization", "bearer  " + key),)

    @staticmethod
    def odd_ways(key):
        values = key, f"Token {key}", f"ApiKey {key}", f"Bearer\t{key}", f"Bearer {key}, Basic eDp5", f'Token token="{key}"', f"Basic eDp5, Bearer {key}"
        return [("Authorization", value) for value in values] + [("X-API-Key", key + ","), ("X-API-Key", f'"{key}"')]

    def test_it_is_found_wherever_it_stands(self):
        for host, target in (("open.test", "/"), ("token.test", "/public/")):
            for field in self.odd_ways(self.acme):
                with self.subTest(host=host, field=field):
                    self.assert_problem(self.ask(host, field, target=target), 403, "tenant-mismatch")
            for field in self.odd_ways(self.nobody):
                with self.subTest(host=host, field=field):
                    self.assertEqual(self.ask(host, field, target=target).status, 200)
                    self.assertFalse([value for _, value in self.app.requests[-1].fields if self.nobody in value])

    def test_a_key_of_another_tenant_is_a_mismatch_everywhere(self):
        for host, target in (("open.test", "/"), ("part.test", "/"), ("part.test", "/private/"), ("token.test", "/public/")):
            for fields in self.ways(self.acme):
                with self.subTest(host=host, target=target, fields=fields):
                    self.assert_problem(self.ask(host, *fields, target=target), 403, "tenant-mismatch")
        for fields in self.ways(self.open):
            self.assert_problem(self.ask("acme.test", *fields, target="/public/"), 403, "tenant-mismatch")
        self.assertEqual(self.app.requests, [])

    def test_it_never_reaches_an_upstream(self):
        for host, target, key in (
            ("open.test", "/", self.nobody),
            ("token.test", "/public/", self.nobody),
            ("part.test", "/", self.open),
            ("part.test", "/private/", self.open),
            ("acme.test", "/", self.acme),
        ):
            for fields in self.ways(key):
                with self.subTest(host=host, target=target, fields=fields):
                    self.assertEqual(self.ask(host, *fields, target=target).status, 200)
                    seen = self.app.requests[-1]
                    self.assertFalse([value for _, value in seen.fields if key in value])

    def test_it_names_the_user_where_nobody_asks(self):
        self.assertEqual(self.ask("part.test", ("X-API-Key", self.open)).status, 200)
        self.assertEqual(self.edge.log_line(lambda line: line["tenant"] == "part")["key"], "own")

    def test_which_one_counts_is_no_matter_of_taste(self):
        for fields in (
            [("X-API-Key", "theirs"), ("X-API-Key", self.acme)],
            [("X-API-Key", self.acme), ("X_API_Key", "theirs")],
            [("Authorization", "Basic YTpi"), ("Authorization", "Bearer " + self.acme)],
        ):
            with self.subTest(fields=fields):
                self.assert_problem(self.ask("open.test", *fields), 400, "bad-request")
        self.assertEqual(self.app.requests, [])

    def test_what_only_looks_like_one_is_the_applications(self):
        typo = self.nobody[:-1] + ("a" if self.nobody[-1] != "a" else "b")
        for key in (typo, "gw_", "gw_mine", "theirs"):
            for fields in ((("X-API-Key", key),), (("Authorization", "Bearer " + key),)):
                with self.subTest(fields=fields):
                    self.assertEqual(self.ask("open.test", *fields).status, 200)
                    self.assertTrue([value for _, value in self.app.requests[-1].fields if key in value])
        fields = [("X-API-Key", "a"), ("X-API-Key", "b"), ("Authorization", "Basic x"), ("Authorization", "Basic y")]
        self.assertEqual(self.ask("open.test", *fields).status, 200)
        self.assertEqual([f for f in self.app.requests[-1].fields if f in fields], fields)
