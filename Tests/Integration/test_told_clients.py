"""What an operator is told of clients that can't be served: the reason and the address, at a bounded rate."""

import re
import socket
import ssl

from Support.case import Case
from Support.client import RawClient

V12 = ssl.TLSVersion.TLSv1_2


class Clients(Case):
    def edge(self, more=""):
        return self.simple(self.upstream(), top=self.tls_listener(self.leaf("acme.test"), more=more))

    def said(self, gateway, pattern):
        return re.findall(r"^\d{4}-\S+Z (" + pattern + ")$", gateway.stderr, re.MULTILINE)

    def until_said(self, gateway, pattern):
        return self.until(lambda: self.said(gateway, pattern), f"{pattern} in the log")

    def client(self, port, text):
        return rf"client 127\.0\.0\.1 on 127\.0\.0\.1:{port}: {text}"

    def test_the_reason_for_a_400(self):
        gateway = self.edge()
        for request, reason in (
            (b"GET / HTTP/1.1\r\n\r\n", r"400, Host missing"),
            (b"GET / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400, .*"),
            (b"POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "400, .*chunk.*"),
            (b"GET / HTTP/3.7\r\nHost: acme.test\r\n\r\n", "505, .*"),
            (b"GET / HTTP/1.1\r\nHost: acme.test\r\nX: " + b"x" * 40000 + b"\r\n\r\n", "431, .*"),
        ):
            with self.subTest(reason), RawClient(gateway.plain) as client:
                client.send(request)
                response = client.read_response()
                self.assertEqual(str(response.status), reason[:3])
                request_id = response["x-request-id"]
                self.until_said(gateway, self.client(gateway.plain, rf"{reason} \(request {request_id}\)"))

    def test_plain_http_on_a_tls_port_is_told_to_both(self):
        gateway = self.edge()
        for request in (b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n", b"POST /x HTTP/1.0\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90000):
            with RawClient(gateway.tls) as client:
                client.send(request)
                problem = self.assert_problem(client.read_response(), 400, "bad-request", closes=True)
                self.assertIn("https", problem["detail"])
                self.assert_closed(client)
        self.until_said(gateway, self.client(gateway.tls, r"400, plain HTTP on a TLS port: use https:// \(request \w+\)(, and \d+ more)?"))
        self.assertEqual(gateway.metrics().sum("gateway_tls_handshakes_total", result="failure"), 2)

    def test_what_is_neither_tls_nor_http(self):
        gateway = self.edge()
        for number, first in enumerate((
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\nHost: acme.test\r\n\r\n", b"EHLO mail.test\r\n",
            b"GET /\r\n", b"\0" * 40, b"nonsense",
        )):  # fmt: skip
            with self.subTest(first=first), RawClient(gateway.tls, source=f"127.0.0.{number + 2}") as client:
                client.send(first)
                self.assert_closed(client)
                self.until_said(gateway, rf"client 127\.0\.0\.{number + 2} on 127\.0\.0\.1:{gateway.tls}: no TLS on a TLS port")
        self.assertNotIn("plain HTTP", gateway.stderr)

    def test_tls_on_a_plain_port(self):
        gateway = self.edge()
        with self.assertRaises((ssl.SSLError, OSError)):
            RawClient(gateway.plain, tls=self.authority.context(), sni="acme.test", timeout=3)
        self.until_said(gateway, self.client(gateway.plain, r"400, TLS on a plain HTTP port \(request \w+\)"))

    def test_why_a_handshake_failed(self):
        gateway = self.edge(more="min_version 1.3;")
        old = self.authority.context()
        old.maximum_version = V12
        with self.assertRaises((ssl.SSLError, OSError)):
            RawClient(gateway.tls, tls=old, sni="acme.test")
        self.until_said(gateway, self.client(gateway.tls, "TLS handshake failed: unsupported protocol"))
        with self.assertRaises((ssl.SSLError, OSError)):
            RawClient(gateway.tls, tls=ssl.create_default_context(), sni="acme.test").request("GET", "/", "acme.test")
        self.until_said(gateway, self.client(gateway.tls, "TLS handshake failed: .*alert unknown ca"))
        with socket.create_connection(("127.0.0.1", gateway.tls)) as client:
            client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        self.until_said(gateway, self.client(gateway.tls, "TLS handshake failed: closed by the client in the middle of it"))

    def test_whoever_only_looks_whether_the_port_is_open_is_not_told(self):
        gateway = self.edge()
        for _ in range(20):
            socket.create_connection(("127.0.0.1", gateway.tls)).close()
        with RawClient(gateway.plain) as client:
            client.send(b"nonsense\r\n\r\n")
            client.read_response()
        self.until_said(gateway, self.client(gateway.plain, ".*"))
        self.assertEqual(self.said(gateway, self.client(gateway.tls, ".*")), [])

    def test_thousands_are_counted_and_not_repeated(self):
        gateway = self.edge()
        for number in range(3000):
            with RawClient(gateway.plain, source=f"127.0.{1 + number // 250}.{1 + number % 250}") as client:
                client.send(b"GET / HTTP/1.1\r\n\r\n")
                self.assertEqual(client.read_response().status, 400)
        for _ in range(300):
            self.assertEqual(self.bad(gateway), 400)
        self.until(lambda: sum(map(int, re.findall(r" and (\d+) more", gateway.stderr))) + len(self.said(gateway, "client .*")) >= 3300,
                   "all of them, counted")
        self.assertLess(len(self.said(gateway, "client .*")), 700)

    def bad(self, gateway):
        with RawClient(gateway.plain) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            return client.read_response().status
