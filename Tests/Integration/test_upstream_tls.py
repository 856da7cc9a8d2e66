"""TLS towards upstreams: who a server is, is known before a request goes to it, and nothing is taken for whole that was cut."""

import hashlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from Support import h2
from Support.authorities import Holder, bundle
from Support.case import Case
from Support.client import RawClient
from Support.ports import free_port
from Support.upstream import answer, answer_and_close, drained, over_tls, text
import test_dialing
import test_names

APP = """upstream app { server 127.0.0.1:$app; connect_timeout 2s; $block tls { $tls_block } }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


def contexts(files, alpn=None, clients=None, most=None, least=None):
    """A server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    if least:
        context.minimum_version = least
    if most:
        context.maximum_version = most
    return context


class TLSCase(Case):
    def setUp(self):
        super().setUp()
        self.root = Holder(self.folder, "CN=root", seconds=90 * 86400)
        self.ca = bundle(self.folder, self.root)

    def secure(self, behaviour=None, *, hosts=("127.0.0.1",), files=None, context=None, host="127.0.0.1", port=0, record=True, **options):
        context = context or contexts(files or self.root.server(*hosts), **options)
        return self.upstream(over_tls(context, behaviour or answer(text("ok"))), host=host, port=port, record=record)

    def edge(self, app, tls=None, block="", **options):
        tls = f"ca {self.ca};" if tls is None else tls
        return self.gateway(APP, app=app, tls_block=tls, block=block, **options)

    def handshakes(self, gateway, **labels):
        return gateway.metrics().sum("gateway_upstream_tls_handshakes_total", upstream="app", **labels)

    def until_said(self, gateway, words, within=8):
        self.until(lambda: words in gateway.stderr, f"{words} in the log", within)

    def assert_refused(self, gateway, words, result="failure"):
        self.assert_problem(self.get(gateway), 502, "bad-upstream")
        self.until_said(gateway, words)
        self.assertGreaterEqual(self.handshakes(gateway, result=result), 1)
        self.assertEqual(self.handshakes(gateway, result="success"), 0)


class Verification(TLSCase):
    def test_a_server_that_proves_its_address(self):
        upstream = self.secure()
        gateway = self.edge(upstream)
        client = self.connect(gateway.plain)
        for _ in range(3):
            self.assertEqual(client.request("GET", "/", "acme.test").body, b"ok")
        self.assertEqual(len(upstream.connections), 1)
        self.assertIsNone(upstream.connections[0].name)
        self.assertEqual(upstream.connections[0].version, "TLSv1.3")
        self.assertEqual(upstream.requests[0]["x-forwarded-proto"], "http")
        self.assertEqual(self.handshakes(gateway, version="1.3", resumed="false", result="success"), 1)

    def test_names(self):
        for name, hosts, is_good in (
            ("pay.test", ("pay.test",), True), ("a.pay.test", ("*.pay.test",), True), ("pay.test", ("other.test",), False),
            ("b.a.pay.test", ("*.pay.test",), False), ("pay.test", ("pay.test.evil.test",), False), ("127.0.0.9", ("127.0.0.9",), True),
            ("127.0.0.9", ("127.0.0.1",), False), ("[::9]", ("::9",), True),
        ):  # fmt: skip
            with self.subTest(name=name, hosts=hosts):
                upstream = self.secure(hosts=hosts)
                gateway = self.edge(upstream, f"ca {self.ca}; name {name};")
                if is_good:
                    self.assertEqual(self.get(gateway).status, 200)
                    self.assertEqual(upstream.connections[0].name, name if "test" in name else None)
                else:
                    self.assert_refused(gateway, "fails: its certificate is refused: ")
                    self.assertFalse(upstream.requests)
                gateway.stop()

    def test_a_common_name_is_no_name(self):
        upstream = self.secure(files=self.root.client("CN=pay.test"))
        self.assert_refused(self.edge(upstream, f"ca {self.ca}; name pay.test;"), "its certificate is refused: hostname mismatch")

    def test_certificates_that_prove_nothing(self):
        other = Holder(self.folder, "CN=other")
        own = Holder(self.folder, "CN=own", authority=False, hosts=("127.0.0.1",)).save()
        for files, words in (
            (self.root.server("127.0.0.1", seconds=-60), "certificate has expired"),
            (other.server("127.0.0.1"), "self.signed certificate in certificate chain|unable to get local issuer certificate"),
            (own, "self.signed certificate"),
            (self.root.server("127.0.0.2"), "IP address mismatch"),
        ):
            with self.subTest(words):
                upstream = self.secure(files=files)
                gateway = self.edge(upstream)
                self.assert_problem(self.get(gateway), 502, "bad-upstream")
                self.until(lambda: re.search(f"its certificate is refused: ({words})", gateway.stderr), words)
                self.assertFalse(upstream.requests)
                gateway.stop()

    def test_the_system_believes_none_of_ours(self):
        self.assert_refused(self.edge(self.secure(), ""), "its certificate is refused: ")

    def test_a_certificate_that_is_named_is_believed_itself(self):
        own = Holder(self.folder, "CN=own", authority=False, hosts=("127.0.0.1",)).save()
        self.assertEqual(self.get(self.edge(self.secure(files=own), f"ca {own[0]};")).status, 200)
        below = self.root.sub("CN=below")
        files = Holder(self.folder, "CN=s", below, authority=False, hosts=("127.0.0.1",)).save()
        self.assertEqual(self.get(self.edge(self.secure(files=files), f"ca {bundle(self.folder, below)};")).status, 200)

    def test_without_verification_anybody_will_do(self):
        upstream = self.secure(files=Holder(self.folder, "CN=x", hosts=("x.test",), seconds=-60).save())
        gateway = self.edge(upstream, "verify off;")
        self.assertEqual(self.get(gateway).status, 200)
        self.assertIn("whoever stands between here and the servers can read and change all requests", gateway.stderr)

    def test_another_server_serves_instead(self):
        bad, good = self.secure(hosts=("x.test",)), self.secure()
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$bad; server 127.0.0.1:$good; balance round_robin; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            bad=bad, good=good, ca=self.ca,
        )  # fmt: skip
        for method, body in (("GET", None), ("POST", b"x" * 5000)):
            for _ in range(10):
                with RawClient(gateway.plain) as client:
                    self.assertEqual(client.request(method, "/", "acme.test", body=body).status, 200)
        self.assertFalse(bad.requests)
        self.assertTrue(bad.connections)

    def test_old_versions_are_not_spoken(self):
        # OpenSSL here has no older one than it may: what it refuses is enough.
        upstream = self.secure(most=ssl.TLSVersion.TLSv1_2)
        self.assertEqual(self.get(self.edge(upstream)).status, 200)
        self.assertEqual(upstream.connections[0].version, "TLSv1.2")
        gateway = self.edge(upstream, f"ca {self.ca}; min_version 1.3;")
        self.assert_refused(gateway, "its TLS handshake fails: ")

    def test_tls_1_1_alone(self):
        files, port = self.root.server("127.0.0.1"), free_port()
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", str(port), "-cert", files[0], "-key", files[1], "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the server")
        self.assert_refused(self.edge(port), "its TLS handshake fails: ")

    def test_a_certificate_of_our_own(self):
        clients = Holder(self.folder, "CN=clients")
        files = clients.client("CN=gateway")
        for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(most):
                upstream = self.secure(clients=bundle(self.folder, clients), most=most)
                gateway = self.edge(upstream, f"ca {self.ca}; certificate {files[0]} {files[1]};")
                self.assertEqual(self.get(gateway).status, 200)
                self.assertTrue(upstream.connections[0].certificate)
                gateway = self.edge(upstream)
                for _ in range(4):
                    self.assert_problem(self.get(gateway), 502, "bad-upstream")
                self.until(lambda: re.search("fails: .*(certificate required|handshake failure)", gateway.stderr), "why")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root and unshare")
    def test_a_template_verifies_each_name(self):
        upstream = self.secure(hosts=("acme.internal",))
        gateway = self.gateway(
            """upstream app { server {tenant}.internal:$app; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }
            tenant globex { host globex.test; authenticate none; upstream app; }""",
            app=upstream, ca=self.ca, start=False,
        )  # fmt: skip
        test_names.Names.apart(self, gateway, "127.0.0.1 acme.internal globex.internal\n")
        self.assertEqual(self.get(gateway).status, 200)
        self.assertEqual(upstream.connections[-1].name, "acme.internal")
        self.assert_problem(self.get(gateway, host="globex.test"), 502, "bad-upstream")
        self.assertEqual(len(upstream.requests), 1)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root and unshare")
    def test_a_name_of_whose_addresses_one_has_a_bad_certificate(self):
        closing = answer_and_close(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        good = self.secure(closing, hosts=("app.internal",), host="127.0.0.2")
        bad = self.secure(hosts=("other.internal",), host="127.0.0.3", port=good.port)
        gateway = self.gateway(
            """upstream app { server app.internal:$app; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=good, ca=self.ca, start=False,
        )  # fmt: skip
        test_names.Names.apart(self, gateway, "127.0.0.2 app.internal\n127.0.0.3 app.internal\n")
        for _ in range(20):
            with RawClient(gateway.plain) as client:
                self.assertEqual(client.request("POST", "/", "acme.test", body=b"x").status, 200)
        self.assertTrue(bad.connections)
        self.assertFalse(bad.requests)

    def test_two_upstreams_of_one_server_share_nothing(self):
        upstream = self.secure(hosts=("x.test",))
        gateway = self.gateway(
            """upstream lax { server 127.0.0.1:$app; tls { verify off; } }
            upstream strict { server 127.0.0.1:$app; tls { ca $ca; } }
            tenant lax { host lax.test; authenticate none; upstream lax; }
            tenant strict { host strict.test; authenticate none; upstream strict; }""",
            app=upstream, ca=self.ca, workers=1,
        )  # fmt: skip
        for _ in range(3):
            self.assertEqual(self.get(gateway, host="lax.test").status, 200)
            self.assertEqual(self.get(gateway, host="strict.test").status, 502)
        self.assertEqual({request["host"] for request in upstream.requests}, {"lax.test"})

    def test_ipv6(self):
        upstream = self.secure(hosts=("::1",), host="::1")
        gateway = self.gateway(
            """upstream app { server [::1]:$app; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }""", app=upstream, ca=self.ca)  # fmt: skip
        self.assertEqual(self.get(gateway).status, 200)


class Handshakes(TLSCase):
    def test_what_is_no_handshake(self):
        def silent(peer):
            peer.wait_for_end()

        def cut(peer):
            peer.socket.recv(100)

        def reset(peer):
            peer.socket.recv(5)
            peer.reset()

        def garbage(peer):
            peer.socket.recv(5)
            peer.send(os.urandom(4000))

        def plain(peer):
            peer.socket.recv(5)
            peer.send(text("plain"))

        def record(peer):
            peer.socket.recv(5)
            # A handshake record as long as can be, of which nothing comes.
            peer.send(b"\x16\x03\x03\x40\x00")
            peer.wait_for_end()

        for behaviour, words, result in (
            (silent, "its TLS handshake takes too long", "timeout"), (cut, "it ends the connection in the TLS handshake", "failure"),
            (reset, "it ends the connection in the TLS handshake", "failure"), (garbage, "its TLS handshake fails: ", "failure"),
            (plain, "its TLS handshake fails: ", "failure"), (record, "its TLS handshake takes too long", "timeout"),
        ):  # fmt: skip
            with self.subTest(behaviour.__name__):
                gateway = self.edge(self.upstream(behaviour), block="" if result == "failure" else "")
                began = time.monotonic()
                self.assert_refused(gateway, words, result)
                self.assertLess(time.monotonic() - began, 6)
                gateway.stop()

    def test_a_slow_handshake_keeps_nobody_waiting(self):
        slow = self.upstream(lambda peer: peer.wait_for_end())
        quick = self.secure()
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$slow; connect_timeout 3s; tls { ca $ca; } }
            upstream quick { server 127.0.0.1:$quick; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }
            tenant quick { host quick.test; authenticate none; upstream quick; }""",
            slow=slow, quick=quick, ca=self.ca, workers=1,
        )  # fmt: skip
        held = [self.connect(gateway.plain) for _ in range(20)]
        for client in held:
            client.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.get(gateway, host="quick.test").status, 200)
        self.assertLess(time.monotonic() - began, 2)
        for client in held:
            self.assertEqual(client.read_response().status, 502)

    def test_another_server_is_tried_beside_a_silent_one(self):
        silent, good = self.upstream(lambda peer: peer.wait_for_end()), self.secure()
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$silent; server 127.0.0.1:$good; balance round_robin; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            silent=silent, good=good, ca=self.ca, workers=1,
        )  # fmt: skip
        for _ in range(4):
            began = time.monotonic()
            self.assertEqual(self.get(gateway).status, 200)
            self.assertLess(time.monotonic() - began, 2)

    def test_byte_by_byte(self):
        backend = self.secure()

        def dribble(peer):
            server = socket.create_connection(("127.0.0.1", backend.port))
            self.addCleanup(server.close)

            def back():
                while data := server.recv(1):
                    peer.send(data)

            threading.Thread(target=back, daemon=True).start()
            while data := peer.socket.recv(1):
                server.sendall(data)

        gateway = self.edge(self.upstream(dribble, record=False))
        self.assertEqual(self.get(gateway).body, b"ok")

    def test_sessions_are_resumed_and_those_of_tls_1_3_once(self):
        for most, version in ((ssl.TLSVersion.TLSv1_3, "1.3"), (ssl.TLSVersion.TLSv1_2, "1.2")):
            with self.subTest(version):

                def one(peer):
                    peer.read_request()
                    peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

                upstream = self.secure(one, most=most)
                gateway = self.edge(upstream, workers=1)
                for _ in range(12):
                    self.assertEqual(self.get(gateway).status, 200)
                self.assertEqual([peer.resumed for peer in upstream.connections], [False] + [True] * 11)
                self.assertEqual(self.handshakes(gateway, version=version, resumed="true", result="success"), 11)
                gateway.stop()

    def test_a_session_does_not_outlive_its_certificate(self):
        def one(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

        upstream = self.secure(one, files=self.root.server("127.0.0.1", seconds=4))
        gateway = self.edge(upstream, workers=1)
        self.assertEqual(self.get(gateway).status, 200)
        self.until(lambda: self.get(gateway).status == 502, "the end of the certificate", within=10, every=0.3)


class Protocols(TLSCase):
    H2 = staticmethod(h2.answers(lambda request: request.get(":scheme").encode()))

    @staticmethod
    def both(peer):
        """Speaks what was agreed on."""
        if peer.socket.selected_alpn_protocol() == "h2":
            Protocols.H2(peer)
        else:
            answer(text("h1"))(peer)

    def test_what_is_negotiated_is_spoken(self):
        for offers, alpn, body in (
            ("h2 http/1.1", ("h2", "http/1.1"), b"https"), ("http/1.1 h2", ("http/1.1", "h2"), b"h1"),
            ("h2 http/1.1", ("http/1.1",), b"h1"), ("http/1.1 h2", ("h2",), b"https"), ("h2", ("h2",), b"https"),
            ("h2 http/1.1", None, b"h1"), ("http/1.1", None, b"h1"), ("http/1.1", ("h2", "http/1.1"), b"h1"),
        ):  # fmt: skip
            with self.subTest(offers=offers, alpn=alpn):
                upstream = self.secure(self.both, alpn=alpn, record=False)
                gateway = self.edge(upstream, block=f"protocols {offers};", workers=1)
                client = self.connect(gateway.plain)
                for _ in range(4):
                    self.assertEqual(client.request("GET", "/", "acme.test").body, body)
                self.assertEqual(len(upstream.connections), 1)
                gateway.stop()

    def test_nothing_in_common(self):
        for offers, alpn in (("h2", None), ("h2", ("http/1.1",)), ("http/1.1", ("h2",))):
            with self.subTest(offers=offers, alpn=alpn):
                upstream = self.secure(self.both, alpn=alpn, record=False)
                gateway = self.edge(upstream, block=f"protocols {offers};")
                status = self.get(gateway).status
                # A server that ignores what it was offered speaks HTTP/1.1, and says so by saying nothing.
                if offers == "http/1.1":
                    self.assertEqual(status, 200)
                else:
                    self.assertEqual(status, 502)
                    self.until_said(gateway, "it speaks none of the upstream's protocols (ALPN)")
                gateway.stop()

    def test_a_crowd_while_it_is_not_known_what_is_spoken(self):
        for alpn in (("h2", "http/1.1"), ("http/1.1",)):
            with self.subTest(alpn):
                upstream = self.secure(self.both, alpn=alpn, record=False)
                gateway = self.edge(upstream, block="protocols h2 http/1.1;", workers=1)
                clients = [self.connect(gateway.plain) for _ in range(40)]
                for client in clients:
                    client.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                for client in clients:
                    self.assertEqual(client.read_response().status, 200)
                if "h2" in alpn:
                    self.assertEqual(len(upstream.connections), 1)
                gateway.stop()

    def test_servers_of_both_kinds(self):
        one = self.secure(self.both, alpn=("h2",), record=False)
        two = self.secure(self.both, alpn=("http/1.1",), record=False)
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$one; server 127.0.0.1:$two; balance round_robin; protocols h2 http/1.1; tls { ca $ca; } }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            one=one, two=two, ca=self.ca, workers=1,
        )  # fmt: skip
        client = self.connect(gateway.plain)
        self.assertEqual({client.request("GET", "/", "acme.test").body for _ in range(6)}, {b"h1", b"https"})

    def test_grpc(self):
        def behaviour(server):
            while taken := server.request():
                server.respond(taken[0], bytes(taken[1].body), fields=[("content-type", "application/grpc")], trailers=[("grpc-status", "0")])

        upstream = self.secure(h2.serving(behaviour), alpn=("h2",), record=False)
        gateway = self.edge(upstream, block="protocols h2;")
        client = h2.Client(gateway.plain)
        self.addCleanup(client.close)
        message = struct.pack(">BI", 0, 5) + b"hello"
        reply = client.post(message, "/hello.Greeter/Say", more=[("content-type", "application/grpc"), ("te", "trailers")])
        self.assertEqual((reply.status, bytes(reply.body)), (200, message))
        self.assertEqual(reply.get("grpc-status", reply.trailers), "0")

    def test_a_tunnel(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n")
            while peer.stream.buffer or peer.stream.fill():
                peer.send(peer.stream.take(len(peer.stream.buffer)))

        upstream = self.secure(behaviour)
        gateway = self.edge(upstream)
        client = self.connect(gateway.plain)
        client.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n")
        self.assertEqual(client.read_response().status, 101)
        client.send(b"ping")
        self.assertEqual(client.stream.exactly(4), b"ping")
        client.socket.shutdown(socket.SHUT_WR)
        self.assertFalse(client.stream.fill())
        self.assertEqual(upstream.connections[0].stream.ended, "end")


class Bodies(TLSCase):
    seconds = 120
    SIZE = 100 << 20

    def test_large_ones_both_ways(self):
        piece = os.urandom(1 << 20)
        sums = []

        def behaviour(peer):
            request = peer.read_head()
            digest, left = hashlib.sha256(), int(request["content-length"])
            while left:
                if not peer.stream.buffer:
                    peer.stream.need()
                data = peer.stream.take(left)
                digest.update(data)
                left -= len(data)
            sums.append(digest.hexdigest())
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
            for _ in range(self.SIZE >> 20):
                peer.send(piece)

        upstream = self.secure(behaviour, record=False)
        gateway = self.edge(upstream, block="response_timeout 60s;", workers=1)
        client = self.connect(gateway.plain)
        client.socket.settimeout(60)
        client.send(b"PUT / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
        wanted = hashlib.sha256()
        for _ in range(self.SIZE >> 20):
            wanted.update(piece)
            client.send(piece)
        reply = client.read_head()
        self.assertEqual(reply.status, 200)
        time.sleep(1)  # a client that takes its time: what it does not take is not read
        self.assert_bar(gateway.resident, 120 << 20)
        got, left = hashlib.sha256(), self.SIZE
        while left:
            if not client.stream.buffer:
                client.stream.need()
            data = client.stream.take(left)
            got.update(data)
            left -= len(data)
        self.assertEqual(got.hexdigest(), wanted.hexdigest())
        self.assertEqual(sums, [wanted.hexdigest()])

    def test_an_echo_whose_server_reads_only_what_it_has_sent_on(self):
        size = 30 << 20

        def behaviour(peer):
            request = peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            left = size
            while left:
                if not peer.stream.buffer:
                    peer.stream.need()
                data = peer.stream.take(left)
                left -= len(data)
                peer.send(data)

        gateway = self.edge(self.secure(behaviour, record=False), block="response_timeout 20s;", workers=1)
        client = self.connect(gateway.plain)
        client.socket.settimeout(30)
        client.send(b"PUT / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: %d\r\n\r\n" % size)

        def upload():
            for _ in range(size >> 20):
                client.socket.sendall(b"x" * (1 << 20))

        thread = threading.Thread(target=upload, daemon=True)
        thread.start()
        reply = client.read_head()
        left = size
        while left:
            if not client.stream.buffer:
                client.stream.need()
            left -= len(client.stream.take(left))
        thread.join(10)
        self.assertEqual(reply.status, 200)

    def test_an_end_that_is_none(self):
        def cut(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\npart")
            drained(peer.socket)
            peer.close()

        def whole(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nwhole")

        gateway = self.edge(self.secure(whole))
        client = self.connect(gateway.plain)
        client.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertEqual(client.read_response().body, b"whole")
        gateway = self.edge(self.secure(cut))
        client = self.connect(gateway.plain)
        client.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        with self.assertRaises(Exception):
            client.read_response()

    def test_it_speaks_before_it_is_asked(self):
        def early(peer):
            peer.send(text("early"))
            peer.wait_for_end()

        upstream = self.secure(early, most=ssl.TLSVersion.TLSv1_2)
        gateway = self.edge(upstream)
        reply = self.get(gateway)
        self.assertIn(reply.status, (502, 200))

    def test_renegotiation_is_not_done(self):
        files, port = self.root.server("127.0.0.1"), free_port()
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", str(port), "-cert", files[0], "-key", files[1], "-tls1_2", "-legacy_renegotiation"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the server")
        gateway = self.edge(port, block="response_timeout 5s;")
        client = self.connect(gateway.plain)
        client.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        seen = b""
        while b"x-forwarded-for" not in seen.lower():
            seen += server.stdout.read1()
        server.stdin.write(b"R\n")
        server.stdin.flush()
        time.sleep(0.3)
        try:
            server.stdin.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            server.stdin.flush()
        except BrokenPipeError:
            pass
        # Whatever its server makes of a client that does not: it is answered, once.
        self.assertIn(client.read_response().status, (200, 502))
        self.assertEqual(self.get(gateway, "/healthz").status, 502) if server.poll() is not None else None


class Reloads(TLSCase):
    seconds = 60

    def test_an_unchanged_reload_keeps_connections_and_sessions(self):
        upstream = self.secure()
        gateway = self.edge(upstream, workers=1)
        client = self.connect(gateway.plain)
        for _ in range(3):
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            self.assertNotIn("changed (tls)", gateway.reload())
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(len(upstream.connections), 1)

    def test_a_rejected_reload_takes_none_of_them(self):
        upstream = self.secure()
        gateway = self.edge(upstream, workers=1)
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        other = bundle(self.folder, Holder(self.folder, "CN=other"))
        for tls in (f"ca {self.ca}; min_version 1.3;", f"ca {other};", f"ca {self.ca}; verify off;"):
            with self.subTest(tls):
                gateway.write(APP + "nonsense;", tls_block=tls)
                self.assertEqual(gateway.command("reload", "-c", gateway.file).returncode, 1)
                gateway.write(APP, tls_block=f"ca {self.ca};")
                self.assertNotIn("changed (tls)", gateway.reload())
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(len(upstream.connections), 1)

    def test_connections_under_what_has_gone_are_used_no_more(self):
        go, begun = threading.Event(), threading.Event()

        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/slow":
                    begun.set()
                    go.wait(10)
                peer.send(text("ok"))

        upstream = self.secure(behaviour)
        gateway = self.edge(upstream, workers=1)
        slow, client = self.connect(gateway.plain), self.connect(gateway.plain)
        slow.send(b"GET /slow HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertTrue(begun.wait(5))
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(len(upstream.connections), 2)
        # The file holds another authority now: the server's certificate is worth nothing.
        with open(self.ca, "w") as out:
            out.write(Holder(self.folder, "CN=new").pem)
        self.assertIn("upstream app: changed (tls)", gateway.reload())
        self.assert_problem(client.request("GET", "/", "acme.test"), 502, "bad-upstream")
        go.set()
        self.assertEqual(slow.read_response().status, 200)
        self.assertEqual(slow.request("GET", "/", "acme.test").status, 502)
        with open(self.ca, "w") as out:
            out.write(self.root.pem)
        gateway.reload()
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertFalse(upstream.connections[-1].resumed)
        gateway.write(APP, tls_block="verify off;")
        gateway.reload()
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertFalse(upstream.connections[-1].resumed)

    def test_what_was_not_verified_is_resumed_under_no_other_terms(self):
        for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(most):
                context = contexts(Holder(self.folder, "CN=x", hosts=("x.test",)).save(), most=most)
                full = test_dialing.Full(self)
                gateway = self.edge(full.port, "verify off;", workers=1)
                early = self.connect(gateway.plain)
                early.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                self.until(lambda: gateway.metrics().sum("gateway_upstream_connections", state="active") == 1, "a connection")
                gateway.write(APP, tls_block=f"ca {self.ca};")
                gateway.reload()
                # The kernel asks once more, and is answered.
                full.listener.close()
                upstream = self.secure(context=context, port=full.port)
                self.assertEqual(early.read_response().status, 200)
                self.assert_problem(self.get(gateway), 502, "bad-upstream")
                self.assertEqual(len(upstream.requests), 1)
                gateway.stop()

    def test_what_was_negotiated_before_tells_nothing_of_what_comes(self):
        go, begun = threading.Event(), threading.Event()
        self.addCleanup(go.set)
        context = contexts(self.root.server("127.0.0.1"), alpn=("h2",))

        def behaviour(peer):
            if peer.socket.recv(1, socket.MSG_PEEK) != b"\x16":
                return answer(text("plain"))(peer)
            begun.set()
            go.wait(5)
            over_tls(context, h2.answers(b"ok"))(peer)

        gateway = self.edge(self.upstream(behaviour), block="protocols h2 http/1.1;", workers=1)
        early = self.connect(gateway.plain)
        early.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        self.assertTrue(begun.wait(5))
        gateway.write(APP.replace("tls { $tls_block }", ""), block="")
        gateway.reload()
        go.set()
        self.assertEqual(early.read_response().body, b"ok")
        for _ in range(2):
            self.assertEqual(self.get(gateway).body, b"plain")

    def test_reloads_under_load_fail_no_request(self):
        upstream = self.secure(record=False)
        gateway = self.edge(upstream)
        failures, stop = [], threading.Event()

        def ask():
            with RawClient(gateway.plain) as client:
                while not stop.is_set():
                    try:
                        if client.request("GET", "/", "acme.test").status != 200:
                            failures.append("status")
                    except Exception as error:
                        failures.append(repr(error))
                        return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(8):
            gateway.write(APP, tls_block=f"ca {self.ca}; min_version {'1.3' if number % 2 else '1.2'};")
            gateway.reload()
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join(10)
        self.assertEqual(failures, [])

    def test_a_handshake_of_before_does_not_say_what_is_spoken_now(self):
        """It ends after a reload, and agrees on the other protocol than the one that the upstream has from now on."""
        for before, after, agreed in (("protocols h2 http/1.1;", "", "h2"), ("protocols http/1.1;", "protocols h2;", "http/1.1")):
            with self.subTest(agreed=agreed):
                go = threading.Event()
                early = over_tls(contexts(self.root.server("127.0.0.1"), alpn=(agreed,)), Protocols.both)

                def behaviour(peer):
                    if peer.number == 0:
                        go.wait(10)
                        early(peer)
                    elif peer.socket.recv(3, socket.MSG_PEEK) == b"PRI":
                        h2.answers(b"plain h2")(peer)
                    else:
                        answer(text("plain h1"))(peer)

                upstream = self.upstream(behaviour, record=False)
                app = "upstream app { server 127.0.0.1:$app; connect_timeout 5s; $block }\n" + APP.split("\n", 1)[1]
                gateway = self.gateway(app, app=upstream, block=f"{before} tls {{ ca {self.ca}; }}", workers=1)
                first, next_one = self.connect(gateway.plain), self.connect(gateway.plain)
                first.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                self.until(lambda: upstream.connections, "a handshake is under way")
                gateway.write(app, block=after)
                self.assertIn("upstream app: changed", gateway.reload())
                go.set()
                self.assertEqual(first.read_response().status, 200)
                spoken = b"plain h2" if after else b"plain h1"
                for _ in range(2):
                    self.assertEqual(next_one.request("GET", "/", "acme.test").body, spoken)
                gateway.stop()

    def test_check_says_what_is_wrong_with_files(self):
        def said(tls):
            return self.checked(
                "admin 127.0.0.1:1;\nlisten 127.0.0.1:2;\nupstream app {\n    server 127.0.0.1:3;\n    tls {\n        " + tls + "\n"
                "    }\n}\ntenant acme { host acme.test; upstream app; }\n")  # fmt: skip

        done = said("ca missing.pem;")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, r":6:12: error: can't read the authorities .*missing.pem")
        files = Holder(self.folder, "CN=gateway", seconds=-60).save()
        done = said(f"certificate {files[0]} {files[1]};")
        self.assertRegex(done.stdout + done.stderr, r":6:21: warning: the certificate .* has expired")
        done = said(f"certificate {files[0]} missing.key;")
        self.assertRegex(done.stdout + done.stderr, r":6:\d+: error: can't read .*missing.key")
        done = said("verify off;")
        self.assertRegex(done.stdout + done.stderr, r":6:16: warning: whoever stands between")


class HealthChecks(TLSCase):
    def test_they_go_over_tls(self):
        upstream = self.secure(hosts=("pay.test",))
        gateway = self.edge(upstream, f"ca {self.ca}; name pay.test;", block="health_check /health interval=50ms timeout=40ms;")
        request = upstream.next_request()
        self.assertEqual((request.method, request.target), ("GET", "/health"))
        self.assertEqual(upstream.connections[0].name, "pay.test")
        self.assertEqual(self.get(gateway).status, 200)

    def test_a_server_that_proves_nothing_is_out(self):
        upstream = self.secure(hosts=("pay.test",))
        gateway = self.edge(upstream, block="health_check /health interval=100ms timeout=90ms fall=2;")
        self.until_said(gateway, "is out: ")
        self.assertIn("the server's certificate is refused", gateway.stderr)
        self.assert_problem(self.get(gateway), 503, "no-healthy-upstream")
        self.assertFalse(upstream.requests)
