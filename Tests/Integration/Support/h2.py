"""A client of HTTP/2, frame by frame: it says what it is told to, right or wrong. Fields are coded by hpack."""

import socket
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 0x20
(
    NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
    CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED,
) = range(14)  # fmt: skip


class Ended(Exception):
    """The server has ended the connection. `code` is that of its GOAWAY, if there was one."""

    def __init__(self, code):
        super().__init__(f"GOAWAY {code}" if code is not None else "no GOAWAY")
        self.code = code


class Reset(Exception):
    def __init__(self, code):
        super().__init__(f"RST_STREAM {code}")
        self.code = code


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


class Answer:
    """What has come on a stream."""

    def __init__(self):
        self.interim, self.fields, self.body, self.trailers = [], None, bytearray(), None
        self.ended, self.reset = False, None

    @property
    def status(self):
        return self.fields and int(self.get(":status"))

    def get(self, name, fields=None):
        values = [value for key, value in fields or self.fields if key == name]
        return values[0] if values else None


class Client:
    """Opens its windows wide, and gives back what it reads, unless `window` says how large they are and `gives` is False."""

    hears_pings = True

    def __init__(
        self, port, tls=None, sni="acme.test", window=1 << 24, settings=(), gives=True, hello=True, session=None, source=None
    ):  # fmt: skip
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=sni, session=session)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.answers, self.next, self.goaway, self.pongs = {}, 1, [], []
        self.settings, self.acks = {}, 0
        self.gives = gives
        self.frames, self.windows, self.sent = [], [], {}
        if hello:
            words = [(2, 0), (4, window), *settings]
            self.send(PREFACE + frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *word) for word in words)))
            if gives:
                self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 30) - 65535)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self, data):
        """What a server that has gone does not take."""
        try:
            self.send(data)
        except OSError:
            pass

    # --- out

    def fields(self, method="GET", path="/", host="acme.test", scheme="http", more=()):
        return [(":method", method), (":scheme", scheme), (":authority", host), (":path", path), *more]

    def head(self, fields, ends=True, stream=None, flags=END_HEADERS):
        """Sends a head as one frame; gives its stream."""
        stream = self.open(stream)
        self.send(frame(HEADERS, flags | (END_STREAM if ends else 0), stream, self.encoder.encode(fields)))
        return stream

    def open(self, stream=None):
        if stream is None:
            stream, self.next = self.next, self.next + 2
        self.answers.setdefault(stream, Answer())
        return stream

    def data(self, stream, data=b"", ends=False, flags=0):
        for one in (0, stream):
            self.sent[one] = self.sent.get(one, 0) + len(data)
        self.send(frame(DATA, flags | (END_STREAM if ends else 0), stream, data))

    def reset(self, stream, code=CANCEL):
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", code)))

    def window(self, stream, more):
        self.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", more)))

    def get(self, path="/", **options):
        """One request and its answer."""
        return self.answer(self.head(self.fields(path=path, **options)))

    def post(self, body, path="/", **options):
        stream = self.head(self.fields("POST", path, **options), ends=False)
        self.upload(stream, body)
        return self.answer(stream)

    def allowed(self, stream):
        """Bytes of bodies that the server takes now."""
        updates = lambda one: sum(more for which, more in self.windows if which == one)
        own = self.settings.get(4, 65535) + updates(stream) - self.sent.get(stream, 0)
        return min(own, 65535 + updates(0) - self.sent.get(0, 0))

    def upload(self, stream, body):
        """Sends it as the windows allow, and ends the stream."""
        self.until(lambda: self.settings)
        at = 0
        while at < len(body) or not body:
            count = min(16384, len(body) - at, self.allowed(stream))
            if count == 0 and body:
                self.read(time.monotonic() + 10)
                continue
            at += count
            self.data(stream, body[at - count : at], at == len(body))
            if not body:
                return

    # --- in

    def answer(self, stream, within=10):
        """The whole answer. Reset where it does not come whole."""
        answer = self.answers[stream]
        self.until(lambda: answer.ended or answer.reset is not None, within)
        if answer.reset not in (None, NO_ERROR) or not answer.ended:
            raise Reset(answer.reset)
        return answer

    def until(self, met, within=10):
        """Reads frames until that is so."""
        end = time.monotonic() + within
        while not met():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {within} s")
            self.read(end)

    def for_a_while(self, seconds):
        """Reads what comes within that time."""
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.read(end)
        except TimeoutError:
            pass

    def end(self, within=10):
        """Reads to the connection's end: the code of its last GOAWAY."""
        try:
            self.until(lambda: False, within)
        except Ended as ended:
            return ended.code

    def _need(self, count, end):
        while len(self.buffer) < count:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise Ended(self.goaway[-1][1] if self.goaway else None)
            self.buffer += data

    def read(self, end):
        """The next frame."""
        self._need(9, end)
        length = int.from_bytes(self.buffer[:3], "big")
        self._need(9 + length, end)
        kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
        self.frames.append((kind, flags, stream, length))
        self.take(kind, flags, stream, payload)

    def take(self, kind, flags, stream, payload):
        answer = self.answers.setdefault(stream, Answer())
        if kind == DATA:
            answer.body += payload
            if self.gives and payload:
                more = struct.pack(">I", len(payload))
                self.reply(frame(WINDOW_UPDATE, 0, 0, more) + (b"" if flags & END_STREAM else frame(WINDOW_UPDATE, 0, stream, more)))
        elif kind in (HEADERS, CONTINUATION):
            self.block = payload if kind == HEADERS else self.block + payload
            if flags & END_HEADERS:
                fields = self.decoder.decode(self.block)
                if answer.fields is not None:
                    answer.trailers = fields
                elif fields[0][1].startswith("1"):
                    answer.interim.append(fields)
                else:
                    answer.fields = fields
        elif kind == RST_STREAM:
            answer.reset = int.from_bytes(payload, "big")
        elif kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            for start in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[start : start + 6])
                self.settings[name] = value
            self.reply(frame(SETTINGS, ACK))
        elif kind == WINDOW_UPDATE:
            self.windows.append((stream, int.from_bytes(payload, "big")))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == PING and self.hears_pings:
            self.reply(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            answer.ended = True


class Served(Client):
    """The other side of a connection: what a scripted upstream makes of a peer. It answers when it is told to."""

    def __init__(self, peer, settings=(), hello=True):
        self.socket = peer.socket
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.answers, self.goaway, self.pongs = {}, [], []
        self.settings, self.acks, self.gives = {}, 0, True
        self.frames, self.windows, self.sent = [], [], {}
        self.taken = set()
        end = time.monotonic() + 10
        self._need(len(PREFACE), end)
        if not self.buffer.startswith(PREFACE):
            raise AssertionError(f"no preface: {self.buffer[:100]}")
        self.buffer = self.buffer[len(PREFACE) :]
        if hello:
            self.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *word) for word in settings)))

    def request(self, whole=True, within=10):
        """The next request, whole or not: its stream and what has come of it. None at the end of the connection."""

        def next_one():
            for stream, one in sorted(self.answers.items()):
                if stream not in self.taken and one.fields is not None and (one.ended or not whole):
                    return stream
            return None

        try:
            self.until(lambda: next_one() is not None, within)
        except (Ended, TimeoutError):
            return None
        stream = next_one()
        self.taken.add(stream)
        return stream, self.answers[stream]

    def respond(self, stream, body=b"", status="200", fields=(), trailers=()):
        """A whole answer. The windows of a gateway are wide: nothing here is larger."""
        head = self.encoder.encode([(":status", status), *fields])
        ends = not body and not trailers
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, head))
        for start in range(0, len(body), 16384):
            last = start + 16384 >= len(body) and not trailers
            self.send(frame(DATA, END_STREAM if last else 0, stream, body[start : start + 16384]))
        if trailers:
            self.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, self.encoder.encode(trailers)))

    def go_away(self, last, code=NO_ERROR):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, code)))


def serving(behaviour, **options):
    """For a ScriptedUpstream: each connection is one of HTTP/2."""

    def serve(peer):
        try:
            behaviour(Served(peer, **options))
        except (Ended, TimeoutError):
            pass

    return serve


def answers(data):
    """Answers each request, with what `data(request)` gives or these bytes."""

    def behaviour(server):
        while taken := server.request():
            stream, request = taken
            server.respond(stream, data(request) if callable(data) else data)

    return serving(behaviour)
