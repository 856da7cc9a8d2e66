"""HTTP/1 read strictly: what is not exactly as RFC 9112 writes it is an error, and so is a message that ends early."""

import re
import socket
import ssl


class Truncated(Exception):
    """The peer ended the connection inside a message: `how` is "end", "reset" or "ragged" (no close_notify)."""

    def __init__(self, how, have=b""):
        super().__init__(f"the message broke off ({how}) after {bytes(have[-200:])!r}")
        self.how = how
        self.have = bytes(have)


class Malformed(Exception):
    """Bytes that are not HTTP/1 as it should be written."""


TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Fields(list):
    """Header fields in order, as (name, value) strings in Latin-1. Names compare without case."""

    def all(self, name):
        return [value for key, value in self if key.lower() == name.lower()]

    def get(self, name, default=None):
        """The only field of that name; two of them are an error."""
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{len(values)} fields {name}: {values}")
        return values[0] if values else default

    def __contains__(self, name):
        return bool(self.all(name)) if isinstance(name, str) else super().__contains__(name)

    def names(self):
        return [key.lower() for key, _ in self]


def parse_fields(lines):
    fields = Fields()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or any(byte not in TOKEN for byte in name):
            raise Malformed(f"field line {line!r}")
        if any(byte in b"\r\n\0" for byte in value):
            raise Malformed(f"control byte in {line!r}")
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return fields


class Stream:
    """A socket with a buffer in front. `received` keeps every byte that came when `record` is set."""

    def __init__(self, sock, record=False):
        self.sock = sock
        self.buffer = bytearray()
        self.received = bytearray() if record else None
        self.ended = None

    def fill(self, size=65536):
        """Reads once. False when the peer has ended the connection; `ended` then says how."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(size)
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            return False
        except ssl.SSLEOFError:
            self.ended = "ragged"
            return False
        except ssl.SSLZeroReturnError:
            data = b""
        if not data:
            self.ended = "end"
            return False
        self.buffer += data
        if self.received is not None:
            self.received += data
        return True

    def need(self):
        if not self.fill():
            raise Truncated(self.ended, self.buffer)

    def take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def exactly(self, count):
        while len(self.buffer) < count:
            self.need()
        return self.take(count)

    def until(self, mark, most=1 << 20):
        """Everything up to and with `mark`."""
        start = 0
        while True:
            at = self.buffer.find(mark, start)
            if at >= 0:
                return self.take(at + len(mark))
            start = max(0, len(self.buffer) - len(mark) + 1)
            if len(self.buffer) > most:
                raise Malformed(f"no {mark!r} in {most} bytes")
            self.need()

    def line(self):
        line = self.until(b"\r\n")[:-2]
        if b"\r" in line or b"\n" in line:
            raise Malformed(f"bare CR or LF in {line!r}")
        return line

    def head(self):
        """A start line and the fields after it."""
        block = self.until(b"\r\n\r\n")[:-4]
        lines = block.split(b"\r\n")
        for line in lines:
            if b"\r" in line or b"\n" in line:
                raise Malformed(f"bare CR or LF in {line!r}")
        return lines[0], parse_fields(lines[1:])

    def chunks(self):
        """The data of a chunked body, chunk by chunk. Afterwards `trailers` has the trailer fields."""
        while True:
            size, _, _ = self.line().partition(b";")
            if not size or any(byte not in b"0123456789abcdefABCDEF" for byte in size):
                raise Malformed(f"chunk size {size!r}")
            count = int(size, 16)
            if count == 0:
                break
            while count:
                if not self.buffer:
                    self.need()
                part = self.take(min(count, len(self.buffer)))
                count -= len(part)
                yield part
            if self.exactly(2) != b"\r\n":
                raise Malformed("chunk data without CRLF after it")
        lines = []
        while line := self.line():
            lines.append(line)
        self.trailers = parse_fields(lines)

    def to_end(self):
        """Everything until a clean end; anything else is a truncation."""
        while self.fill():
            pass
        if self.ended != "end":
            raise Truncated(self.ended, self.buffer)
        return self.take(len(self.buffer))


class Message:
    """A request or a response, read whole."""

    def __init__(self, start, fields):
        self.start = start.decode("latin-1")
        self.fields = fields
        self.body = b""
        self.trailers = Fields()
        self.framing = "none"

    def __getitem__(self, name):
        return self.fields.get(name)

    def __repr__(self):
        return f"<{self.start} {list(self.fields)} {self.body[:300]!r}>"


def length_of(fields):
    """What the framing fields say: None, "chunked" or a number. Both, two of one, or another coding is an error."""
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None and length is not None:
        raise Malformed("Transfer-Encoding and Content-Length in one message")
    if coding is not None:
        if coding.lower() != "chunked":
            raise Malformed(f"Transfer-Encoding: {coding}")
        return "chunked"
    if length is not None:
        if not length.isascii() or not length.isdigit():
            raise Malformed(f"Content-Length: {length}")
        return int(length)
    return None


def read_body(stream, message, length, keep=True):
    """Reads the body into `message.body` (or only counts it into `message.size` unless `keep`)."""
    parts, message.size = [], 0

    def take(data):
        message.size += len(data)
        if keep:
            parts.append(data)

    try:
        if length == "chunked":
            message.framing = "chunked"
            for part in stream.chunks():
                take(part)
            message.trailers = stream.trailers
        elif length == "close":
            message.framing = "close"
            while True:
                take(stream.take(len(stream.buffer)))
                if not stream.fill():
                    break
            if stream.ended != "end":
                raise Truncated(stream.ended, b"".join(parts))
        elif length is not None:
            message.framing = "length"
            left = length
            while left:
                if not stream.buffer:
                    stream.need()
                part = stream.take(min(left, len(stream.buffer)))
                left -= len(part)
                take(part)
    except Truncated as broken:
        broken.have = b"".join(parts)
        broken.message = message
        raise
    message.body = b"".join(parts)
    return message


def count_answer(sock, kept=b""):
    """Reads an answer with Content-Length for those who only count: its status, what came behind it, and whether the
    connection ends with it. `kept` is what came behind the one before."""
    while b"\r\n\r\n" not in kept:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError
        kept += more
    head, _, rest = kept.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(rest) < length:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError
        rest += more
    return int(head[9:12]), rest[length:], b"Connection: close" in head


def reset(sock):
    """Ends a connection with a TCP reset."""
    import struct

    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
