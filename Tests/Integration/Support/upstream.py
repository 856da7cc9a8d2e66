"""An upstream that does as a function says, connection by connection, byte by byte."""

import queue
import socket
import threading
import traceback

from . import wire
from .wire import Message, Stream, Truncated


class Request(Message):
    def __init__(self, start, fields):
        super().__init__(start, fields)
        self.method, self.target, self.version = self.start.split(" ")


class Peer:
    """A connection that the gateway made. `received` has every byte that came over it."""

    def __init__(self, sock, upstream, number):
        self.socket, self.upstream, self.number = sock, upstream, number
        self.stream = Stream(sock, record=upstream.record)
        self.sent = 0
        self.requests = []

    @property
    def received(self):
        return bytes(self.stream.received)

    def read_head(self):
        """The next request's head, or None when the gateway has closed the connection between requests."""
        while not self.stream.buffer:
            if not self.stream.fill():
                return None
        request = Request(*self.stream.head())
        self.requests.append(request)
        return request

    def read_body(self, request, keep=True):
        wire.read_body(self.stream, request, wire.length_of(request.fields), keep)
        self.upstream.note(request)
        return request

    def read_request(self):
        request = self.read_head()
        return request and self.read_body(request)

    def send(self, data):
        self.socket.sendall(data)
        self.sent += len(data)

    def reset(self):
        wire.reset(self.socket)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def wait_for_end(self, within=10.0):
        """Reads until the gateway ends the connection; gives what came meanwhile."""
        self.socket.settimeout(within)
        while self.stream.fill():
            pass
        return self.stream.take(len(self.stream.buffer))


class ScriptedUpstream:
    """Listens on a loopback port and runs `behaviour(peer)` in a thread for each connection."""

    def __init__(self, behaviour=None, port=0, record=True, host="127.0.0.1", receive_buffer=None):
        self.behaviour = behaviour or answer(text("ok"))
        self.record = record
        self.connections = []
        self.requests = []
        self.failures = []
        self._arrivals = queue.Queue()
        self._lock = threading.Lock()
        self.listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((host, port))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self._closed:
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(30)
            peer = Peer(sock, self, len(self.connections))
            self.connections.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            self.behaviour(peer)
        except (OSError, Truncated):
            pass
        except Exception:
            if not self._closed:
                self.failures.append(traceback.format_exc())
        finally:
            peer.close()

    def note(self, request):
        with self._lock:
            self.requests.append(request)
        self._arrivals.put(request)

    def next_request(self, within=5.0):
        """The next whole request that arrived, in order of arrival."""
        try:
            return self._arrivals.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no request reached the upstream within {within} s") from None

    @property
    def bytes_received(self):
        return b"".join(peer.received for peer in list(self.connections))

    def close(self):
        self._closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self._thread.join(5)
        for peer in self.connections:
            peer.close()


def text(body, status="200 OK", fields=()):
    """The bytes of an answer with Content-Length."""
    data = body.encode("latin-1") if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(data)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(data):
    """Reads each request whole and answers with these bytes, or with what `data(request)` gives."""

    def behaviour(peer):
        while request := peer.read_request():
            peer.send(data(request) if callable(data) else data)

    return behaviour


def goes_stale(first, others):
    """The first connection answers one request with the bytes `first` and closes at its second; all others answer with
    `others` (see `answer`)."""

    def behaviour(peer):
        if peer.number == 0:
            peer.read_request()
            peer.send(first)
            peer.read_request()
        else:
            answer(others)(peer)

    return behaviour


def over_tls(context, behaviour):
    """The same over TLS; a handshake that fails ends the connection. `peer.version`, `peer.resumed`, `peer.name` and
    `peer.certificate` tell of it."""

    def serve(peer):
        def named(sock, name, _):
            peer.name = name

        peer.name = None
        context.sni_callback = named
        try:
            peer.socket = context.wrap_socket(peer.socket, server_side=True)
        except OSError as error:
            peer.failure = error
            return
        peer.version, peer.resumed = peer.socket.version(), peer.socket.session_reused
        peer.certificate = peer.socket.getpeercert(True)
        peer.stream = Stream(peer.socket, record=peer.upstream.record)
        behaviour(peer)
        try:
            peer.socket.unwrap()
        except (OSError, ValueError):
            pass

    return serve


def answer_and_close(data):
    """Reads one request whole, answers with these bytes and closes."""

    def behaviour(peer):
        if request := peer.read_request():
            peer.send(data(request) if callable(data) else data)

    return behaviour


def answer_and_reset(data):
    """Reads one request whole, answers with these bytes and resets the connection once they were taken."""

    def behaviour(peer):
        if peer.read_request():
            peer.send(data)
            drained(peer.socket)
            peer.reset()

    return behaviour


def drained(sock, within=2.0):
    """Waits until the kernel has delivered everything that was sent: a reset would destroy what it still holds."""
    import fcntl
    import struct
    import termios
    import time

    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0] == 0:
            return
        time.sleep(0.001)


def echo(request):
    """An answer whose body is the request's."""
    return text(request.body)
