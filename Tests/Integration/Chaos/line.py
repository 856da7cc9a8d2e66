"""One client's connection: requests that tell whose they are, answers that are held against them."""

import asyncio
import itertools
import json
import mmap
import socket
import ssl
import struct
import time

from . import cast, reading, story
from .player import BROKEN_OFF, UNANSWERED, counts, plan, reset, wrong

PLAN = plan()
CLIENT_TLS, STREAMS_TLS = (ssl.create_default_context(cafile=PLAN["authority"]) for _ in range(2))
CLIENT_TLS.set_alpn_protocols(["http/1.1"])
STREAMS_TLS.set_alpn_protocols(["h2"])
with open(PLAN["clock"], "rb") as file:
    _clock = mmap.mmap(file.fileno(), 16, access=mmap.ACCESS_READ)
_tokens = itertools.count()

KINDS = {
    400: ("bad-request",),
    408: ("timeout",),
    413: ("content-too-large",),
    421: ("misdirected",),
    429: ("rate-limited", "concurrency-limited"),
    502: ("bad-upstream",),
    503: ("no-healthy-upstream", "overloaded", "authorization-unavailable"),
    504: ("upstream-timeout",),
}


def is_undisturbed(since):
    """Whether no hour was lost since then, or shortly before: whatever was under way may have been too late at once."""
    return struct.unpack("q", _clock[8:])[0] < since - cast.PACE * 1_000_000_000


class Request:
    def __init__(self, rng, route, fate, tenant, method="GET", size=200, upload=0, chunked=False, upgrade=False):
        self.route, self.fate, self.tenant, self.method, self.size = route, fate, tenant, method, size
        self.token = f"{PLAN['player']}-{next(_tokens)}-{rng.getrandbits(64):x}"
        self.body = story.asked(tenant, self.token, upload)
        self.chunked, self.upgrade = chunked, upgrade
        counts["requests"] += 1

    @property
    def head(self):
        lines = [
            f"{self.method} {story.target(self.route, self.fate, self.tenant, self.token, self.size)} HTTP/1.1",
            f"Host: {cast.host(self.tenant)}",
            f"X-Token: {self.token}",
            f"X-Size: {len(self.body)}",
        ]
        if self.tenant in cast.BY_KEY:
            lines.append(f"X-API-Key: {cast.key(self.tenant)}")
        if self.upgrade:
            lines.append("Connection: Upgrade\r\nUpgrade: chaos")
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join((*lines, "", "")).encode()

    @property
    def fields(self):
        """Its head on a stream."""
        method = [(":method", "CONNECT"), (":protocol", "chaos")] if self.upgrade else [(":method", self.method)]
        path = story.target(self.route, self.fate, self.tenant, self.token, self.size)
        fields = [*method, (":scheme", "https"), (":authority", cast.host(self.tenant)), (":path", path)]
        fields += [("x-token", self.token), ("x-size", str(len(self.body)))]
        if self.tenant in cast.BY_KEY:
            fields.append(("x-api-key", cast.key(self.tenant)))
        if self.body and not self.chunked:
            fields.append(("content-length", str(len(self.body))))
        return fields

    @property
    def payload(self):
        if not self.chunked:
            return self.body
        return reading.chunks(self.body, itertools.cycle((10, 3000, 50_000))) + b"0\r\n\r\n"

    @property
    def answer(self):
        """The body of a good one."""
        return story.said(self.tenant, self.token, self.size)

    @property
    def bytes(self):
        return self.head + self.payload

    @property
    def is_plain(self):
        """Nothing but the gateway's own fault could leave it without any answer."""
        return not self.body and self.tenant != cast.PASSING

    @property
    def must_be_whole(self):
        """Once its answer has begun."""
        return self.fate in story.GOOD + story.EMPTY and self.is_plain and not self.is_loose and self.route != cast.STORMY

    @property
    def is_loose(self):
        return self.route == cast.LOOSE

    def __str__(self):
        return f"{self.method} {story.target(self.route, self.fate, self.tenant, self.token, self.size)}"


def size(rng):
    """Mostly small; some near the edges of buffers, a few large."""
    kind = rng.random()
    if kind < 0.8:
        return rng.randrange(2000)
    if kind < 0.98:
        return max(0, rng.choice((4096, 16384, 32768, 65536, 327_680)) + rng.randrange(-300, 300))
    return rng.randrange(1_000_000)


def any_request(rng, tenants, fates, method=None, **more):
    method = method or rng.choice(("GET", "GET", "GET", "HEAD", "POST", "PUT"))
    if method in ("POST", "PUT"):
        more = {"upload": size(rng) // rng.choice((1, 20)), "chunked": rng.random() < 0.4, **more}
    # Where connections are few, an upstream that is silent keeps everybody waiting.
    is_costly = fates is story.SILENT and rng.random() < 0.9
    route = "plain" if is_costly else rng.choice(cast.ROUTES + ("plain",) * 6 + (cast.STREAMS,) * 5)
    if rng.random() < 0.03:
        route, fates = cast.LOOSE, story.LOOSE + story.GOOD[:2]
    elif rng.random() < 0.04:
        route, fates = cast.STORMY, story.STORMS + story.GOOD[:2]
    return Request(rng, route, rng.choice(fates), rng.choice(tenants), method, **{"size": size(rng), **more})


def check(request, status, fields, data):
    """Holds an answer against its request."""
    said = f"{request}: {status} {fields} {data[:200]!r}"
    if fields.get("content-type", "").startswith("application/problem+json"):
        problem = json.loads(data) if data else None
        if status not in KINDS or "x-token" in fields:
            wrong("no refusal of the gateway's: " + said)
        elif problem and (
            problem["type"].rpartition("/")[2] not in KINDS[status]
            or problem["status"] != status
            or problem["instance"] != fields["x-request-id"]
        ):
            wrong("not a proper refusal: " + said)
        elif status == 421 and request.tenant != cast.PASSING:
            wrong("a tenant that was always there was not found: " + said)
        return
    if status == 403 and "x-tenant" not in fields and story.is_denied(request.token):
        counts["denied by the policy"] += 1
        if data != (b"" if request.method == "HEAD" else story.denied(request.tenant, request.token)):
            wrong("another one's denial: " + said)
        return
    if fields.get("x-tenant") != request.tenant:
        wrong("an answer of another tenant's: " + said)
    elif request.is_loose:
        counts["answers of a loose upstream"] += 1
    elif fields.get("x-token") != request.token:
        wrong("an answer to another request: " + said)
    elif status == 101 and not request.upgrade:
        wrong("nobody has asked for a switch: " + said)
    elif status == 200 and request.method != "HEAD" and data != request.answer:
        wrong(f"not the bytes that were sent, {len(data)} of {request.size}: {said}")


class Gone(Exception):
    """The connection ended, as it may."""


async def connect(rng, tls=None, tenants=cast.TENANTS, room=None, context=CLIENT_TLS):
    """(reader, writer, tenants) of a new connection."""
    sock = socket.socket()
    sock.setblocking(False)
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    options = {"limit": room or 1 << 16}
    tls = rng.random() < 0.3 if tls is None else tls
    if tls:
        host = cast.host(rng.choice(tenants))
        tenants = [tenant for tenant in tenants if cast.host(tenant) == host]
        options.update(ssl=context, server_hostname=host, ssl_handshake_timeout=PLAN["patience"])
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", PLAN["tls" if tls else "plain"]))
        return *await asyncio.open_connection(sock=sock, **options), tenants
    except (OSError, ssl.SSLError) as error:
        sock.close()
        counts[f"not connected: {type(error).__name__}"] += 1
        raise Gone from error


class Line:
    """A connection to the gateway; over TLS it is for the tenants of one host."""

    def __init__(self, reader, writer, tenants):
        self.reader, self.writer, self.tenants = reader, writer, tenants
        self.is_fresh, self.opened = True, time.monotonic_ns()

    @classmethod
    async def open(cls, rng, tls=None, tenants=cast.TENANTS, room=None):
        """`room`: of the receive buffers, where the client is one that does not read."""
        return cls(*await connect(rng, tls, tenants, room))

    def send(self, data):
        self.writer.write(data)

    async def answer(self, request):
        """Waits for the answer and checks it. True when the connection may go on; raises `Gone` when it has ended."""
        try:
            return await self._answer(request)
        except (reading.Malformed, ValueError) as error:
            wrong(f"{request}: not an answer in HTTP: {error!r}")
            raise Gone from error

    @property
    def is_young(self):
        """Nothing of it can have run into the time that a head has."""
        return time.monotonic_ns() - self.opened < 1_500_000_000

    async def _answer(self, request):
        fresh, self.is_fresh = self.is_fresh, False
        try:
            async with asyncio.timeout(PLAN["patience"]):
                status, fields = await self._head()
        except TimeoutError:
            wrong(f"{request}: no answer after {PLAN['patience']} s")
            raise Gone from None
        except (asyncio.IncompleteReadError, OSError) as end:
            counts[UNANSWERED] += 1
            if fresh and request.is_plain and self.is_young and is_undisturbed(self.opened):
                wrong(f"{request}: the first of its connection, {UNANSWERED}: {end!r}")
            raise Gone from end
        try:
            async with asyncio.timeout(2 * PLAN["patience"]):
                # Of a head that never came whole, the gateway does not know that it asks for none.
                has_body = status == 408 or status not in (101, 204, 304) and request.method != "HEAD"
                data = await reading.body(self.reader, fields, to_end=True) if has_body else b""
        except TimeoutError:
            wrong(f"{request}: half an answer after {2 * PLAN['patience']} s")
            raise Gone from None
        except (asyncio.IncompleteReadError, OSError) as end:
            counts["answers broken off"] += 1
            if request.must_be_whole and is_undisturbed(self.opened):
                wrong(f"{request}: a good answer {BROKEN_OFF}: {end!r}")
            raise Gone from end
        counts[status] += 1
        check(request, status, fields, data)
        self.switched = status == 101
        return "close" not in fields.get("connection", "").lower()

    async def _head(self):
        while True:
            start, fields = await reading.head(self.reader)
            version, status, *_ = start.split(" ")
            if version != "HTTP/1.1":
                raise reading.Malformed(start[:300])
            if int(status) >= 200 or status == "101":
                return int(status), fields

    async def nothing_more(self):
        """After the last answer of a connection that ends, nothing may come but the end."""
        try:
            async with asyncio.timeout(PLAN["patience"]):
                if more := await self.reader.read(1000):
                    wrong(f"after the last answer: {more!r}")
        except TimeoutError:
            wrong("a connection that was said to end is still open")
        except OSError:
            pass

    # --- the end

    def close(self):
        self.writer.close()

    async def leave(self, rng, phase, ways=("closed", "reset", "half-closed")):
        """As clients do: politely, with a reset, or saying only that nothing more will be sent."""
        how = rng.choice(ways)
        if how == "half-closed" and not self.writer.can_write_eof():
            how = "closed"
        counts[f"left {phase}, {how}"] += 1
        if how == "reset":
            reset(self.writer)
        elif how == "closed":
            self.close()
        else:
            await self._half_close(phase)

    async def _half_close(self, phase):
        read = 0
        try:
            self.writer.write_eof()
            while data := await asyncio.wait_for(self.reader.read(1 << 16), PLAN["patience"]):
                read += len(data)
        except TimeoutError:
            wrong(f"a connection that its client has half closed {phase} stays open, {read} bytes read")
        except OSError:
            pass
        finally:
            self.close()
