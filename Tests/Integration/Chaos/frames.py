"""A connection of HTTP/2 over asyncio, as either side: strict about what it is sent, and it can be told to be anything but good."""

import asyncio
import struct

import hpack
from Support.h2 import (
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NO_ERROR, PADDED, PING, PREFACE, PRIORITIZED, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame,
)  # fmt: skip

from .player import reset, wrong

SIZE_MAX = 16384
# The event loop itself holds no task.
_reading = set()
OF_HTTP1 = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")


class Ended(Exception):
    """The connection is over, or the stream, before what was waited for."""


class Stream:
    """What has come on it, and what may be sent."""

    def __init__(self, link, number):
        self.link, self.number = link, number
        self.fields, self.body, self.trailers = None, bytearray(), None
        self.ended, self.code = False, None
        self.sendable, self.window = link.peer_window, link.window
        # Nobody here cares for it any more; what was on its way may come.
        self.is_left = False
        self.has_ended_here = False

    @property
    def is_over(self):
        return self.ended or self.code is not None

    def get(self, name):
        return dict(self.fields or ()).get(name)

    async def until(self, met):
        """Ended when nothing more comes and it is not so."""
        while not met():
            if self.is_over or self.link.is_over:
                raise Ended
            await self.link.next_event()

    # --- out

    def head(self, fields, ends=False):
        self.has_ended_here = self.has_ended_here or ends
        block = self.link.encoder.encode(fields)
        first, rest = block[:SIZE_MAX], [block[at : at + SIZE_MAX] for at in range(SIZE_MAX, len(block), SIZE_MAX)]
        flags = (END_STREAM if ends else 0) | (0 if rest else END_HEADERS)
        self.link.send(frame(HEADERS, flags, self.number, first))
        for number, part in enumerate(rest, 1):
            self.link.send(frame(CONTINUATION, END_HEADERS if number == len(rest) else 0, self.number, part))

    async def data(self, data, ends=False):
        """As the windows allow; Ended when it will not be taken."""
        self.has_ended_here = self.has_ended_here or ends
        at = 0
        while at < len(data):
            count = min(SIZE_MAX, len(data) - at, self.sendable, self.link.sendable)
            if count <= 0:
                if self.code is not None or self.link.is_over:
                    raise Ended
                await self.link.next_event()
                continue
            self.sendable -= count
            self.link.sendable -= count
            at += count
            self.link.send(frame(DATA, END_STREAM if ends and at == len(data) else 0, self.number, data[at - count : at]))
            await self.link.writer.drain()
        if ends and not data:
            self.link.send(frame(DATA, END_STREAM, self.number))

    def end(self):
        """Whatever is still open of it here."""
        if not (self.has_ended_here or self.is_left or self.code is not None):
            self.has_ended_here = True
            self.link.send(frame(DATA, END_STREAM, self.number))

    def reset(self, code):
        self.is_left = True
        self.link.send(frame(RST_STREAM, 0, self.number, struct.pack(">I", code)))

    def give(self, count):
        """Lets the other side send so many bytes more."""
        self.window += count
        self.link.send(frame(WINDOW_UPDATE, 0, self.number, struct.pack(">I", count)))


class Link:
    """`opens`: it is the client's end. `settings` are pairs; `gives` says whether it takes what comes as it comes."""

    def __init__(self, reader, writer, opens, window=65535, settings=(), gives=True, on_request=None):
        self.reader, self.writer, self.opens, self.gives, self.on_request = reader, writer, opens, gives, on_request
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.window, self.peer_window, self.sendable, self.received_window = window, 65535, 65535, 65535
        self.streams, self.next, self.newest = {}, 1, 0
        self.is_over, self.is_settled, self.goaway = False, False, None
        self.most = dict(settings).get(3)
        self._event = asyncio.Event()
        words = [(4, window), *([(2, 0)] if opens else []), *settings]
        self.send((PREFACE if opens else b"") + frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *word) for word in words)))
        self.reading = asyncio.create_task(self._read())
        _reading.add(self.reading)
        self.reading.add_done_callback(_reading.discard)

    def send(self, data):
        if not self.writer.is_closing():
            self.writer.write(data)

    async def next_event(self):
        self._event.clear()
        await self._event.wait()

    def _wake(self):
        self._event.set()

    def open(self):
        stream = self.streams[self.next] = Stream(self, self.next)
        self.next += 2
        return stream

    def go_away(self, last, code=NO_ERROR):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, code)))

    def close(self):
        self.writer.close()

    def reset(self):
        reset(self.writer)

    @property
    def open_streams(self):
        return [one for one in self.streams.values() if not (one.is_left or one.code is not None or one.ended and one.has_ended_here)]

    # --- in

    async def _read(self):
        try:
            if not self.opens and await self.reader.readexactly(len(PREFACE)) != PREFACE:
                return wrong("no preface")
            while True:
                start = await self.reader.readexactly(9)
                length, kind, flags = int.from_bytes(start[:3], "big"), start[3], start[4]
                number = int.from_bytes(start[5:], "big")
                if length > SIZE_MAX:
                    return wrong(f"a frame of {length} bytes")
                await self._take(kind, flags, number, await self.reader.readexactly(length))
                self._wake()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.is_over = True
            self._wake()

    async def _take(self, kind, flags, number, payload):
        if kind == DATA:
            self._take_data(flags, number, payload)
        elif kind == HEADERS:
            if flags & (PADDED | PRIORITIZED):
                wrong("padding or a priority, which the gateway does not write")
            while not flags & END_HEADERS:
                start = await self.reader.readexactly(9)
                if start[3] != CONTINUATION or int.from_bytes(start[5:], "big") != number:
                    return wrong("something amid a block of fields")
                flags |= start[4] & END_HEADERS
                payload += await self.reader.readexactly(int.from_bytes(start[:3], "big"))
            self._take_head(flags, number, self.decoder.decode(payload))
        elif kind == RST_STREAM:
            self.stream(number).code = int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == SETTINGS:
            self.is_settled = True
        elif kind == WINDOW_UPDATE and number == 0:
            self.sendable += int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self.stream(number).sendable += int.from_bytes(payload, "big")
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")

    def stream(self, number):
        if number not in self.streams:
            wrong(f"a frame of stream {number}, which nobody has opened")
            self.streams[number] = Stream(self, number)
        return self.streams[number]

    def _take_settings(self, payload):
        for name, value in struct.iter_unpack(">HI", payload):
            if name == 4:
                for stream in self.streams.values():
                    stream.sendable += value - self.peer_window
                self.peer_window = value
            elif name == 1:
                self.encoder.header_table_size = min(value, 4096)
        self.send(frame(SETTINGS, ACK))

    def _take_data(self, flags, number, payload):
        stream = self.stream(number)
        if stream.ended or stream.fields is None:
            wrong(f"DATA on stream {number}, which has ended or not begun")
        stream.window -= len(payload)
        self.received_window -= len(payload)
        # Until our SETTINGS are acknowledged, the window is the default one.
        if (stream.window < 0 and self.is_settled) or self.received_window < 0:
            wrong(f"more bytes than the windows of stream {number} allow")
        stream.body += payload
        stream.ended = bool(flags & END_STREAM)
        if payload:
            self.received_window += len(payload)
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
            if self.gives and not stream.ended:
                stream.give(len(payload))

    def _take_head(self, flags, number, fields):
        if not self.opens and number not in self.streams:
            if number <= self.newest or number % 2 == 0:
                wrong(f"stream {number} begins behind {self.newest}")
            self.newest = number
            self.streams[number] = Stream(self, number)
            if self.most and self.is_settled and len(self.open_streams) > self.most:
                wrong(f"{len(self.open_streams)} streams at once, {self.most} are allowed")
        stream = self.stream(number)
        if stream.ended:
            wrong(f"fields on stream {number}, which has ended: {fields}")
        for name, _ in fields:
            if name in OF_HTTP1 or name != name.lower():
                wrong(f"a field of HTTP/1.1 on stream {number}: {fields}")
        stream.ended = bool(flags & END_STREAM)
        if stream.fields is not None:
            stream.trailers = fields
        elif not (self.opens and dict(fields).get(":status", "").startswith("1")):
            stream.fields = fields
            if self.on_request:
                self.on_request(stream)
