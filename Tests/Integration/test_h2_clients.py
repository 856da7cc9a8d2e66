"""Clients and servers of HTTP/2 that others have written: curl, nghttp, h2load, Python's h2; nghttpd and nginx behind the gateway."""

import os
import re
import socket
import subprocess
import tempfile

import h2.config
import h2.connection
import h2.events
from Support.client import until
from Support.gateway import end_with_parent
from Support.nginx import Nginx
from Support.ports import free_port
from Support.upstream import answer, echo, text
from test_h2 import CHUNKED, H2Case


def run(*words, within=60):
    done = subprocess.run(words, capture_output=True, timeout=within)
    if done.returncode != 0:
        raise AssertionError(f"{words}: {done.returncode} {done.stdout[-2000:]!r} {done.stderr[-2000:]!r}")
    return done.stdout


class Clients(H2Case):
    def curl(self, gateway, tls, *words):
        """(status, version, body)"""
        port = gateway.tls if tls else gateway.plain
        way = ["--http2", "--cacert", self.authority.certificate] if tls else ["--http2-prior-knowledge"]
        url = f"{'https' if tls else 'http'}://acme.test:{port}/a"
        said = run("curl", "-sS", *way, "--resolve", f"acme.test:{port}:127.0.0.1", "-w", "\n%{http_code} %{http_version}", *words, url)
        body, _, last = said.rpartition(b"\n")
        status, version = last.decode().split()
        return status, version, body

    def test_curl(self):
        gateway = self.edge(answer(lambda request: echo(request) if request.body else text(request.method + " " + request.target)))
        upload = os.path.join(tempfile.mkdtemp(dir=self.folder), "upload")
        with open(upload, "wb") as out:
            out.write(os.urandom(3_000_000))
        for tls in (True, False):
            with self.subTest(tls=tls):
                self.assertEqual(self.curl(gateway, tls), ("200", "2", b"GET /a"))
                self.assertEqual(self.curl(gateway, tls, "-I")[:2], ("200", "2"))
                status, _, body = self.curl(gateway, tls, "--data-binary", f"@{upload}")
                with open(upload, "rb") as file:
                    self.assertTrue((status, body) == ("200", file.read()), "another body")

    def test_nghttp(self):
        gateway = self.edge(answer(lambda request: text(b"x" * 100_000)))
        for url in (f"https://127.0.0.1:{gateway.tls}/", f"http://127.0.0.1:{gateway.plain}/"):
            with self.subTest(url):
                said = run("nghttp", "-ns", "-m", "50", "-H", ":authority: acme.test", url).decode()
                answers = [line for line in said.splitlines() if re.search(r" 200 .* /$", line)]
                self.assertEqual(len(answers), 50, said)

    def test_h2load(self):
        gateway = self.edge(self.upstream(answer(text(b"x" * 1000)), record=False))
        for url in (f"https://127.0.0.1:{gateway.tls}/", f"http://127.0.0.1:{gateway.plain}/"):
            with self.subTest(url):
                said = run("h2load", "-n", "2000", "-c", "4", "-m", "40", "-H", ":authority: acme.test", url).decode()
                self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", said)
                self.assertIn("status codes: 2000 2xx", said)

    def test_h2load_uploads(self):
        gateway = self.edge(self.upstream(answer(lambda request: text(str(len(request.body)))), record=False))
        upload = os.path.join(tempfile.mkdtemp(dir=self.folder), "upload")
        with open(upload, "wb") as out:
            out.write(b"x" * 200_000)
        url = f"https://127.0.0.1:{gateway.tls}/"
        said = run("h2load", "-n", "100", "-c", "2", "-m", "10", "-d", upload, "-H", ":authority: acme.test", url).decode()
        self.assertIn("status codes: 100 2xx", said)

    def test_python_h2(self):
        gateway = self.edge(answer(lambda request: text(request.method.encode() + b" " + bytes(request.body))))
        sock = self.authority.context(alpn=("h2",)).wrap_socket(
            socket.create_connection(("127.0.0.1", gateway.tls), 10), server_hostname="acme.test"
        )  # fmt: skip
        self.addCleanup(sock.close)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        connection.initiate_connection()
        bodies, statuses, left = {}, {}, set()
        for _ in range(20):
            stream = connection.get_next_available_stream_id()
            fields = [(":method", "PUT"), (":scheme", "https"), (":authority", "acme.test"), (":path", "/")]
            connection.send_headers(stream, fields)
            connection.send_data(stream, b"of %d" % stream, end_stream=True)
            left.add(stream)
        sock.sendall(connection.data_to_send())
        while left:
            for event in connection.receive_data(sock.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    statuses[event.stream_id] = dict(event.headers)[":status"]
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    left.discard(event.stream_id)
            sock.sendall(connection.data_to_send())
        self.assertEqual(set(statuses.values()), {"200"})
        self.assertEqual(bodies, {stream: b"PUT of %d" % stream for stream in bodies})

    def test_curl_s_body_without_a_length(self):
        def behaviour(peer):
            while peer.read_request():
                peer.send(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")

        self.assertEqual(self.curl(self.edge(behaviour), True), ("200", "2", b"hello"))


class Servers(H2Case):
    def behind(self, port):
        return self.gateway(
            self.tls_listener(self.leaf("acme.test")) + "upstream app { server 127.0.0.1:$app; protocols h2; }\n"
            "tenant acme { host acme.test; upstream app; }\n",
            app=port,
        )  # fmt: skip

    def files(self, www):
        for size in (0, 1, 1000, 100_000, 3_000_000):
            with open(os.path.join(www, str(size)), "wb") as out:
                out.write(b"%d" % size * size)

    def asked(self, gateway):
        for tls in (True, False):
            client = self.open(gateway, tls)
            for size in (0, 1, 1000, 100_000, 3_000_000):
                with self.subTest(tls=tls, size=size):
                    reply = client.get(f"/{size}")
                    self.assertEqual(reply.status, 200)
                    self.assertTrue(bytes(reply.body) == b"%d" % size * size, "another body")
            self.assertEqual(client.get("/none").status, 404)
            streams = [client.head(client.fields(path="/1000")) for _ in range(80)]
            self.assertEqual({client.answer(stream).status for stream in streams}, {200})

    def test_nginx(self):
        port = free_port()
        nginx = Nginx(tempfile.mkdtemp(dir=self.folder), f"listen 127.0.0.1:{port} http2;")
        self.addCleanup(nginx.close)
        self.files(nginx.www)
        self.asked(self.behind(port))

    def test_nghttpd(self):
        www, port = tempfile.mkdtemp(dir=self.folder), free_port()
        self.files(www)
        server = subprocess.Popen(
            ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", www, str(port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent,
        )  # fmt: skip
        self.addCleanup(lambda: (server.kill(), server.wait()))

        def answers():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False

        until(answers, "nghttpd")
        self.asked(self.behind(port))
