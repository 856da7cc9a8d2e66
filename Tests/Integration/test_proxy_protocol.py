"""PROXY headers, taken from proxies in front and sent to servers behind: whose connection it is, is the client's everywhere."""

import socket
import ssl
import struct
import threading
import time

from Support import h2
from Support.authorities import Holder, bundle
from Support.case import Case
from Support.ports import free_port
from Support.upstream import over_tls, text

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
APP = "upstream app { server 127.0.0.1:$app; $block }\ntenant acme { host acme.test; authenticate none; upstream app; }\n"
ASK = b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n"


def second(source, destination="192.0.2.2", ports=(56324, 443), more=b"", command=0x21):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack(">HH", *ports) + more
    return SIGNATURE + bytes([command, 0x21 if ":" in source else 0x11]) + struct.pack(">H", len(body)) + body


def first(source, destination="192.0.2.2", ports=(56324, 443)):
    kind = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {kind} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def header(sock):
    """What a connection begins with: (bytes, client, port), where `client` is None for LOCAL and UNKNOWN."""
    data = b""
    while len(data) < 13:
        more = sock.recv(13 - len(data))
        if not more:
            raise ConnectionResetError()
        data += more
    if not data.startswith(SIGNATURE):
        while not data.endswith(b"\r\n"):
            data += sock.recv(1)
        words = data.decode().split()
        return data, None if words[1] == "UNKNOWN" else words[2], words[4:] and int(words[4])
    data += sock.recv(3)
    length = struct.unpack(">H", data[14:16])[0]
    body = sock.recv(length) if length else b""
    if data[12] == 0x20:
        return data + body, None, None
    size = 4 if data[13] == 0x11 else 16
    address = socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, body[:size])
    return data + body, address, struct.unpack(">H", body[2 * size : 2 * size + 2])[0]


class Taken(Case):
    def edge(self, upstream=None, top="", trusted="127.0.0.0/8", **options):
        self.app = upstream or self.upstream()
        leaf = self.leaf("acme.test")
        return self.gateway(
            (f"trusted_proxies {trusted};\n" if trusted else "") + top + APP
            + "listen 127.0.0.1:$proxied { proxy_protocol on; }\n"
            + f"listen 127.0.0.1:$tls tls {{ certificate {leaf[0]} {leaf[1]}; proxy_protocol on; }}\n",
            app=self.app, block="", proxied=free_port(), **options,
        )  # fmt: skip

    def proxied(self, gateway):
        return gateway.values["proxied"]

    def ask(self, gateway, start, within=5):
        client = self.connect(self.proxied(gateway))
        client.send(start + ASK)
        return client.read_response()

    def test_the_address_is_the_clients_everywhere(self):
        gateway = self.edge()
        for start, address in (
            (first("198.51.100.7"), "198.51.100.7"), (first("2001:db8::7", "::1"), "2001:db8::7"),
            (second("198.51.100.8"), "198.51.100.8"), (second("2001:db8::8", "::1"), "2001:db8::8"),
            (second("198.51.100.9", more=b"\4" + struct.pack(">H", 3000) + bytes(3000)), "198.51.100.9"),
            (second("198.51.100.9", more=bytes(60000)), "198.51.100.9"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (b"PROXY UNKNOWN what ever\r\n", "127.0.0.1"),
            (SIGNATURE + b"\x20\0\0\0", "127.0.0.1"), (second("198.51.100.1", command=0x20), "127.0.0.1"),
            (SIGNATURE + b"\x21\0\0\0", "127.0.0.1"),
        ):  # fmt: skip
            with self.subTest(start[:60]):
                self.assertEqual(self.ask(gateway, start).status, 200)
                request = self.app.next_request()
                self.assertEqual(request["x-forwarded-for"], address)
                self.assertEqual(request["x-real-ip"], address)
                node = f'"[{address}]"' if ":" in address else address
                self.assertEqual(request["forwarded"], f"for={node};proto=http;host=acme.test")
                line = gateway.log_line(lambda line: line["request_id"] == request["x-request-id"])
                self.assertEqual(line["client"], address)

    def test_by_tls_too(self):
        gateway = self.edge()
        for start in (first("198.51.100.7"), second("198.51.100.7", more=b"\3\0\4abcd")):
            for alpn in ("http/1.1", "h2"):
                sock = socket.create_connection(("127.0.0.1", gateway.tls), timeout=5)
                self.addCleanup(sock.close)
                sock.sendall(start)
                secure = self.authority.context(alpn=(alpn,)).wrap_socket(sock, server_hostname="acme.test")
                if alpn == "h2":
                    client = h2.Client.__new__(h2.Client)
                    original, socket.create_connection = socket.create_connection, lambda *_, **__: secure
                    try:
                        client.__init__(gateway.tls)
                    finally:
                        socket.create_connection = original
                    self.assertEqual(client.get("/").status, 200)
                else:
                    secure.sendall(ASK)
                    self.assertIn(b"200 OK", secure.recv(4096))
                request = self.app.next_request()
                self.assertEqual((request["x-forwarded-for"], request["x-forwarded-proto"]), ("198.51.100.7", "https"))

    def test_byte_by_byte_and_with_what_follows(self):
        gateway = self.edge()
        for start in (first("198.51.100.7"), second("198.51.100.7", more=b"\4\0\2ab")):
            client = self.connect(self.proxied(gateway))
            for byte in start + ASK:
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().status, 200)
            self.assertEqual(self.app.next_request()["x-forwarded-for"], "198.51.100.7")
            # It stands at the beginning alone.
            client.send(start + ASK)
            self.assertEqual(client.read_response().status, 400)

    def test_anything_else_is_closed(self):
        gateway = self.edge()
        cases = (
            ASK, b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", b"PROXY TCP4 1.2.3.4\r\n", first("198.51.100.7").replace(b"\r\n", b"\n"),
            b"PROXY TCP4 198.51.100.7 192.0.2.2 56324 443 \r\n", b"PROXY " + b"x" * 200 + b"\r\n", SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
            SIGNATURE + b"\x21\x12\0\x0c" + bytes(12), SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), b"\r\n\r\n\0\r\nQUIP\n", bytes(100),
        )  # fmt: skip
        for start in cases:
            with self.subTest(start[:40]):
                client = self.connect(self.proxied(gateway))
                try:
                    client.send(start + ASK)
                except OSError:
                    pass
                self.assert_closed(client)
                self.assertFalse(client.stream.buffer)
        self.assertEqual(gateway.metrics().sum("gateway_proxy_headers_refused_total"), len(cases))
        self.until(lambda: "no PROXY header: the connection does not begin with one" in gateway.stderr, "a line")
        self.assertFalse(self.app.requests)
        # Cut in the middle; and whoever says nothing at all is only looking.
        for start, count in ((b"PROXY TCP4 1", 1), (second("198.51.100.7")[:20], 1), (second("198.51.100.7", more=bytes(500))[:200], 1), (b"", 0)):
            before = gateway.metrics().sum("gateway_proxy_headers_refused_total")
            client = self.connect(self.proxied(gateway))
            client.send(start)
            client.socket.shutdown(socket.SHUT_WR)
            self.assert_closed(client)
            self.assertEqual(gateway.metrics().sum("gateway_proxy_headers_refused_total"), before + count)
        self.assertEqual(gateway.metrics().sum("gateway_connections"), 0)

    def test_only_trusted_proxies_may_say_it(self):
        gateway = self.edge(trusted="10.0.0.0/8")
        for start in (first("198.51.100.7"), b"PROXY UNKNOWN\r\n", ASK):
            client = self.connect(self.proxied(gateway))
            try:
                client.send(start + ASK)
            except OSError:
                pass
            self.assert_closed(client)
        self.until(lambda: "no PROXY header: it comes from an address that is not in trusted_proxies" in gateway.stderr, "a line")
        gateway = self.edge(trusted="")
        self.assertIn("every connection is closed: no address may send a PROXY header", gateway.stderr)

    def test_header_timeout_bounds_it(self):
        gateway = self.edge(top="limits { header_timeout 300ms; }")
        for start in (b"", b"PROXY", second("198.51.100.7", more=bytes(50))[:40]):
            client = self.connect(self.proxied(gateway))
            client.send(start)
            self.assert_closed(client, within=2)

    def test_what_the_client_says_of_itself_is_not_believed(self):
        gateway = self.edge()
        client = self.connect(self.proxied(gateway))
        client.send(first("198.51.100.7"))
        client.request("GET", "/", "acme.test", fields=[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https")])
        request = self.app.next_request()
        self.assertEqual((request["x-forwarded-for"], request["x-forwarded-proto"]), ("198.51.100.7", "http"))
        # A trusted proxy behind another one that only passes connections on is.
        client = self.connect(self.proxied(gateway))
        client.send(first("127.9.9.9"))
        client.request("GET", "/", "acme.test", fields=[("X-Forwarded-For", "1.1.1.1")])
        self.assertEqual(self.app.next_request()["x-forwarded-for"], "1.1.1.1, 127.9.9.9")

    def test_others_listeners_take_none(self):
        gateway = self.edge()
        client = self.connect(gateway.plain)
        client.send(first("198.51.100.7") + ASK)
        self.assertEqual(client.read_response().status, 400)

    def test_a_drain_waits_for_none(self):
        gateway = self.edge()
        self.connect(self.proxied(gateway))
        self.assertEqual(self.ask(gateway, first("198.51.100.7")).status, 200)
        began = time.monotonic()
        gateway.stop()
        self.assertLess(time.monotonic() - began, 2.5)


class Sent(Case):
    def server(self, behaviour=None, host="127.0.0.1"):
        """Notes what each connection begins with, and on which one each request came."""
        self.begun, self.asked = [], []

        def serve(peer):
            try:
                begun = header(peer.socket)
            except (ConnectionResetError, IndexError):
                return
            peer.begun = begun
            self.begun.append(begun)
            (behaviour or self.answers)(peer)

        return self.upstream(serve, record=False, host=host)

    def answers(self, peer):
        while request := peer.read_request():
            self.asked.append((peer.begun[1], request["x-forwarded-for"]))
            peer.send(text("ok"))

    def edge(self, app, block, **options):
        return self.gateway(
            "trusted_proxies 127.0.0.0/8;\nlisten 127.0.0.1:$proxied { proxy_protocol on; }\n" + APP,
            app=app, block=block, proxied=free_port(), **options,
        )  # fmt: skip

    def test_servers_are_told_who_asks(self):
        for version in ("v1", "v2"):
            with self.subTest(version):
                gateway = self.edge(self.server(), f"proxy_protocol {version};", workers=1)
                client = self.connect(gateway.plain)
                for _ in range(3):
                    self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
                own = client.socket.getsockname()
                form = first if version == "v1" else second
                self.assertEqual([one[0] for one in self.begun], [form("127.0.0.1", "127.0.0.1", (own[1], gateway.plain))])
                client = self.connect(gateway.values["proxied"])
                client.send(first("2001:db8::7", "2001:db8::8", (7, 8)))
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
                self.assertEqual(self.begun[-1][0], form("2001:db8::7", "2001:db8::8", (7, 8)))
                gateway.stop()

    def test_a_connection_serves_one_client_alone(self):
        gateway = self.edge(self.server(), "proxy_protocol v2; max_connections 4;", workers=1)
        clients = []
        for number in range(8):
            client = self.connect(gateway.values["proxied"])
            client.send(first(f"198.51.100.{number}"))
            clients.append(client)
        for _ in range(4):
            for client in clients:
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual([told for told, asked in self.asked if told != asked], [])
        self.assertEqual(len(self.asked), 32)
        # Another connection of the same client goes on the same one.
        before = len(self.begun)
        client = self.connect(gateway.values["proxied"])
        client.send(first("198.51.100.7", ports=(1, 2)))
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(len(self.begun), before)

    def test_so_does_one_of_http2(self):
        def behaviour(peer):
            server = h2.Served(peer)
            while taken := server.request():
                self.asked.append((peer.begun[1], taken[1].get("x-forwarded-for")))
                server.respond(taken[0], b"ok")

        def quiet(peer):
            try:
                behaviour(peer)
            except (h2.Ended, TimeoutError):
                pass

        gateway = self.edge(self.server(quiet), "proxy_protocol v2; protocols h2;", workers=1)
        for round in range(2):
            for number in range(4):
                client = self.connect(gateway.values["proxied"])
                client.send(first(f"198.51.100.{number}"))
                for _ in range(2):
                    self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual([told for told, asked in self.asked if told != asked], [])
        self.assertEqual((len(self.asked), len(self.begun)), (16, 4))

    def test_another_clients_connection_that_is_in_use_is_no_room(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def behaviour(peer):
            try:
                server = h2.Served(peer)
                while taken := server.request():
                    self.asked.append((peer.begun[1], taken[1].get(":path")))
                    if taken[1].get(":path") == "/slow":
                        go.wait(10)
                    server.respond(taken[0], b"ok")
            except (h2.Ended, TimeoutError):
                pass

        def ask(number, path="/"):
            client = self.connect(gateway.values["proxied"])
            client.send(first(f"198.51.100.{number}") + f"GET {path} HTTP/1.1\r\nHost: acme.test\r\n\r\n".encode())
            return client

        block = "proxy_protocol v2; protocols h2; max_connections 1; queue size=10 timeout=1s;"
        gateway = self.edge(self.server(behaviour), block, workers=1)
        slow = ask(1, "/slow")
        self.until(lambda: self.asked, "the slow request")
        late = [ask(number) for number in (2, 3)]
        for client in late:
            self.assert_problem(client.read_response(), 503, "overloaded")
        # Each has left the line once: nobody was called in vain.
        self.assertEqual(gateway.metrics().sum("gateway_upstream_queue_seconds_count", upstream="app"), 2)
        waits = ask(2)
        self.until(lambda: gateway.metrics().sum("gateway_upstream_queue", upstream="app") == 1, "one who waits")
        go.set()
        self.assertEqual((slow.read_response().status, waits.read_response().status), (200, 200))
        self.assertEqual([one[1] for one in self.begun], ["198.51.100.1", "198.51.100.2"])

    def test_it_goes_before_tls(self):
        root = Holder(self.folder, "CN=root", seconds=90 * 86400)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*root.server("127.0.0.1"))
        for version in ("v1", "v2"):
            gateway = self.edge(
                self.server(over_tls(context, self.answers)),
                f"proxy_protocol {version}; tls {{ ca {bundle(self.folder, root)}; }} health_check /up interval=200ms timeout=150ms;",
            )
            client = self.connect(gateway.values["proxied"])
            client.send(first("198.51.100.7"))
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
            self.assertIn(("198.51.100.7", "198.51.100.7"), self.asked)
            # Health checks are nobody's.
            self.until(lambda: (None, None) in self.asked, "a health check")
            gateway.stop()

    def test_health_checks_say_that_they_are_nobodys(self):
        for version, words in (("v1", b"PROXY UNKNOWN\r\n"), ("v2", SIGNATURE + b"\x20\0\0\0")):
            gateway = self.edge(self.server(), f"proxy_protocol {version}; health_check /up interval=100ms timeout=90ms;")
            self.until(lambda: self.begun, "a health check")
            self.assertEqual(self.begun[0][0], words)
            gateway.stop()

    def test_what_a_reload_changes_holds_for_the_next_request(self):
        app = self.server()
        gateway = self.edge(app, "proxy_protocol v2;", workers=1)
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        text = open(gateway.file).read().replace("proxy_protocol v2", "proxy_protocol v1")
        with open(gateway.file, "w") as out:
            out.write(text)
        self.assertIn("upstream app: changed (proxy_protocol)", gateway.reload())
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual([one[0][:1] for one in self.begun], [b"\r", b"P"])

    def test_one_gateway_behind_another(self):
        app = self.upstream()
        inner = self.gateway(
            "trusted_proxies 127.0.0.1;\nlisten 127.0.0.1:$proxied { proxy_protocol on; }\n" + APP,
            app=app, block="", proxied=free_port(),
        )  # fmt: skip
        outer = self.edge(inner.values["proxied"], "proxy_protocol v2;")
        client = self.connect(outer.values["proxied"])
        client.send(first("198.51.100.7"))
        self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(app.next_request()["x-forwarded-for"], "198.51.100.7")
