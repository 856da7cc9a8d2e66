"""Who sends no more still listens: a client behind its last request, and either side of a tunnel."""

import select
import socket
import ssl
import threading
import time

from Support import wire
from Support.case import Case
from Support.client import RawClient, Response
from Support.upstream import answer, echo, text

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
ASK = b"GET /socket HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
GET = b"GET /%d HTTP/1.1\r\nHost: acme.test\r\n\r\n"


class Plain(RawClient):
    def end(self):
        self.socket.shutdown(socket.SHUT_WR)


class Ragged(RawClient):
    """TLS whose connection ends without a word of TLS."""

    def end(self):
        socket.socket.shutdown(self.socket, socket.SHUT_WR)


class Notifying:
    """TLS whose client says that it sends no more (close_notify), with or without the connection's own end."""

    def __init__(self, port, context, ends_connection=False):
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="acme.test")
        self.ends_connection = ends_connection
        self.ended = False
        self._until(self.tls.do_handshake)
        self.stream = wire.Stream(self)

    def _until(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(65536)
                if not data:
                    raise ssl.SSLEOFError(0, "the end without close_notify") from None
                self.incoming.write(data)
            finally:
                self._flush()

    def _flush(self):
        if self.outgoing.pending:
            self.raw.sendall(self.outgoing.read())

    def send(self, data):
        self.tls.write(data)
        self._flush()

    def end(self, behind=b""):
        if behind:
            self.tls.write(behind)
        try:
            self.tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        # With what stands in front of it in one piece.
        self._flush()
        if self.ends_connection:
            self.raw.shutdown(socket.SHUT_WR)

    def recv(self, size):
        return self._until(lambda: self.tls.read(size))

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def read_response(self):
        response = Response(*self.stream.head())
        return wire.read_body(self.stream, response, wire.length_of(response.fields))

    def close(self):
        self.raw.close()


def both_ways(client, data):
    """Sends all of it, hears nothing in the first half second, and says how many bytes came until a clean end. In one
    thread: a TLS session of OpenSSL serves one at a time, and Python before 3.13 doesn't see to it."""
    listens, rest = time.monotonic() + 0.5, memoryview(data)
    # Some may have come with the head.
    heard = len(client.stream.take(len(client.stream.buffer)))
    client.socket.settimeout(0)
    while True:
        waits = []
        try:
            if rest and not (rest := rest[client.socket.send(rest) :]):
                client.end()
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            waits = [client.socket]
        if time.monotonic() < listens:
            time.sleep(0.01)
            continue
        try:
            if not (received := client.socket.recv(65536)):
                return heard
            heard += len(received)
        except (BlockingIOError, ssl.SSLWantReadError):
            if waits or not rest:
                select.select([client.socket], waits, [], 10)


class HalfClosed(Case):
    def ways(self, upstream, **options):
        """A gateway, and a client of each kind at a time."""
        gateway = self.simple(upstream, top=self.tls_listener(self.leaf("acme.test")), **options)
        context = self.authority.context()
        for make in (
            lambda: Plain(gateway.plain),
            lambda: Ragged(gateway.tls, tls=context, sni="acme.test"),
            lambda: Notifying(gateway.tls, context),
            lambda: Notifying(gateway.tls, context, ends_connection=True),
        ):
            client = make()
            self.addCleanup(client.close)
            yield gateway, client

    # --- behind requests

    def late(self, data):
        def behaviour(peer):
            while request := peer.read_request():
                time.sleep(0.3)
                peer.send(data(request) if callable(data) else data)

        return behaviour

    def test_a_whole_request_is_answered(self):
        for request, body in (
            (GET % 1, b""),
            (b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
            (b"PUT / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n", b""),
        ):
            for gateway, client in self.ways(self.upstream(self.late(echo))):
                with self.subTest(client=type(client).__name__, request=request[:12]):
                    client.send(request)
                    client.end()
                    self.assertEqual(client.read_response().body, body)
                    self.assertFalse(client.stream.fill())
            self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "no connection left")

    def test_a_request_and_the_end_in_one_piece(self):
        for gateway, client in self.ways(self.upstream(self.late(echo))):
            if isinstance(client, Notifying):
                client.end(behind=GET % 1)
                self.assertEqual(client.read_response().status, 200)
                self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "no connection left")
            client.close()

    def test_a_large_answer_arrives_whole(self):
        size = 8 << 20
        for gateway, client in self.ways(self.upstream(answer(text(b"x" * size)), record=False)):
            with self.subTest(client=type(client).__name__):
                client.send(GET % 1)
                client.end()
                time.sleep(0.3)
                self.assertEqual(len(client.read_response().body), size)

    def test_requests_sent_ahead_are_all_answered(self):
        for gateway, client in self.ways(self.upstream(answer(lambda request: text(request.target)))):
            for count in (1, 7, 400):
                with self.subTest(client=type(client).__name__, count=count):
                    if count > 1:
                        client.close()
                        client = type(client)(*self.again(gateway, client))
                        self.addCleanup(client.close)
                    client.send(b"".join(GET % number for number in range(count)))
                    client.end()
                    for number in range(count):
                        self.assertEqual(client.read_response().body, b"/%d" % number)

    def again(self, gateway, client):
        if isinstance(client, Notifying):
            return gateway.tls, self.authority.context(), client.ends_connection
        return (gateway.tls, self.authority.context(), "acme.test") if isinstance(client, Ragged) else (gateway.plain,)

    def test_half_a_request_is_none(self):
        ended = threading.Event()

        def behaviour(peer):
            peer.read_head()
            peer.wait_for_end()
            ended.set()

        for gateway, client in self.ways(self.upstream(behaviour)):
            with self.subTest(client=type(client).__name__):
                ended.clear()
                client.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 10\r\n\r\nhello")
                time.sleep(0.1)
                client.end()
                self.assertTrue(ended.wait(5), "the upstream's request lives on")
                self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "no connection left")

    def test_who_is_gone_takes_the_request_along(self):
        started, ended = threading.Event(), threading.Event()

        def behaviour(peer):
            peer.read_request()
            started.set()
            peer.wait_for_end()
            ended.set()

        gateway = self.simple(self.upstream(behaviour))
        for ends_first in (False, True):
            with self.subTest(ends_first=ends_first):
                started.clear(), ended.clear()
                client = Plain(gateway.plain)
                client.send(GET % 1)
                if ends_first:
                    client.end()
                self.assertTrue(started.wait(5))
                self.assertFalse(ended.wait(0.3), "a client that listens was given up")
                client.reset()
                self.assertTrue(ended.wait(5), "the upstream's request lives on")

    def test_who_has_closed_is_noticed_when_the_answer_comes(self):
        go = threading.Event()
        ended = threading.Event()

        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            go.wait(5)
            try:
                while True:
                    peer.send(b"x" * 65536)
            finally:
                ended.set()

        gateway = self.simple(self.upstream(behaviour, record=False))
        client = Plain(gateway.plain)
        client.send(GET % 1)
        self.assertEqual(client.read_head().status, 200)
        client.close()
        go.set()
        self.assertTrue(ended.wait(5), "the upstream's request lives on")

    def test_no_client_of_them_spins(self):
        release = threading.Event()
        self.addCleanup(release.set)
        for gateway, client in self.ways(self.upstream(lambda peer: peer.read_request() and release.wait(20))):
            client.send(GET % 1)
            client.end()
        before, began = gateway.cpu, time.monotonic()
        time.sleep(1)
        self.assertLess((gateway.cpu - before) / (time.monotonic() - began), 0.05, "the gateway spins")

    # --- in tunnels

    def opened(self, behaviour, **options):
        def serve(peer):
            peer.read_request()
            peer.send(SWITCH)
            behaviour(peer)

        for gateway, client in self.ways(self.upstream(serve, record=False), **options):
            client.send(ASK)
            self.assertEqual(Response(*client.stream.head()).status, 101)
            yield gateway, client
            self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "no connection left")

    def test_a_client_that_ends_first_hears_the_rest(self):
        def behaviour(peer):
            said = peer.wait_for_end()
            time.sleep(0.2)
            peer.send(b"you said " + said)

        for _, client in self.opened(behaviour):
            with self.subTest(client=type(client).__name__):
                client.send(b"question")
                client.end()
                self.assertEqual(client.stream.to_end(), b"you said question")
                client.close()

    def test_the_end_comes_with_the_last_bytes(self):
        for _, client in self.opened(lambda peer: peer.send(b"you said " + peer.wait_for_end())):
            if isinstance(client, Notifying):
                client.end(behind=b"question")
            else:
                client.send(b"question")
                client.end()
            self.assertEqual(client.stream.to_end(), b"you said question")
            client.close()

    def test_a_server_that_ends_first_hears_the_rest(self):
        heard = []

        def behaviour(peer):
            peer.send(b"bye")
            peer.socket.shutdown(socket.SHUT_WR)
            heard.append(peer.wait_for_end())

        for _, client in self.opened(behaviour):
            with self.subTest(client=type(client).__name__):
                del heard[:]
                self.assertEqual(client.stream.to_end(), b"bye")
                for _ in range(20):
                    client.send(b"x" * 1000)
                    time.sleep(0.01)
                self.assertEqual(heard, [])
                client.end()
                self.until(lambda: heard == [b"x" * 20_000], "all of it at the server")
                client.close()

    def test_each_direction_ends_with_its_last_byte_under_back_pressure(self):
        size = 12 << 20
        counts = []

        def behaviour(peer):
            sender = threading.Thread(target=lambda: (peer.send(b"d" * size), peer.socket.shutdown(socket.SHUT_WR)))
            sender.start()
            time.sleep(0.5)
            peer.socket.settimeout(10)
            count = 0
            while data := peer.socket.recv(65536):
                count += len(data)
            counts.append(count)
            sender.join()

        for _, client in self.opened(behaviour):
            with self.subTest(client=type(client).__name__):
                del counts[:]
                if not isinstance(client, Notifying):
                    self.assertEqual(both_ways(client, b"u" * size), size)
                    self.until(lambda: counts == [size], "all bytes at the server", 10)
                    client.close()
                    continue
                self.assertEqual(len(client.stream.to_end()), size)
                client.send(b"u" * 1_000_000)
                client.end()
                self.until(lambda: counts == [1_000_000], "all bytes at the server", 10)
                client.close()

    def test_a_reset_ends_both_directions_also_after_an_end(self):
        ended = threading.Event()

        def behaviour(peer):
            peer.wait_for_end()
            # The client's direction is over; now it is gone.
            try:
                for _ in range(200):
                    peer.send(b"x" * 10_000)
                    time.sleep(0.02)
            except OSError:
                ended.set()

        gateway = None
        for gateway, client in self.opened(behaviour):
            ended.clear()
            client.end()
            time.sleep(0.1)
            wire.reset(client.raw if isinstance(client, Notifying) else client.socket)
            self.assertTrue(ended.wait(5), "the upstream speaks on to nobody")

    def test_a_server_that_is_gone_ends_the_tunnel_and_its_last_words_arrive(self):
        def behaviour(peer):
            peer.send(b"last words")
            peer.close()

        for _, client in self.opened(behaviour):
            with self.subTest(client=type(client).__name__):
                # The first of them is answered with a reset.
                for _ in range(5):
                    try:
                        client.send(b"x" * 1000)
                    except OSError:
                        break
                    time.sleep(0.05)
                self.assertEqual(client.stream.to_end(), b"last words")
                client.close()
