"""Which key of a set verifies a token: by its `kid`, and every one that may where no `kid` decides."""

import os

from Support.case import Case
from Support.client import RawClient
from Support.tokens import Key, jwks, token

CONFIGURATION = """
upstream app { server 127.0.0.1:$app; }
jwt idp { issuer https://id.test; audience api.test; keys $folder/jwks.json; algorithms $algorithms; tenant_claim tenant; }
tenant acme { host acme.test; authenticate jwt; jwt idp; upstream app; }
"""


class KeySets(Case):
    def edge(self, *keys, algorithms="ES256 EdDSA"):
        folder = os.path.join(self.folder, str(len(os.listdir(self.folder))))
        os.mkdir(folder)
        with open(os.path.join(folder, "jwks.json"), "w") as out:
            out.write(jwks(*keys))
        return self.gateway(
            CONFIGURATION, folder=folder, app=self.upstream(), algorithms=algorithms, workers=1
        )

    def ask(self, edge, text):
        with RawClient(edge.plain) as client:
            return client.request("GET", "/", "acme.test", fields=[("Authorization", "Bearer " + text)])

    def test_every_key_is_tried_where_no_kid_decides(self):
        named = [Key("ES256", f"key-{number}") for number in range(12)]
        nameless = [Key("ES256") for _ in range(12)]
        edge = self.edge(*named)
        for key in named:
            self.assertEqual(self.ask(edge, token(key, header={"kid": None})).status, 200)
        edge = self.edge(*nameless)
        for key in nameless:
            self.assertEqual(self.ask(edge, token(key)).status, 200)
            self.assertEqual(self.ask(edge, token(key, header={"kid": "any"})).status, 200)
        edge = self.edge(*(Key("EdDSA") for _ in range(255)), nameless[0])
        self.assertEqual(self.ask(edge, token(nameless[0])).status, 200)

    def test_keys_of_one_kid_are_all_tried(self):
        keys = [Key("ES256", "same") for _ in range(8)]
        edge = self.edge(*keys)
        for key in keys:
            self.assertEqual(self.ask(edge, token(key)).status, 200)

    def test_a_sole_key_without_kid_serves_a_token_with_one(self):
        key, stranger = Key("EdDSA"), Key("EdDSA")
        edge = self.edge(key)
        for kid in ("a", "b", None):
            self.assertEqual(self.ask(edge, token(key, header={"kid": kid})).status, 200)
        self.assert_problem(self.ask(edge, token(stranger, header={"kid": "a"})), 401, "credentials-invalid")
        self.assert_problem(self.ask(edge, token(stranger)), 401, "credentials-invalid")

    def test_a_kid_decides_where_the_set_has_some(self):
        named, nameless = Key("ES256", "one"), Key("ES256")
        edge = self.edge(named, nameless)
        self.assertEqual(self.ask(edge, token(named)).status, 200)
        self.assertEqual(self.ask(edge, token(nameless)).status, 200)
        for key in (named, nameless):
            self.assert_problem(self.ask(edge, token(key, header={"kid": "two"})), 401, "credentials-invalid")
        self.assert_problem(self.ask(edge, token(nameless, header={"kid": "one"})), 401, "credentials-invalid")

    def test_ed25519_under_either_name(self):
        key = Key("EdDSA", "key")
        for algorithms in ("EdDSA", "Ed25519", "EdDSA Ed25519"):
            for alg in ("EdDSA", "Ed25519", None):
                edge = self.edge(key.jwk(alg=alg), algorithms=algorithms)
                for name in ("EdDSA", "Ed25519"):
                    with self.subTest(algorithms=algorithms, alg=alg, name=name):
                        self.assertEqual(self.ask(edge, token(key, header={"alg": name})).status, 200)
                for name in ("Ed448", "ed25519", "eddsa"):
                    self.assertEqual(self.ask(edge, token(key, header={"alg": name})).status, 401)
                edge.stop()
