"""Tokens: RFC 7519 and RFC 8725 to the letter, and the attacks of the literature."""

import base64
import contextlib
import http.server
import json
import os
import re
import ssl
import subprocess
import threading
import time

from Support import tokens
from Support.case import Case
from Support.client import RawClient
from Support.tokens import Key, Secret, b64, claims, jwks, token

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEYS = {algorithm: Key(algorithm, "key-" + algorithm) for algorithm in ALGORITHMS}
STRANGER = Key("RS256", "key-RS256")

CONFIGURATION = """
trusted_proxies 127.0.0.0/8;
shared_host api.test;
upstream app { server 127.0.0.1:$app; }
defaults { upstream app; }
jwt idp {
    issuer https://id.test;
    audience api.test other.test;
    keys $folder/jwks.json;
    algorithms RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA;
    tenant_claim tenant;
    claim_header sub X-User-Id;
    claim_header roles X-Roles;
    claim_header org.team X-Team;
    leeway 2s;
}
jwt rsa-only { issuer https://rsa.test; audience api.test; keys $folder/jwks.json; algorithms RS256; tenant_claim org.tenant; }
jwt hmac { issuer https://hmac.test; audience api.test; keys file:$folder/secret; algorithms HS256 HS384 HS512; }
tenant acme   { host acme.test;   authenticate jwt; jwt idp rsa-only; route /public/ { authenticate none; } }
tenant globex { host globex.test; authenticate jwt; jwt idp; }
tenant other  { host other.test;  authenticate jwt; jwt hmac; }
tenant both   { host both.test;   authenticate api_key jwt; jwt idp;
                key sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 name=k; }
tenant keys   { host keys.test;   authenticate api_key;
                key sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 name=k; }
"""
SECRET = b"s" * 64


class Tokens(Case):
    seconds = 90

    def setUp(self):
        super().setUp()
        self.app = self.upstream()
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(*KEYS.values(), {"kty": "unknown"}, {"kty": "oct", "k": "AAAA", "kid": "oct"}))
        with open(os.path.join(self.folder, "secret"), "wb") as out:
            out.write(SECRET)
        self.edge = self.gateway(CONFIGURATION, folder=self.folder, app=self.app, workers=1)
        self.address = 0

    def ask(self, text, host="acme.test", target="/", *fields):
        # Each from an address of its own, as far as the damping of guesses goes.
        self.address += 1
        fields = (("X-Forwarded-For", f"192.0.2.{self.address % 250}"), *fields)
        if text is not None:
            fields = (("Authorization", "Bearer " + text), *fields)
        with RawClient(self.edge.plain) as client:
            return client.request("GET", target, host, fields=fields)

    def accepted(self, text, host="acme.test", tenant="acme", target="/", fields=()):
        response = self.ask(text, host, target, *fields)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.app.requests[-1]["x-tenant-id"], tenant)
        return self.app.requests[-1]

    def refused(self, text, host="acme.test", status=401, kind="credentials-invalid", target="/", fields=()):
        before = len(self.app.requests)
        response = self.ask(text, host, target, *fields)
        self.assert_problem(response, status, kind)
        self.assertEqual(len(self.app.requests), before)
        return response

    def test_every_algorithm(self):
        for algorithm, key in KEYS.items():
            for again in range(2):
                with self.subTest(algorithm=algorithm, again=again):
                    made = token(key)
                    self.assertEqual(self.accepted(made)["authorization"], "Bearer " + made)
        for algorithm in ("HS256", "HS384", "HS512"):
            self.accepted(token(Secret(SECRET, algorithm), iss="https://hmac.test", tenant=None), "other.test", "other")

    def test_the_same_token_again_and_again(self):
        made = token(KEYS["ES256"])
        with RawClient(self.edge.plain) as client:
            for _ in range(50):
                response = client.request("GET", "/", "api.test", fields=[("Authorization", "Bearer " + made)])
                self.assertEqual(response.status, 200)
                self.assertEqual(self.app.requests[-1]["x-user-id"], "user-1")

    def test_without_a_token(self):
        response = self.refused(None, kind="credentials-required")
        self.assertEqual(response["www-authenticate"], 'Bearer realm="acme.test"')
        response = self.refused("abc")
        self.assertEqual(response["www-authenticate"], 'Bearer realm="acme.test", error="invalid_token"')
        self.refused("a.b")
        self.refused("a.b.c.d")
        self.refused("..")

    def test_a_token_of_another_tenant(self):
        self.refused(token(KEYS["ES256"], tenant="globex"), status=403, kind="tenant-mismatch")
        self.refused(token(KEYS["ES256"]), "globex.test", status=403, kind="tenant-mismatch")
        self.refused(token(KEYS["ES256"], tenant="globex"), status=403, kind="tenant-mismatch", target="/public/")
        self.refused(token(KEYS["ES256"], tenant="other"))
        self.refused(token(KEYS["ES256"], tenant="nobody"))
        self.refused(token(KEYS["ES256"], tenant=None))
        self.refused(token(KEYS["ES256"], tenant=["acme"]))
        self.refused(token(KEYS["ES256"], tenant="ACME"))

    def test_a_shared_host(self):
        self.accepted(token(KEYS["ES256"]), "api.test", "acme")
        self.accepted(token(KEYS["ES256"], tenant="globex"), "api.test", "globex")
        self.refused(token(KEYS["ES256"], tenant="nobody"), "api.test")
        self.refused(None, "api.test", kind="credentials-required")

    def test_a_nested_tenant_claim(self):
        self.accepted(token(KEYS["RS256"], iss="https://rsa.test", tenant=None, org={"tenant": "acme"}))
        self.refused(token(KEYS["RS256"], iss="https://rsa.test", tenant="acme"))
        # globex does not name this issuer.
        self.refused(token(KEYS["RS256"], iss="https://rsa.test", tenant=None, org={"tenant": "globex"}), "globex.test")

    def test_algorithm_confusion(self):
        for name, key in KEYS.items():
            jwk = json.dumps(key.jwk()).encode()
            for secret in (jwk, b64(jwk).encode(), key.jwk().get("n", key.jwk().get("x")).encode(), b"", pem(key)):
                for algorithm in ("HS256", "HS512"):
                    self.refused(token(Secret(secret, algorithm), header={"kid": key.kid}))
        # A key for one algorithm, used for another one that is allowed.
        for key, algorithm in (("RS256", "PS256"), ("PS256", "RS256"), ("RS256", "RS512"), ("ES256", "RS256"), ("RS256", "ES256")):
            header = {"alg": algorithm, "kid": KEYS[key].kid}
            signed = b64(json.dumps({"typ": "JWT", **header})) + "." + b64(json.dumps(claims()))
            signature = KEYS[key].sign(signed.encode(), algorithm if key[:2] in ("RS", "PS") and algorithm[:2] in ("RS", "PS") else None)
            self.refused(signed + "." + b64(signature))
        # Allowed elsewhere, not for this issuer.
        self.refused(token(KEYS["ES256"], iss="https://rsa.test", tenant=None, org={"tenant": "acme"}))

    def test_none_in_every_spelling(self):
        for name in ("none", "None", "NONE", "nOnE", "none ", "", "null", "HS256\u0000", "rs256", "RS256 ", "RS1"):
            head = b64(json.dumps({"alg": name, "typ": "JWT", "kid": "key-RS256"}))
            body = b64(json.dumps(claims()))
            for signature in ("", "AA", b64(b"\0" * 256)):
                self.refused(f"{head}.{body}.{signature}")
        for head in ({"alg": None}, {"alg": ["RS256"]}, {"alg": 0}, {}):
            signed = b64(json.dumps({"kid": "key-RS256", **head})) + "." + b64(json.dumps(claims()))
            self.refused(signed + "." + b64(KEYS["RS256"].sign(signed.encode())))

    def test_signatures_that_are_none(self):
        for algorithm, key in KEYS.items():
            good = token(key)
            signed, _, signature = good.rpartition(".")
            raw = base64.urlsafe_b64decode(signature + "==")
            for broken in (
                b"", b"\0", raw[:-1], raw[1:], raw + b"\0", b"\0" + raw, b"\0" * len(raw), b"\xff" * len(raw),
                raw[: len(raw) // 2], bytes([raw[0] ^ 1]) + raw[1:], raw[:-1] + bytes([raw[-1] ^ 1]),
            ):  # fmt: skip
                with self.subTest(algorithm=algorithm, signature=broken):
                    self.refused(signed + "." + b64(broken))
            self.refused(signed)
            self.refused(signed + ".")
            self.accepted(good)

    def test_psychic_signatures(self):
        orders = {
            "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
            "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
            "ES512": 0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
        }  # fmt: skip
        for algorithm, order in orders.items():
            size = tokens.CURVES[algorithm][2]
            good = token(KEYS[algorithm])
            signed, _, signature = good.rpartition(".")
            raw = base64.urlsafe_b64decode(signature + "==")
            r, s = int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big")
            pairs = [(0, 0), (0, s), (r, 0), (order, order), (order, s), (r, order), (1, order), (order + 1, 1), (0, 1)]
            if r + order < 1 << (8 * size):
                pairs.append((r + order, s))
            for one, other in pairs:
                self.refused(signed + "." + b64(one.to_bytes(size, "big") + other.to_bytes(size, "big")))
            # The form that other systems use, and the halves of another size.
            self.refused(signed + "." + b64(der(r, s)))
            self.refused(signed + "." + b64(b"\0" + raw[:size] + b"\0" + raw[size:]))

    def test_kid_injection(self):
        for kid in ("../../../dev/null", "/dev/null", "key-RS256\u0000", "' or 1=1 --", "key-rs256", "", "x" * 2000, "oct", 1, None, ["key-RS256"], {"a": 1}):
            signed = b64(json.dumps({"alg": "RS256", "kid": kid})) + "." + b64(json.dumps(claims()))
            if kid is None:
                self.refused(signed + "." + b64(KEYS["RS256"].sign(signed.encode())))
            self.refused(signed + "." + b64(STRANGER.sign(signed.encode())))
        # Without a name, the keys of the algorithm are tried.
        self.accepted(token(KEYS["RS256"], header={"kid": None}))
        self.refused(token(STRANGER, header={"kid": None}))

    def test_keys_that_a_token_brings_along(self):
        jwk = STRANGER.jwk()
        for header in (
            {"jwk": jwk}, {"jku": "https://evil.test/jwks"}, {"x5u": "https://evil.test/x"}, {"x5c": ["MII"]},
            {"jwk": KEYS["RS256"].jwk()}, {"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": True},
            {"enc": "A128GCM"}, {"zip": "DEF"}, {"cty": "JWT"}, {"typ": "dpop+jwt"}, {"typ": "logout+jwt"}, {"typ": 1},
        ):  # fmt: skip
            with self.subTest(header=header):
                self.refused(token(STRANGER, header=header))
                self.refused(token(KEYS["RS256"], header=header))
        for type in ("at+jwt", "application/at+jwt", "jwt", None):
            self.accepted(token(KEYS["RS256"], header={"typ": type}))

    def test_claims(self):
        now = int(time.time())
        for change in (
            {"iss": "https://evil.test"}, {"iss": None}, {"iss": ["https://id.test"]}, {"iss": "https://id.test/"},
            {"aud": "evil.test"}, {"aud": None}, {"aud": []}, {"aud": ["evil.test"]}, {"aud": {"api.test": 1}}, {"aud": [["api.test"]]},
            {"exp": now - 10}, {"exp": None}, {"exp": str(now + 60)}, {"exp": 0}, {"exp": -1}, {"exp": 1e300}, {"exp": True},
            {"nbf": now + 60}, {"nbf": "0"}, {"iat": "x"},
            {"cnf": {"jkt": "x"}}, {"cnf": {"x5t#S256": b64(b"x" * 32)}}, {"cnf": 1}, {"cnf": {}},
        ):  # fmt: skip
            with self.subTest(change=change):
                self.refused(token(KEYS["ES256"], **change))
        # Again: of two seconds' leeway, none may have gone by with what was refused.
        now = int(time.time())
        for change in (
            {"aud": ["x", "api.test"]}, {"aud": "other.test"}, {"nbf": now - 5}, {"exp": now + 60.5}, {"exp": now - 1},
            {"nbf": now + 1}, {"sub": None}, {"extra": {"deep": [1, 2, {"x": None}]}},
        ):  # fmt: skip
            with self.subTest(change=change):
                self.accepted(token(KEYS["ES256"], **change))

    def test_an_accepted_token_expires(self):
        made = token(KEYS["ES256"], exp=int(time.time()) + 1)
        self.accepted(made)
        self.until(lambda: self.ask(made).status == 401, "the token expires", within=6, every=0.25)

    def test_json_that_can_be_read_two_ways(self):
        good = json.dumps(claims())
        key = KEYS["ES256"]
        for payload in (
            good[:-1] + ', "tenant": "globex"}', '{"tenant": "globex", ' + good[1:], good[:-1] + ', "t\\u0065nant": "globex"}',
            good + " x", good + good, "[" + good + "]", '"x"', "", "{", good[:-1], good.replace(":", "=", 1), good[:-1] + ",}",
            "\ufeff" + good, good[:-1] + ', "a": 01}', good[:-1] + ', "a": +1}', good[:-1] + ', "a": .5}', good[:-1] + ', "a": NaN}',
            good[:-1] + ', "a": "\\ud800"}', good[:-1] + ', "a": "\x01"}', good[:-1] + ", 'a': 1}", good[:-1] + ', "a": 1e999}',
            good[:-1] + ', "a": ' + "[" * 64 + "]" * 64 + "}", good.encode()[:-1] + b', "a": "\xff"}', good[:-1] + "/**/}",
        ):  # fmt: skip
            with self.subTest(payload=payload):
                self.refused(token(key, payload))
        self.accepted(token(key, " " + good + "\n"))
        self.accepted(token(key, good.replace("tenant", "t\\u0065nant")))
        head = b64('{"alg":"none","alg":"ES256","kid":"key-ES256"}')
        signed = head + "." + b64(good)
        self.refused(signed + "." + b64(key.sign(signed.encode())))

    def test_base64_that_can_be_read_two_ways(self):
        good = token(KEYS["ES256"])
        head, body, signature = good.split(".")
        last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        # 64 bytes leave four bits of the last character unused.
        other = signature[:-1] + last[last.index(signature[-1]) + 1]
        for text in (
            good + "=", good + "==", f"{head}=.{body}.{signature}", f"{head}.{body}=.{signature}", f"{head}.{body}.{other}",
            f"{head}.{body}.{signature[:-1]}", f" .{body}.{signature}", good + ".", "." + good, f"{head}..{signature}",
            f"{head}.{body}.{signature[:20]}+{signature[21:]}", f"{head}.{body}.{signature[:20]} {signature[20:]}",
        ):  # fmt: skip
            with self.subTest(text=text):
                self.refused(text)

    def test_an_oversized_token(self):
        self.refused(token(KEYS["ES256"], padding="x" * 20000))
        self.accepted(token(KEYS["ES256"], padding="x" * 8000))

    def test_claims_are_passed_on_and_cannot_be_spoofed(self):
        made = token(KEYS["ES256"], sub="ann", roles=["a", "b"], org={"team": 7})
        seen = self.accepted(made, fields=[("X-User-Id", "root"), ("X_User_Id", "root"), ("x-user.id", "root"), ("X-Roles", "admin")])
        self.assertEqual(seen.fields.all("x-user-id"), ["ann"])
        self.assertEqual(seen["x-roles"], "a,b")
        self.assertEqual(seen["x-team"], "7")
        self.assertNotIn("root", str(list(seen.fields)))
        for value in ("evil\r\nX-Tenant-Id: globex", "a\nb", "a\0b", " a", "x" * 2000, {"a": 1}, None):
            seen = self.accepted(token(KEYS["ES256"], sub=value, roles=["a,b"]), fields=[("X-User-Id", "root")])
            self.assertIsNone(seen["x-user-id"])
            self.assertIsNone(seen["x-roles"])
        seen = self.accepted(None, "acme.test", "acme", "/public/x", fields=[("X-User-Id", "root")])
        self.assertIsNone(seen["x-user-id"])

    def test_claims_cannot_be_spoofed_behind_a_body(self):
        # There are upstreams that add trailers to the fields of the head.
        made = token(KEYS["ES256"], sub="ann")
        for target, fields in (("/", f"Authorization: Bearer {made}\r\n"), ("/public/", "")):
            with RawClient(self.edge.plain) as client:
                client.send(
                    f"POST {target} HTTP/1.1\r\nHost: acme.test\r\n{fields}Transfer-Encoding: chunked\r\n\r\n0\r\n"
                    "X-Sum: 1\r\nX-User-Id: root\r\nX_User_Id: root\r\nX-ROLES: admin\r\nX-Other: 2\r\n\r\n"
                )
                self.assertEqual(client.read_response().status, 200)
            self.assertEqual(list(self.app.requests[-1].trailers), [("X-Sum", "1"), ("X-Other", "2")])

    def test_a_key_and_a_token(self):
        key = ("X-API-Key", "test")
        self.accepted(token(KEYS["ES256"], tenant="both"), "both.test", "both")
        self.accepted(None, "both.test", "both", fields=[key])
        self.accepted(token(KEYS["ES256"], tenant="both"), "both.test", "both", fields=[key])
        self.refused(token(KEYS["ES256"], tenant="acme"), "both.test", 403, "tenant-mismatch", fields=[key])
        self.refused(token(KEYS["ES256"], tenant="acme"), "api.test", 403, "tenant-mismatch", fields=[key])
        self.refused(token(STRANGER, tenant="both"), "both.test", fields=[key])
        self.refused(token(KEYS["ES256"], tenant="both"), "both.test", fields=[("X-API-Key", "wrong")])

    def test_where_keys_are_asked_for_a_token_is_the_applications_unless_it_names_another_tenant(self):
        key = ("X-API-Key", "test2")
        seen = self.accepted("opaque", "keys.test", "keys", fields=[key])
        self.assertEqual(seen["authorization"], "Bearer opaque")
        self.accepted(token(STRANGER), "keys.test", "keys", fields=[key])
        self.refused(token(KEYS["ES256"]), "keys.test", 403, "tenant-mismatch", fields=[key])
        self.refused(token(KEYS["ES256"], tenant="keys"), "keys.test", kind="credentials-required")

    def test_weak_and_broken_key_sets_are_errors(self):
        weak = Key("RS256", "weak", bits=1024)
        point = dict(KEYS["ES256"].jwk(), x=b64(b"\1" * 32))
        for text, message in (
            (jwks(weak), "1024 bits"), (jwks(dict(KEYS["RS256"].jwk(), e="Ag")), "exponent"), (jwks(dict(KEYS["RS256"].jwk(), e="AQ")), "exponent"),
            (jwks(point), "not"), (jwks(), "no key"), ("{}", "not a key set"), ("x", "not valid JSON"),
            (jwks(KEYS["RS256"])[:-1] + ', "keys": []}', "not valid JSON"), (jwks(dict(KEYS["RS256"].jwk(), alg="ES256")), "does not fit"),
        ):  # fmt: skip
            with open(os.path.join(self.folder, "jwks.json"), "w") as out:
                out.write(text)
            run = self.edge.command("check", "-c", self.edge.file)
            self.assertEqual(run.returncode, 1, run)
            self.assertIn(message, run.stderr)
        self.accepted(token(KEYS["ES256"]))


class Provider:
    """An issuer's key set behind https."""

    def __init__(self, case, *keys, certificate=None):
        self.keys, self.body, self.requests, self.age, self.status = keys, None, 0, 300, 200
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.requests += 1
                body = (jwks(*provider.keys) if provider.body is None else provider.body).encode()
                self.send_response(provider.status)
                self.send_header("Content-Type", "application/jwk-set+json")
                self.send_header("Cache-Control", f"public, max-age={provider.age}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # a gateway that has read enough hangs up
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        certificate, key = certificate or case.leaf("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        case.addCleanup(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def write_age(edge, age):
    """`keys_max_age` as an operator edits it."""
    with open(edge.file) as file:
        text = re.sub(r"keys_max_age \S+;", "", file.read())
    with open(edge.file, "w") as file:
        file.write(text.replace("algorithms ES256;", f"algorithms ES256; keys_max_age {age};"))


class RemoteKeys(Case):
    seconds = 90

    def start(self, url, top="", tenant="", trust=None, age=None):
        """`trust`: a file of authorities, False for the system's."""
        self.app = self.upstream()
        self.edge = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\n"
            f"jwt idp {{ issuer https://id.test; audience api.test; keys {url}; algorithms ES256; tenant_claim tenant; }}\n"
            f"{top}tenant acme {{ host acme.test; upstream app; authenticate jwt; jwt idp; {tenant} }}\n",
            start=False,
            app=self.app,
        )
        if age:
            write_age(self.edge, age)
        self.environment = {} if trust is False else {"SSL_CERT_FILE": trust or self.authority.certificate}
        self.edge.start(environment=self.environment)

    def status(self, text, client=None):
        fields = [("Authorization", "Bearer " + text)]
        if client:
            return client.request("GET", "/", "acme.test", fields=fields).status
        with RawClient(self.edge.plain) as client:
            return client.request("GET", "/", "acme.test", fields=fields).status

    def test_keys_are_fetched_once_and_rotated_under_load_without_a_401(self):
        old, new = Key("ES256", "old"), Key("ES256", "new")
        provider = Provider(self, old)
        self.start(f"https://localhost:{provider.port}/keys")
        self.assertEqual(self.status(token(old)), 200)
        self.assertEqual(provider.requests, 1)
        seen, failures, stop = [0], [], threading.Event()

        def load(key_of):
            with RawClient(self.edge.plain) as client:
                while not stop.is_set():
                    made = token(key_of(), jti=str(time.monotonic()))
                    status = self.status(made, client)
                    seen[0] += 1
                    if status != 200:
                        failures.append(status)

        signing = [old]
        threads = [threading.Thread(target=load, args=(lambda: signing[0],)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for key in (new, Key("ES256", "newer"), Key("ES256", "newest")):
            until = seen[0] + 50
            self.until(lambda: seen[0] > until, "some load")
            provider.keys = (key, *provider.keys)
            signing[0] = key
        until = seen[0] + 50
        self.until(lambda: seen[0] > until, "some load", within=20)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertLess(provider.requests, 8)
        samples = dict((tuple(labels.items()), value) for labels, value in self.edge.metrics().samples("gateway_jwks_keys"))
        self.assertEqual(list(samples.values()), [4])

    def test_a_certificate_that_has_the_name_as_its_common_name_only(self):
        """RFC 9525 section 6.3: the host is what the subject alternative name says."""
        paths = [os.path.join(self.folder, name) for name in ("common.crt", "common.key")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
             "-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]],
            check=True, capture_output=True,
        )  # fmt: skip
        key = Key("ES256", "one")
        provider = Provider(self, key, certificate=paths)
        self.start(f"https://localhost:{provider.port}/keys", trust=paths[0])
        self.assertEqual(self.status(token(key)), 401)
        self.assertIn("the server's certificate is refused: hostname mismatch", self.edge.stderr)

    def test_the_issuer_is_down(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        self.assertEqual(self.status(token(key)), 200)
        provider.status = 500
        stranger = Key("ES256", "two")
        self.assertEqual(self.status(token(stranger)), 401)
        provider.close()
        for _ in range(5):
            self.assertEqual(self.status(token(stranger, jti="x")), 401)
            self.assertEqual(self.status(token(key, jti=str(time.monotonic()))), 200)

    def test_the_issuer_is_down_for_longer_than_its_keys_may_be_kept(self):
        # Sixty seconds are the least that a set is kept, and after four fifths of them it is fetched anew.
        key, stranger = Key("ES256", "one"), Key("ES256", "two")
        provider = Provider(self, key)
        provider.age = 1
        self.start(f"https://localhost:{provider.port}/keys")
        self.assertEqual(self.status(token(key)), 200)
        provider.close()
        seen, invented = [], []
        thread = threading.Thread(
            target=lambda: [invented.append(self.status(token(stranger, jti=str(n)))) for n in range(3)]
        )
        remembered = token(key)
        failed = lambda: self.edge.stderr.count("the keys that are known go on")
        while not thread.ident or thread.is_alive():
            # One that has to be verified, and one that was.
            seen += [self.status(token(key, jti=str(time.monotonic()))), self.status(remembered)]
            time.sleep(0.02)
            # Due after 48 seconds, and again five and ten seconds after a failure.
            if not thread.ident and failed() >= 3:
                thread.start()
        self.assertEqual(set(seen), {200})
        self.assertEqual(invented, [401] * 3)
        self.assertGreaterEqual(failed(), 6)

    def sample(self, name):
        ((_, value),) = self.edge.metrics().samples(name)
        return value

    def test_a_set_without_a_usable_key_takes_the_known_ones_away(self):
        key, stranger = Key("ES256", "one"), Key("ES256", "two")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        remembered = token(key)
        for keys in ((), ({"kty": "unknown", "kid": "one"},), (stranger.jwk(x=b64(b"\1" * 32)),)):
            with self.subTest(keys=keys):
                provider.keys = (key,)
                self.until(lambda: self.status(token(key)) == 200, "the key is known", within=20)
                self.assertEqual(self.status(remembered), 200)
                provider.keys = keys
                # One that nobody has makes the gateway ask.
                self.assertEqual(self.status(token(stranger)), 401)
                for text in (remembered, token(key)):
                    self.assertEqual(self.status(text), 401)
                self.assertEqual(self.sample("gateway_jwks_keys"), 0)
        self.assertIn("no key that can be used", self.edge.stderr)

    def test_what_is_no_key_set_takes_nothing_away(self):
        key, stranger = Key("ES256", "one"), Key("ES256", "two")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        self.assertEqual(self.status(token(key)), 200)
        for provider.body in ("", "<html>", "{}", '{"keys": 1}', '{"keys": [], "keys": []}', '{"keys": [' + " " * (1 << 20) + "]}"):
            self.assertEqual(self.status(token(stranger)), 401)
            self.assertEqual(self.status(token(key, jti=provider.body[:9])), 200)

    def test_keys_that_cannot_be_refreshed_are_believed_for_their_time(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys", age="5s")
        remembered = token(key)
        self.assertEqual(self.status(remembered), 200)
        provider.status = 500
        # Before it is too old, and for the rest of its time, a key goes on; a reload makes it no younger.
        began = time.monotonic()
        while time.monotonic() < began + 3:
            self.assertEqual(self.status(remembered), 200)
            self.edge.command("reload", "-c", self.edge.file)
        self.assertEqual(self.sample("gateway_jwks_stale"), 0)
        self.until(lambda: self.sample("gateway_jwks_stale") == 1, "the keys are too old", within=8)
        self.assertEqual(self.sample("gateway_jwks_keys"), 0)
        for _ in range(2):
            for text in (remembered, token(key)):
                self.assertEqual(self.status(text), 401)
        self.assertEqual(self.edge.stderr.count("no longer believed"), 1)
        provider.status = 200
        self.until(lambda: self.status(remembered) == 200, "the keys are back", within=20)
        self.assertEqual(self.sample("gateway_jwks_stale"), 0)

    def test_a_shorter_age_holds_from_its_reload_on(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        remembered = token(key)
        self.assertEqual(self.status(remembered), 200)
        provider.close()
        time.sleep(1.5)
        write_age(self.edge, "1s")
        self.assertEqual(self.edge.command("reload", "-c", self.edge.file).returncode, 0)
        self.until(lambda: self.status(remembered) == 401, "the keys are too old", within=15)

    def test_an_issuer_that_comes_back_comes_without_its_old_keys(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        self.assertEqual(self.status(token(key)), 200)
        with open(self.edge.file) as file:
            before = file.read()
        without = "".join(line for line in before.splitlines(True) if not line.startswith("jwt idp"))
        for text in (without.replace("authenticate jwt; jwt idp;", ""), before):
            with open(self.edge.file, "w") as file:
                file.write(text)
            self.assertEqual(self.edge.command("reload", "-c", self.edge.file).returncode, 0)
            if text != before:
                provider.close()
        self.assertEqual(self.status(token(key)), 401)

    def test_nothing_is_believed_over_a_restart(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        self.assertEqual(self.status(token(key)), 200)
        self.edge.stop()
        provider.close()
        self.edge.start(environment=self.environment)
        self.assertEqual(self.status(token(key)), 401)

    def test_a_new_key_is_found_after_invented_ones(self):
        old, new = Key("ES256", "old"), Key("ES256", "new")
        provider = Provider(self, old)
        self.start(f"https://localhost:{provider.port}/keys")
        for number in range(4):
            self.assertEqual(self.status(token(Key("ES256", f"invented-{number}"))), 401)
        # By now every fetch is followed by the longest cool-down.
        provider.keys = (old, new)
        self.assertEqual(self.status(token(new)), 200)

    def test_the_fetch_of_another_issuer_ends_no_wait(self):
        old, new, other = Key("ES256", "old"), Key("ES256", "new"), Key("ES256", "other")
        provider, second = Provider(self, old), Provider(self, other)
        self.start(
            f"https://localhost:{provider.port}/keys", f"jwt second {{ issuer https://second.test; audience api.test; "
            f"keys https://localhost:{second.port}/keys; algorithms ES256; tenant_claim tenant; }}\n", "jwt second;"
        )  # fmt: skip
        for number in range(4):
            self.assertEqual(self.status(token(Key("ES256", f"invented-{number}"))), 401)
        provider.keys = (old, new)
        got = []
        thread = threading.Thread(target=lambda: got.append(self.status(token(new))))
        thread.start()
        time.sleep(0.2)
        before = second.requests
        self.assertEqual(self.status(token(Key("ES256", "x"), iss="https://second.test")), 401)
        self.assertEqual((second.requests, got), (before + 1, []))
        thread.join()
        self.assertEqual(got, [200])

    def test_invented_keys_cause_few_fetches(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://localhost:{provider.port}/keys")
        began = time.monotonic()
        for number in range(9):
            self.assertEqual(self.status(token(Key("ES256", f"invented-{number}"))), 401)
        self.assertLessEqual(provider.requests, 2 + int(time.monotonic() - began))
        self.assertEqual(self.status(token(key)), 200)

    def test_a_provider_that_nobody_vouches_for(self):
        key = Key("ES256", "one")
        provider = Provider(self, key)
        self.start(f"https://127.0.0.1:{provider.port}/keys")
        self.assertEqual(self.status(token(key)), 401)
        self.assertIn("certificate is refused", self.edge.stderr)
        self.assertEqual(provider.requests, 0)

    def test_check_says_what_the_key_set_is_like(self):
        import subprocess

        from Support.gateway import BINARY

        provider = Provider(self, Key("ES256", "one"))
        self.start(f"https://localhost:{provider.port}/keys")
        done = subprocess.run([BINARY, "check", "-c", self.edge.file], capture_output=True, text=True, env={**os.environ, **self.environment})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("1 key from https://localhost", done.stdout)
        provider.status = 404
        done = subprocess.run([BINARY, "check", "-c", self.edge.file], capture_output=True, text=True, env={**os.environ, **self.environment})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("can't be fetched", done.stderr)
        self.assertIn("for 1d after its fetch", done.stderr)
        provider.status, provider.keys = 200, ()
        done = subprocess.run([BINARY, "check", "-c", self.edge.file], capture_output=True, text=True, env={**os.environ, **self.environment})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("all of its tokens are refused", done.stderr)

    def test_an_end_while_keys_are_fetched_is_an_end_in_order(self):
        provider = Provider(self, Key("ES256", "one"))
        provider.server.handle_error = lambda *_: None
        issuers = "".join(
            f"jwt i{n} {{ issuer https://i{n}.test; audience api.test; keys https://localhost:{provider.port}/{n}; "
            "algorithms ES256; tenant_claim tenant; }\n" for n in range(8)
        )  # fmt: skip
        self.start(f"https://localhost:{provider.port}/keys", issuers)
        for number in range(30):
            time.sleep(0.003 * (number % 10))
            self.edge.stop()
            self.edge.start(environment=self.environment)


def pem(key):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def der(r, s):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    return encode_dss_signature(r, s)
