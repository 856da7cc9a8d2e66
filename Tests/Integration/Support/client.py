"""A client that sends exactly the bytes it is told to, and reads answers by their framing alone."""

import select
import socket
import ssl
import time

from . import wire
from .wire import Malformed, Stream, Truncated


class Response(wire.Message):
    def __init__(self, start, fields):
        super().__init__(start, fields)
        version, _, rest = self.start.partition(" ")
        code, _, self.reason = rest.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(code) != 3 or not code.isdigit():
            raise Malformed(f"status line {self.start!r}")
        self.version, self.status = version, int(code)
        self.interim = []

    @property
    def keeps_alive(self):
        return "close" not in (self["connection"] or "").lower()


class RawClient:
    """One connection. `tls` is an ssl.SSLContext; `sni` the name it asks for (None sends none); `source` the address
    that it comes from."""

    def __init__(
        self, port, tls=None, sni=None, session=None, host="127.0.0.1", timeout=10, receive_buffer=None, source=None
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect((host, port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self.socket = tls.wrap_socket(
                    self.socket, server_hostname=sni, session=session, suppress_ragged_eofs=False
                )
        except BaseException:
            self.socket.close()
            raise
        self.stream = Stream(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def reset(self):
        wire.reset(self.socket)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.socket.sendall(data)

    def send_as_taken(self, data):
        """Sends, and does not mind that the other side may have stopped listening."""
        try:
            self.send(data)
        except OSError:
            pass

    def end_and_drain(self):
        """Sends no more and reads what is still said, unless the connection is gone already."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return
        while self.stream.fill():
            pass

    def read_head(self):
        """The next answer's head, 1xx too, without its body."""
        return Response(*self.stream.head())

    def read_response(self, method="GET", keep=True):
        """The next final answer with its body; the 1xx ones before it are in `interim`."""
        interim = []
        while True:
            response = self.read_head()
            if response.status == 101 or response.status >= 200:
                break
            if wire.length_of(response.fields) is not None:
                raise Malformed(f"framing fields in a {response.status}")
            interim.append(response)
        response.interim = interim
        return self.read_body(response, method, keep)

    def read_body(self, response, method="GET", keep=True):
        length = wire.length_of(response.fields)
        if response.status == 101 or response.status == 204:
            if length is not None:
                raise Malformed(f"framing fields in a {response.status}")
            return response
        if method == "HEAD" or response.status == 304:
            return response
        return wire.read_body(self.stream, response, "close" if length is None else length, keep)

    def request(self, method="GET", target="/", host=None, fields=(), body=None, version="HTTP/1.1", chunked=False):
        """Sends a request as an ordinary client would and reads the answer."""
        lines = [f"{method} {target} {version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in fields]
        data = body or b""
        if chunked:
            lines.append("Transfer-Encoding: chunked")
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"
        elif body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)
        return self.read_response(method)

    def is_closed(self, within=3.0):
        """Whether the other side ends the connection within that time without sending a byte more."""
        self.socket.settimeout(within)
        try:
            if self.stream.buffer:
                return False
            return not self.stream.fill()
        except TimeoutError:
            return False

    def is_open_and_quiet(self, seconds=0.05):
        """Whether nothing, an end included, arrives for that long."""
        if self.stream.buffer or self.stream.ended:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return False
        readable, _, _ = select.select([self.socket], [], [], seconds)
        return not readable


def until(condition, what, within=5.0, every=0.01):
    """Polls until `condition()` is true and returns its value; fails with `what` when time is up."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(every)
