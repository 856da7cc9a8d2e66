"""TLS at the edge: versions, certificates by name, ALPN, resumption, renegotiation, replacement by reload."""

import os
import shutil
import ssl
import subprocess

from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer, chunk, text

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class TLS(Case):
    def edge(self, *leaves, more="", **options):
        leaves = leaves or (self.leaf("acme.test"),)
        return self.simple(self.upstream(), top=self.tls_listener(*leaves, more=more), **options)

    def open(self, gateway, sni="acme.test", context=None, **options):
        client = RawClient(gateway.tls, tls=context or self.authority.context(), sni=sni, **options)
        self.addCleanup(client.close)
        return client

    def presented(self, gateway, sni, verify=False):
        """The common name of the certificate that the gateway shows for that name."""
        with RawClient(gateway.tls, tls=self.authority.context(verify=verify), sni=sni) as client:
            der = client.socket.getpeercert(binary_form=True)
        done = subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "multiline"],
            input=der,
            capture_output=True,
            check=True,
        )
        return next(line.split("=")[1].strip() for line in done.stdout.decode().splitlines() if "commonName" in line)

    def s_client(self, gateway, *arguments, send=b"", within=10):
        """What `openssl s_client` says, both outputs together."""
        done = subprocess.run(
            [
                "openssl",
                "s_client",
                "-connect",
                f"127.0.0.1:{gateway.tls}",
                "-servername",
                "acme.test",
                "-CAfile",
                self.authority.certificate,
                *arguments,
            ],
            input=send,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
        )
        return done.stdout.decode("latin-1")

    def test_versions_1_2_and_1_3(self):
        gateway = self.edge()
        for version, name in ((V12, "TLSv1.2"), (V13, "TLSv1.3")):
            with self.subTest(name):
                client = self.open(gateway, context=self.authority.context(version, version))
                self.assertEqual(client.socket.version(), name)
                for _ in range(3):
                    self.assertEqual(client.request("GET", "/", "acme.test").body, b"ok")

    def test_openssl_agrees(self):
        gateway = self.edge()
        request = b"GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n"
        for option, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            with self.subTest(name):
                said = self.s_client(gateway, option, "-ign_eof", "-verify_return_error", send=request)
                self.assertIn("Verify return code: 0 (ok)", said)
                self.assertIn(name, said)
                self.assertIn("HTTP/1.1 200", said)

    def test_older_versions_are_refused(self):
        gateway = self.edge()
        for option in ("-tls1_1", "-tls1"):
            with self.subTest(option):
                said = self.s_client(gateway, option, "-cipher", "DEFAULT@SECLEVEL=0")
                self.assertRegex(said, "protocol version|Cipher is \\(NONE\\)|Cipher    : 0000")
                self.assertNotIn("HTTP/1.1 200", said)

    def test_min_version_1_3_refuses_1_2(self):
        gateway = self.edge(more="min_version 1.3;")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.open(gateway, context=self.authority.context(V12, V12))
        self.assertEqual(self.open(gateway).request("GET", "/", "acme.test").status, 200)

    def test_weak_ciphers_are_refused(self):
        gateway = self.edge(self.leaf("acme.test", rsa=True, tag="rsa"))
        for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "NULL-SHA", "DES-CBC3-SHA"):
            with self.subTest(cipher):
                said = self.s_client(gateway, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
                self.assertNotRegex(said, r"Cipher is (?!\(NONE\))\S")

    def test_no_compression(self):
        self.assertIn("Compression: NONE", self.s_client(self.edge(), "-tls1_2"))

    def test_certificates_by_name_exact_wildcard_and_default(self):
        gateway = self.edge(self.leaf("acme.test"), self.leaf("*.wild.test", "wild.test"), self.leaf("www.wild.test"))
        for sni, wanted in (
            ("acme.test", "acme.test"),
            ("www.wild.test", "www.wild.test"),
            ("a.wild.test", "*.wild.test"),
            ("WWW.wild.TEST", "www.wild.test"),
            ("wild.test", "*.wild.test"),
            (None, "acme.test"),
        ):
            with self.subTest(sni=sni):
                self.assertEqual(self.presented(gateway, sni), wanted)

    def test_a_wildcard_certificate_covers_one_label_only(self):
        gateway = self.edge(self.leaf("acme.test"), self.leaf("*.wild.test"))
        try:
            self.assertEqual(self.presented(gateway, "a.b.wild.test"), "acme.test")
        except ssl.SSLError as alert:  # or no certificate at all: unrecognized_name
            self.assertIn("UNRECOGNIZED_NAME", str(alert).upper())

    def test_a_certificate_is_verified_by_an_ordinary_client(self):
        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test"), self.leaf("*.wild.test")) + """
            upstream app { server 127.0.0.1:$app; }
            tenant acme { host acme.test *.wild.test; authenticate none; upstream app; }""",
            app=self.upstream(),
        )
        for host in ("acme.test", "x.wild.test"):
            with self.subTest(host):
                done = subprocess.run(
                    [
                        "curl",
                        "-sS",
                        "--max-time",
                        "10",
                        "--cacert",
                        self.authority.certificate,
                        "--resolve",
                        f"{host}:{gateway.tls}:127.0.0.1",
                        f"https://{host}:{gateway.tls}/",
                    ],
                    capture_output=True,
                )
                self.assertEqual((done.returncode, done.stdout), (0, b"ok"), done.stderr)

    def test_alpn(self):
        gateway = self.edge(more="protocols http/1.1;")
        for offered, wanted in ((("http/1.1",), "http/1.1"), (("h2", "http/1.1"), "http/1.1"), ((), None)):
            with self.subTest(offered=offered):
                client = self.open(gateway, context=self.authority.context(alpn=offered))
                self.assertEqual(client.socket.selected_alpn_protocol(), wanted)
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_alpn_without_a_common_protocol_is_not_answered_in_another(self):
        try:
            client = self.open(self.edge(more="protocols http/1.1;"), context=self.authority.context(alpn=("h2",)))
        except (ssl.SSLError, ConnectionError):
            return  # no_application_protocol, RFC 7301
        self.assertIsNone(client.socket.selected_alpn_protocol())

    def session(self, gateway, context, session=None):
        """(whether the session was resumed, a session for the next time)."""
        with RawClient(gateway.tls, tls=context, sni="acme.test", session=session) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            return client.socket.session_reused, client.socket.session

    def test_sessions_are_resumed_by_every_loop(self):
        gateway = self.edge()
        for version in (V12, V13):
            with self.subTest(version.name):
                context = self.authority.context(version, version)
                _, session = self.session(gateway, context)
                for _ in range(12):
                    resumed, session = self.session(gateway, context, session)
                    self.assertTrue(resumed)

    def test_sessions_are_resumed_across_reloads(self):
        gateway = self.edge()
        for version in (V12, V13):
            with self.subTest(version.name):
                context = self.authority.context(version, version)
                _, session = self.session(gateway, context)
                for _ in range(3):
                    gateway.reload()
                    resumed, session = self.session(gateway, context, session)
                    self.assertTrue(resumed)

    def test_openssl_resumes_too(self):
        gateway = self.edge()
        request = b"GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n"
        for option in ("-tls1_2", "-tls1_3"):
            with self.subTest(option):
                file = os.path.join(self.folder, "session" + option)
                self.assertIn("New, TLS", self.s_client(gateway, option, "-ign_eof", "-sess_out", file, send=request))
                self.assertIn("Reused, TLS", self.s_client(gateway, option, "-ign_eof", "-sess_in", file, send=request))

    def test_a_resumed_session_does_not_carry_a_tenant(self):
        upstream = self.upstream()
        gateway = self.gateway(
            self.tls_listener(self.leaf("acme.test"), self.leaf("globex.test")) + """
            upstream app { server 127.0.0.1:$app; }
            tenant acme { host acme.test; authenticate none; upstream app; }
            tenant globex { host globex.test; authenticate none; upstream app; }""",
            app=upstream,
        )
        for version in (V12, V13):
            with self.subTest(version.name):
                context = self.authority.context(version, version, verify=False)
                _, session = self.session(gateway, context)
                try:
                    client = self.open(gateway, sni="globex.test", context=context, session=session)
                except (ssl.SSLError, ConnectionError):
                    continue
                self.assertEqual(client.request("GET", "/", "acme.test").status, 421)
                client = self.open(gateway, sni="globex.test", context=context, session=session)
                self.assertEqual(client.request("GET", "/", "globex.test").status, 200)

    def test_renegotiation_is_refused(self):
        gateway = self.edge()
        said = self.s_client(gateway, "-tls1_2", send=b"R\n")
        self.assertIn("RENEGOTIATING", said)
        self.assertRegex(said, "no renegotiation|unexpected eof|handshake failure|write:errno|wrong version|alert")
        self.assertEqual(self.open(gateway).request("GET", "/", "acme.test").status, 200)

    def test_certificates_are_replaced_by_reload_while_an_old_connection_lives_on(self):
        first, second = self.leaf("acme.test", tag="first"), self.leaf("acme.test", tag="second")
        mine = [os.path.join(self.folder, name) for name in ("live.crt", "live.key")]
        for a, b in zip(first, mine):
            shutil.copy(a, b)
        gateway = self.edge(mine)
        old = self.open(gateway)
        before = old.socket.getpeercert(binary_form=True)
        self.assertEqual(old.request("GET", "/", "acme.test").status, 200)
        for a, b in zip(second, mine):
            shutil.copy(a, b)
        gateway.reload()
        self.assertEqual(old.request("GET", "/", "acme.test").status, 200)
        new = self.open(gateway)
        self.assertNotEqual(new.socket.getpeercert(binary_form=True), before)
        self.assertEqual(new.request("GET", "/", "acme.test").status, 200)

    def test_a_broken_certificate_at_reload_changes_nothing(self):
        mine = [os.path.join(self.folder, name) for name in ("live.crt", "live.key")]
        for a, b in zip(self.leaf("acme.test"), mine):
            shutil.copy(a, b)
        gateway = self.edge(mine)
        shutil.copy(self.leaf("acme.test", tag="other")[1], mine[1])
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout + done.stderr, r"gateway\.conf:\d+:\d+: error: ")
        self.assertEqual(self.open(gateway).request("GET", "/", "acme.test").status, 200)

    def test_plain_http_on_the_tls_port(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, top=self.tls_listener(self.leaf("acme.test")))
        with RawClient(gateway.tls) as client:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            data = b""
            while client.stream.fill():
                pass
            data = bytes(client.stream.buffer)
        self.assertNotIn(b" 200 ", data)
        self.assertEqual(upstream.connections, [])

    def test_tls_on_the_plain_port(self):
        gateway = self.edge()
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            RawClient(gateway.plain, tls=self.authority.context(), sni="acme.test", timeout=3)
        self.assertEqual(self.get(gateway).status, 200)

    def test_a_handshake_in_pieces(self):
        gateway = self.edge()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.authority.context().wrap_bio(incoming, outgoing, server_hostname="acme.test")
        with RawClient(gateway.tls) as client:
            while True:
                try:
                    tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    done = False
                for byte in outgoing.read():
                    client.send(bytes([byte]))
                if done:
                    break
                client.stream.fill()
                incoming.write(client.stream.take(len(client.stream.buffer)))
            tls.write(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            for byte in outgoing.read():
                client.send(bytes([byte]))
            got = b""
            while b"ok" not in got:
                self.assertTrue(client.stream.fill())
                incoming.write(client.stream.take(len(client.stream.buffer)))
                try:
                    got += tls.read(65536)
                except ssl.SSLWantReadError:
                    pass
            self.assertIn(b"HTTP/1.1 200", got)

    def test_garbage_in_place_of_a_handshake(self):
        gateway = self.edge()
        for data in (
            b"\0" * 1000,
            os.urandom(2000),
            b"\x16\x03\x01\x02\x00\x01",
            b"\x16\x03\x01\xff\xff" + b"x" * 70000,
            b"\x80\x2e\x01\x03\x01",
            b"\x15\x03\x03\x00\x02\x02\x28",
        ):
            with RawClient(gateway.tls) as client:
                client.send_as_taken(data)
                client.end_and_drain()
        self.assertEqual(self.open(gateway).request("GET", "/", "acme.test").status, 200)

    def test_large_bodies_over_tls(self):
        body = os.urandom(1 << 16) * 40
        gateway = self.simple(
            self.upstream(answer(lambda request: text(request.body))), top=self.tls_listener(self.leaf("acme.test"))
        )
        for version in (V12, V13):
            with self.subTest(version.name):
                client = self.open(gateway, context=self.authority.context(version, version))
                for chunked in (False, True):
                    response = client.request("POST", "/", "acme.test", body=body, chunked=chunked)
                    self.assertTrue(response.body == body)

    def test_pipelining_over_tls(self):
        gateway = self.edge()
        client = self.open(gateway)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" * 100)
        for _ in range(100):
            self.assertEqual(client.read_response().body, b"ok")

    def test_a_connection_ends_with_close_notify(self):
        gateway = self.edge()
        client = self.open(gateway)
        self.assertEqual(client.request("GET", "/", "acme.test", [("Connection", "close")]).status, 200)
        self.assertTrue(client.is_closed())
        self.assertEqual(client.stream.ended, "end", "TLS ended without close_notify")

    def test_the_last_answer_is_whole_before_the_end(self):
        def sized(request):
            length = int(request.target.rsplit("/", 1)[1])
            if "/chunked/" in request.target:
                return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * length) + b"0\r\n\r\n"
            return text("x" * length)

        upstream = self.upstream(answer(sized))
        gateway = self.simple(upstream, top=self.tls_listener(self.leaf("acme.test")))
        for version in (V12, V13):
            context = self.authority.context()
            context.minimum_version = context.maximum_version = version
            for path in ("/0", "/1", "/15000", "/16384", "/17000", "/400000", "/chunked/10", "/chunked/70000"):
                with self.subTest(version=version.name, path=path):
                    client = self.open(gateway, context=context)
                    response = client.request("GET", path, "acme.test", [("Connection", "close")])
                    self.assertEqual(len(response.body), int(path.rsplit("/", 1)[1]))
                    self.assertTrue(client.is_closed())
                    self.assertEqual(client.stream.ended, "end", "TLS ended without close_notify")

    def test_ipv6_listeners(self):
        gateway = self.simple(
            self.upstream(), top=self.tls_listener(self.leaf("acme.test")).replace("127.0.0.1", "[::1]")
        )
        with RawClient(gateway.tls, host="::1", tls=self.authority.context(), sni="acme.test") as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
