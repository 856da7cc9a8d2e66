"""Whatever the gateway asks of others is over by its deadline, however they answer: a byte now and then is no answer."""

import os
import ssl
import time

from Support.case import Case
from Support.gateway import command


def dribble(data, every=0.5):
    """Says what `data` says, a byte at a time, and never comes to an end of it."""

    def behaviour(peer):
        for byte in data + b"x" * 10_000:
            peer.send(bytes([byte]))
            time.sleep(every)

    return behaviour


def endless(head, block=b"x" * 65536):
    """Says `head`, and then whatever is taken."""

    def behaviour(peer):
        peer.send(head)
        while True:
            peer.send(block)

    return behaviour


# A ServerHello that is said to be 16 KiB long.
HELLO = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"


class Deadlines(Case):
    seconds = 60

    def timed(self, *arguments, folder, trust=False):
        began = time.monotonic()
        environment = {"SSL_CERT_FILE": self.authority.certificate} if trust else {}
        done = command(*arguments, cwd=folder, within=40, environment=environment)
        return done, time.monotonic() - began

    def configured(self, text):
        with open(os.path.join(self.folder, "gateway.conf"), "w") as out:
            out.write(text)
        return self.folder

    def over_tls(self, behaviour):
        """A server that proves to be localhost and then answers its first request like that."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.leaf("localhost"))

        class Secure:
            def __init__(self, peer):
                self.socket = context.wrap_socket(peer.socket, server_side=True)
                self.send = self.socket.sendall

        def serve(peer):
            secure = Secure(peer)
            secure.socket.recv(65536)
            behaviour(secure)

        return self.upstream(serve)

    issuer_text = (
        "upstream app {{ server 127.0.0.1:2; }}\n"
        "jwt idp {{ issuer https://id.test; audience a; keys https://{host}:{port}/keys; algorithms ES256; "
        "tenant_claim tenant; }}\ntenant acme {{ host acme.test; upstream app; authenticate jwt; jwt idp; }}\n"
    )

    def issuer(self, port, host="127.0.0.1"):
        return self.configured("listen 127.0.0.1:1;\n" + self.issuer_text.format(host=host, port=port))

    def admin(self, port):
        """The folder of a gateway whose admin listener is somebody else's."""
        folder = self.configured(
            f"state ./state;\nadmin 127.0.0.1:{port};\nlisten 127.0.0.1:1;\nupstream app {{ server 127.0.0.1:2; }}\n"
            "tenant acme { host acme.test; upstream app; }\n"
        )
        os.mkdir(os.path.join(folder, "state"))
        with open(os.path.join(folder, "state", "admin.token"), "w") as out:
            out.write("0123456789abcdef0123456789abcdef\n")
        os.chmod(out.name, 0o600)
        return folder

    def test_a_key_set_fetch_in_its_handshake(self):
        server = self.upstream(dribble(HELLO))
        done, taken = self.timed("check", folder=self.issuer(server.port))
        self.assertIn("no answer in time", done.stderr)
        self.assertLess(taken, 12)

    def test_a_key_set_that_comes_byte_by_byte(self):
        server = self.over_tls(dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", every=0.2))
        done, taken = self.timed("check", folder=self.issuer(server.port, "localhost"), trust=True)
        self.assertIn("no answer in time", done.stderr)
        self.assertLess(taken, 12)

    def test_a_key_set_without_an_end(self):
        for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n"):
            server = self.over_tls(endless(head))
            done, taken = self.timed("check", folder=self.issuer(server.port, "localhost"), trust=True)
            self.assertIn("the answer is too large", done.stderr)
            self.assertLess(taken, 8)

    def test_a_running_gateway_whose_key_set_comes_byte_by_byte(self):
        server = self.over_tls(dribble(b"HTTP/1.1 200 OK\r\n", every=0.2))
        gateway = self.gateway(self.issuer_text.format(host="localhost", port=server.port), start=False)
        gateway.start(environment={"SSL_CERT_FILE": self.authority.certificate})
        began = time.monotonic()
        while "no answer in time" not in gateway.stderr and time.monotonic() - began < 20:
            asked = time.monotonic()
            self.assertEqual(gateway.get("/healthz")[0], 200)
            self.assertLess(time.monotonic() - asked, 2)
            time.sleep(0.1)
        self.assertLess(time.monotonic() - began, 12)

    def test_a_health_check_of_a_server_whose_body_has_no_end(self):
        server = self.upstream(endless(b"HTTP/1.1 200 OK\r\n\r\n"))
        gateway = self.simple(server, block="health_check /healthz interval=50ms timeout=1s fall=1 rise=1;")
        self.until(lambda: len(server.connections) > 5, "some checks")
        self.assertEqual(gateway.metrics().sum("gateway_upstream_healthy"), 1)
        self.assertNotIn("is out", gateway.stderr)
        # Two socket buffers full, and not more.
        self.assertLess(max(peer.sent for peer in list(server.connections)[:5]), 16 << 20)

    def test_a_health_check_of_a_server_whose_head_has_no_end(self):
        server = self.upstream(endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000))
        gateway = self.simple(server, block="health_check /healthz interval=50ms timeout=1s fall=1 rise=1;")
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") == 0, "the server out")
        self.assertIn("its answer is not valid HTTP", gateway.stderr)

    def test_an_answer_to_a_command_without_an_end(self):
        server = self.upstream(endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", b"x" * (1 << 20)))
        done, taken = self.timed("status", folder=self.admin(server.port))
        self.assertEqual(done.returncode, 1)
        # Which of the two comes first is the machine's business.
        self.assertRegex(done.stderr, "the answer is too large|no answer in time")
        self.assertLess(taken, 12)

    def test_a_command_that_asks_the_running_gateway(self):
        server = self.upstream(dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", every=0.2))
        done, taken = self.timed("status", folder=self.admin(server.port))
        self.assertEqual(done.returncode, 1)
        self.assertIn("no answer in time", done.stderr)
        self.assertLess(taken, 12)
