"""One host has many spellings: case, one dot at the end and standard ports make no difference, wherever names meet."""

from Support.case import Case
from Support.client import RawClient

SPELLINGS = ("acme.test", "ACME.test", "Acme.Test.", "acme.test:", "acme.test:443", "ACME.TEST.:8443")


class HostNames(Case):
    def subject(self, gateway, sni):
        """The certificate's names that a client with this server name gets."""
        context = self.authority.context()
        context.check_hostname = False
        with RawClient(gateway.tls, tls=context, sni=sni) as client:
            return [name for _, name in client.socket.getpeercert()["subjectAltName"]]

    def test_server_names_find_their_certificate_and_their_tenant(self):
        gateway = self.gateway(
            self.tls_listener(self.leaf("other.test"), self.leaf("acme.test"), self.leaf("*.wild.test"))
            + """upstream app { server 127.0.0.1:$app; }
            tenant other { host other.test; authenticate none; upstream app; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=self.upstream(),
        )
        for sni, name in (
            ("acme.test", "acme.test"),
            ("ACME.Test", "acme.test"),
            ("acme.test.", "acme.test"),
            ("A.WILD.test.", "*.wild.test"),
        ):
            with self.subTest(sni=sni):
                self.assertEqual(self.subject(gateway, sni), [name])
        context = self.authority.context()
        context.check_hostname = False
        for sni in ("ACME.test", "acme.test."):
            for host in SPELLINGS:
                with self.subTest(sni=sni, host=host), RawClient(gateway.tls, tls=context, sni=sni) as client:
                    self.assertEqual(client.request("GET", "/", host).status, 200)
                    self.assert_problem(client.request("GET", "/", "other.test"), 421, "misdirected")

    def test_names_in_a_certificate(self):
        for written in ("ACME.test", "acme.test.", "*.Wild.TEST", "*.wild.test."):
            gateway = self.simple(self.upstream(), top=self.tls_listener(self.leaf("other.test"), self.leaf(written)))
            asked = "a.wild.test" if "*" in written else "acme.test"
            with self.subTest(written=written):
                self.assertEqual(self.subject(gateway, asked), [written])
            gateway.stop()

    def test_names_in_the_configuration(self):
        gateway = self.gateway(
            """shared_host API.Test.;
            upstream app { server 127.0.0.1:$app; }
            tenant acme { host ACME.Test. *.Wild.Test.; authenticate none; upstream app; }""",
            app=self.upstream(),
        )
        for host in (*SPELLINGS, "a.wild.test", "A.Wild.Test.:80"):
            with self.subTest(host=host):
                self.assertEqual(self.get(gateway, host=host).status, 200)
        for host in ("api.test", "API.test.:80"):
            with self.subTest(host=host):
                self.assert_problem(self.get(gateway, host=host), 401, "credentials-required")
        self.assert_problem(self.get(gateway, host="acme.test.evil.test"), 421, "misdirected")

    def test_an_absolute_target_and_host(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        for target, host in (
            ("http://acme.test:80/", "acme.test"),
            ("http://ACME.test./", "acme.test"),
            ("http://acme.test/", "Acme.Test.:80"),
            ("http://acme.test:/", "acme.test"),
            ("https://acme.test/", "acme.test:443"),
        ):
            with self.subTest(target=target, host=host):
                self.assertEqual(self.get(gateway, target, host).status, 200)
                self.assertEqual(upstream.next_request()["host"], host)
        for target, host in (
            ("http://acme.test:81/", "acme.test"),
            ("https://acme.test:80/", "acme.test"),
            ("http://acme.test/", "acme.test:443"),
            ("http://acme.test../", "acme.test"),
            ("http://a.acme.test/", "acme.test"),
        ):
            with self.subTest(target=target, host=host):
                self.assert_problem(self.get(gateway, target, host), 400, "bad-request")

    def test_names_of_the_admin_listener(self):
        gateway = self.gateway(
            """workers 1; state ./state; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin host=Ops.Test.;
            upstream app { server 127.0.0.1:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=self.upstream(),
            preamble=False,
        )
        for host in ("ops.test", "OPS.test.", "ops.test:9901", "LOCALHOST.", "localhost:"):
            with self.subTest(host=host), RawClient(gateway.values["admin"]) as client:
                self.assertEqual(client.request("GET", "/healthz", host).status, 200)
        with RawClient(gateway.values["admin"]) as client:
            self.assertEqual(client.request("GET", "/healthz", "ops.test.evil.test").status, 421)
