"""TLS client certificates: a further identity under the same rule, and tokens that are bound to them (RFC 8705)."""

import base64
import hashlib
import os
import ssl

from Support.case import Case
from Support.certificates import Authority
from Support.client import RawClient
from Support.tokens import Key, b64, jwks, token

KEY = Key("ES256", "one")


def fingerprint(path):
    text = open(path).read()
    body = text.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
    return hashlib.sha256(base64.b64decode(body)).digest()


class ClientCertificates(Case):
    def setUp(self):
        super().setUp()
        self.app = self.upstream()
        self.server = self.leaf("acme.test", "globex.test", "any.test", "plain.test", "token.test", "api.test", tag="server-")
        self.acme, self.globex, self.stranger = (self.leaf(name, tag="client-") for name in ("acme", "globex", "someone"))
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(KEY))
        self.edge = self.gateway(
            "shared_host api.test;\n"
            + self.tls_listener(self.server, more=f"client_ca {self.authority.certificate};")
            + f"""
            listen 127.0.0.1:$second tls {{ certificate {self.server[0]} {self.server[1]}; }}
            upstream app {{ server 127.0.0.1:$app; }}
            defaults {{ upstream app; }}
            jwt idp {{ issuer https://id.test; audience api.test; keys {self.folder}/jwks.json; algorithms ES256; tenant_claim tenant; }}
            tenant acme   {{ host acme.test; client_certificate fingerprint=sha256:{fingerprint(self.acme[0]).hex()}; }}
            tenant globex {{ host globex.test; client_certificate subject="O=client-,CN=globex"; }}
            tenant any    {{ host any.test; client_certificate any; }}
            tenant plain  {{ host plain.test; }}
            tenant token  {{ host token.test; authenticate jwt; jwt idp; }}
            """,
            app=self.app,
            second=__import__("Support.ports", fromlist=["x"]).free_port(),
        )

    def context(self, leaf=None, **options):
        context = self.authority.context(**options)
        if leaf:
            context.load_cert_chain(*leaf)
        return context

    def ask(self, host, leaf=None, port=None, sni=None, fields=(), context=None, session=None):
        with RawClient(port or self.edge.tls, tls=context or self.context(leaf), sni=sni or host, session=session) as client:
            response = client.request("GET", "/", host, fields=fields)
            self.session = client.socket.session
            return response

    def accepted(self, host, leaf, tenant, **options):
        response = self.ask(host, leaf, **options)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.app.requests[-1]["x-tenant-id"], tenant)

    def refused(self, status, kind, host, leaf, **options):
        before = len(self.app.requests)
        self.assert_problem(self.ask(host, leaf, **options), status, kind)
        self.assertEqual(len(self.app.requests), before)

    def test_who_has_the_right_certificate_gets_in(self):
        self.accepted("acme.test", self.acme, "acme")
        self.accepted("globex.test", self.globex, "globex")
        self.accepted("any.test", self.stranger, "any")
        self.accepted("plain.test", None, "plain")
        self.accepted("plain.test", self.stranger, "plain")

    def test_who_has_none_does_not(self):
        for host in ("acme.test", "globex.test", "any.test"):
            self.refused(401, "credentials-required", host, None)
            self.refused(401, "credentials-required", host, self.acme, port=self.edge.values["second"])
            with RawClient(self.edge.plain) as client:
                self.assert_problem(client.request("GET", "/", host), 401, "credentials-required")

    def test_who_has_another_ones_does_not(self):
        self.refused(401, "credentials-invalid", "acme.test", self.stranger)
        self.refused(403, "tenant-mismatch", "acme.test", self.globex)
        self.refused(403, "tenant-mismatch", "globex.test", self.acme)
        self.refused(403, "tenant-mismatch", "plain.test", self.acme)
        self.refused(403, "tenant-mismatch", "any.test", self.acme)

    def test_a_shared_host(self):
        self.accepted("api.test", self.acme, "acme")
        self.refused(401, "credentials-required", "api.test", self.stranger)
        self.refused(401, "credentials-required", "api.test", None)
        self.refused(403, "tenant-mismatch", "api.test", self.acme, fields=[("Authorization", "Bearer " + token(KEY, tenant="token"))])
        self.accepted("api.test", self.stranger, "token", fields=[("Authorization", "Bearer " + token(KEY, tenant="token"))])

    def test_a_certificate_of_another_authority(self):
        other = Authority(os.path.join(self.folder, "other"))
        leaf = other.leaf("acme", tag="client-")
        with self.assertRaises((ssl.SSLError, OSError, EOFError, Exception)):
            self.ask("any.test", leaf)
        self.assertEqual(self.app.requests, [])

    def test_resumed_sessions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version):
                context = self.context(self.acme, minimum=version, maximum=version)
                self.accepted("acme.test", None, "acme", context=context)
                session = self.session
                self.accepted("acme.test", None, "acme", context=context, session=session)
                # The session brings its certificate along, and so its tenant, whatever host it is resumed for.
                self.refused(403, "tenant-mismatch", "plain.test", None, context=context, session=session)
                # Under another listener, which asks for no certificates, it brings nothing.
                self.refused(401, "credentials-required", "acme.test", None, context=context, session=session, port=self.edge.values["second"])
                self.accepted("plain.test", None, "plain", context=context, session=session, port=self.edge.values["second"])
                session = self.session
                bare = self.context(minimum=version, maximum=version)
                self.refused(401, "credentials-required", "acme.test", None, context=bare)

    def test_a_bound_token(self):
        bound = token(KEY, tenant="token", cnf={"x5t#S256": b64(fingerprint(self.stranger[0]))})
        fields = [("Authorization", "Bearer " + bound)]
        for _ in range(2):
            self.accepted("token.test", self.stranger, "token", fields=fields)
            self.refused(401, "credentials-invalid", "token.test", None, fields=fields)
            self.refused(401, "credentials-invalid", "token.test", self.leaf("third", tag="client-"), fields=fields)
        free = [("Authorization", "Bearer " + token(KEY, tenant="token"))]
        self.accepted("token.test", self.stranger, "token", fields=free)
        self.refused(403, "tenant-mismatch", "token.test", self.acme, fields=free)

    def test_check_reads_the_authorities(self):
        for text in ("", "nonsense", None):
            path = os.path.join(self.folder, "ca.pem")
            if text is None:
                os.unlink(path)
            else:
                open(path, "w").write(text)
            self.edge.write(
                self.tls_listener(self.server, more=f"client_ca {path};")
                + "upstream app { server 127.0.0.1:$app; }\ntenant a { host a.test; upstream app; client_certificate any; }"
            )
            run = self.edge.command("check", "-c", self.edge.file)
            self.assertEqual(run.returncode, 1, run)
            self.assertIn("can't read the authorities", run.stderr)
