"""Upgraded connections, with the `websockets` library on both ends and by hand."""

import asyncio
import http
import os
import threading

import websockets

from Support.case import Case
from Support.client import RawClient
from Support.load import Load
from Support.upstream import answer, chunk, text

ASK = (
    "GET /socket HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class EchoServer:
    """A WebSocket server that echoes; plain requests to it get an ordinary 200."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.headers = []
        self.port = None
        ready = threading.Event()

        async def handle(socket):
            self.headers.append(dict(socket.request_headers.raw_items()))
            async for message in socket:
                await socket.send(message)

        async def plain(path, headers):
            if "Upgrade" not in headers:
                return http.HTTPStatus.OK, [], b"plain"

        async def serve():
            self.server = await websockets.serve(handle, "127.0.0.1", 0, max_size=None, process_request=plain)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(serve())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert ready.wait(5)

    def close(self):
        async def end():
            self.server.close()
            await self.server.wait_closed()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class WebSocket(Case):
    def served(self, **options):
        server = EchoServer()
        self.addCleanup(server.close)
        return server, self.simple(server.port, top=self.tls_listener(self.leaf("acme.test")), **options)

    def open(self, gateway, tls=False, **options):
        if tls:
            options.update(ssl=self.authority.context(alpn=()), server_hostname="acme.test")
        return websockets.connect(
            ("wss" if tls else "ws") + "://acme.test/socket?room=1",
            host="127.0.0.1",
            port=gateway.tls if tls else gateway.plain,
            max_size=None,
            open_timeout=10,
            ping_interval=None,
            **options,
        )

    def echo(self, tls):
        server, gateway = self.served()

        async def talk():
            async with self.open(gateway, tls) as socket:
                for message in ("hello", b"\0\1\2", "\u20ac" * 1000, os.urandom(3_000_000), ""):
                    await socket.send(message)
                    self.assertEqual(await asyncio.wait_for(socket.recv(), 10), message)
                for number in range(200):
                    await socket.send(str(number))
                for number in range(200):
                    self.assertEqual(await asyncio.wait_for(socket.recv(), 10), str(number))
                await (await socket.ping())

        asyncio.run(asyncio.wait_for(talk(), 30))
        seen = {name.lower(): value for name, value in server.headers[0].items()}
        self.assertEqual((seen["x-tenant-id"], seen["host"].split(":")[0]), ("acme", "acme.test"))
        self.assertEqual(seen["x-forwarded-proto"], "https" if tls else "http")

    def test_echo(self):
        self.echo(tls=False)

    def test_echo_over_tls(self):
        self.echo(tls=True)

    def test_bytes_that_come_with_the_handshake_are_not_lost(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(SWITCH + b"from upstream")
            self.assertEqual(peer.stream.exactly(11), b"from client")
            peer.send(b"!")
            peer.close()

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            client.send(ASK)
            self.assertEqual(client.read_head().status, 101)
            self.assertEqual(client.stream.exactly(13), b"from upstream")
            client.send("from client")
            self.assertEqual(client.stream.to_end(), b"!")

    def test_bytes_that_come_with_the_request_to_switch_need_no_others_behind_them(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(SWITCH)
            self.assertEqual(peer.stream.exactly(11), b"from client")
            peer.send(b"!")
            peer.close()

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            client.send(ASK + "from client")
            self.assertEqual(client.read_head().status, 101)
            self.assertEqual(client.stream.to_end(), b"!")

    def test_a_tunnel_has_no_chunks_whatever_the_answer_before_it_had(self):
        def behaviour(peer):
            while request := peer.read_request():
                if request.target == "/socket":
                    peer.send(SWITCH + b"from ")
                    self.assertEqual(peer.stream.exactly(11), b"from client")
                    return peer.send(b"upstream")
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"ok") + b"0\r\n\r\n")

        gateway = self.simple(self.upstream(behaviour), workers=1)
        with RawClient(gateway.plain) as client:
            body = client.request("POST", "/", "acme.test", body=b"x", chunked=True).body
            self.assertEqual(body, b"ok")
            client.send(ASK)
            self.assertEqual(client.read_head().status, 101)
            client.send("from client")
            self.assertEqual(client.stream.to_end(), b"from upstream")

    def test_the_upgrade_is_passed_as_one(self):
        upstream = self.upstream(answer(text("no", status="426 Upgrade Required")))
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send(ASK)
            client.read_response()
        seen = upstream.next_request()
        self.assertEqual((seen["upgrade"].lower(), seen["connection"].lower()), ("websocket", "upgrade"))
        self.assertEqual(seen["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==")

    def test_a_refused_upgrade_stays_http(self):
        for status in ("403 Forbidden", "426 Upgrade Required", "200 OK"):
            with self.subTest(status):
                upstream = self.upstream(answer(text("no", status=status)))
                gateway = self.simple(upstream)
                with RawClient(gateway.plain) as client:
                    client.send(ASK)
                    self.assertEqual(client.read_response().status, int(status[:3]))
                    # What follows is a request like any other and is judged as one: no tunnel is open.
                    client.send("GET /next HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
                    self.assertEqual(client.read_response().status, 421)
                self.assertNotIn(b"nobody.test", upstream.bytes_received)

    def test_an_upgrade_with_bytes_sent_ahead_of_a_refusal(self):
        upstream = self.upstream(answer(text("no", status="403 Forbidden")))
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send(ASK + "GET /smuggled HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
            self.assertEqual(client.read_response().status, 403)
            if not client.is_closed(0.2):
                self.assertEqual(client.read_response().status, 421)
        self.assertNotIn(b"smuggled", upstream.bytes_received)

    def test_every_method_may_switch_also_behind_its_body(self):
        def behaviour(peer):
            request = peer.read_request()
            self.assertEqual(request["upgrade"], "tcp, other/2")
            peer.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: TCP\r\n\r\n" + request.body)
            self.assertEqual(peer.stream.exactly(5), b"hello")
            peer.send(b"!")

        gateway = self.simple(self.upstream(behaviour))
        head = "/exec HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: tcp, other/2\r\n"
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "ATTACH"):
            for fields, body in (
                ("\r\n", ""),
                ("Content-Length: 0\r\n\r\n", ""),
                ("Content-Length: 4\r\n\r\nbody", "body"),
                ("Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n", "body"),
            ):
                with self.subTest(method=method, fields=fields), RawClient(gateway.plain) as client:
                    client.send(f"{method} {head}{fields}")
                    response = client.read_head()
                    self.assertEqual((response.status, response["upgrade"]), (101, "TCP"))
                    self.assertEqual(client.stream.exactly(len(body)), body.encode())
                    client.send("hello")
                    self.assertEqual(client.stream.to_end(), b"!")

    def test_a_switch_to_another_protocol_or_to_none_is_no_answer(self):
        for named in ("Upgrade: h2c", "Upgrade: chat", "Upgrade: websocket, chat", "Upgrade:", "X: y"):
            with self.subTest(named):
                switch = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{named}\r\n\r\nraw"
                gateway = self.simple(self.upstream(answer(switch.encode())))
                with RawClient(gateway.plain) as client:
                    client.send(ASK)
                    self.assert_problem(client.read_response(), 502, "bad-upstream")
                gateway.stop()

    def test_a_switch_in_the_middle_of_a_body_is_no_answer(self):
        def behaviour(peer):
            peer.read_head()
            peer.send(SWITCH)
            peer.wait_for_end()

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            client.send(ASK.replace("\r\n\r\n", "\r\nContent-Length: 10\r\n\r\nhello"))
            self.assert_problem(client.read_response(), 502, "bad-upstream")

    def test_each_end_ends_the_other(self):
        ended = threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.send(SWITCH)
            if peer.stream.exactly(4) == b"stay":
                peer.wait_for_end()
                ended.set()

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            client.send(ASK)
            self.assertEqual(client.read_head().status, 101)
            client.send("stay")
        self.assertTrue(ended.wait(5), "the client's end did not reach the upstream")
        with RawClient(gateway.plain) as client:
            client.send(ASK)
            self.assertEqual(client.read_head().status, 101)
            client.send("quit")
            self.assert_closed(client, 5)

    def test_a_tunnel_outlives_the_timeouts_of_requests(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(SWITCH)
            while data := peer.stream.exactly(1):
                peer.send(data)

        gateway = self.simple(
            self.upstream(behaviour),
            top="limits { header_timeout 200ms; body_timeout 200ms; idle_timeout 30s; }",
            block="response_timeout 200ms;",
        )
        with RawClient(gateway.plain) as client:
            client.send(ASK)
            self.assertEqual(client.read_head().status, 101)
            self.assertTrue(client.is_open_and_quiet(1.0))
            client.send("x")
            self.assertEqual(client.stream.exactly(1), b"x")

    def test_back_pressure_in_a_tunnel(self):
        sent = [0]
        stalled = threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.send(SWITCH)
            peer.socket.settimeout(1)
            try:
                while sent[0] < 400 << 20:
                    sent[0] += peer.socket.send(b"x" * 65536)
            except TimeoutError:
                stalled.set()

        gateway = self.simple(self.upstream(behaviour))
        with RawClient(gateway.plain) as client:
            before = gateway.resident
            client.send(ASK)
            self.assertEqual(client.read_head().status, 101)
            self.assertTrue(stalled.wait(20), f"the upstream could send {sent[0]} bytes to a client that reads nothing")
            self.assert_bar(gateway.resident - before, 16 << 20)

    def test_h2c_is_not_taken_up(self):
        upstream = self.upstream()
        gateway = self.simple(upstream)
        with RawClient(gateway.plain) as client:
            client.send(
                "GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
            )
            self.assertEqual(client.read_response().status, 200)
        seen = upstream.next_request()
        self.assertNotIn("upgrade", seen.fields)
        self.assertNotIn("http2-settings", seen.fields)

    def test_an_open_socket_lives_through_100_reloads_under_load(self):
        _, gateway = self.served()

        async def talk():
            loop = asyncio.get_running_loop()
            async with self.open(gateway) as plain, self.open(gateway, tls=True) as tls:
                for number in range(100):
                    await loop.run_in_executor(None, gateway.call, "POST", "/v1/reload")
                    for socket in (plain, tls):
                        await socket.send(str(number))
                        self.assertEqual(await asyncio.wait_for(socket.recv(), 10), str(number))

        with Load(gateway.plain, connections=2, pause=0.005) as load:
            asyncio.run(asyncio.wait_for(talk(), 35))
        self.assertEqual(load.failures, [])
        self.assertGreater(load.count, 20)
        self.assertGreaterEqual(gateway.reloads(), 100)
