"""Clients of HTTP/2: many requests on a connection at once, each answer held against its own."""

import asyncio
import time

from Support.h2 import CANCEL, ENHANCE_YOUR_CALM, REFUSED_STREAM

from . import cast, story
from .frames import Ended, Link
from .line import PLAN, STREAMS_TLS, Gone, Request, any_request, check, connect, is_undisturbed, size
from .player import BROKEN_OFF, UNANSWERED, counts, wrong

# What the gateway says of a call that it does not pass on, or of one that failed on its way.
OF_THE_GATEWAY = {str(code) for code in range(1, 17)}
REFUSED = "streams that came too late"


class Streams(Link):
    """A connection to the gateway: over TLS for the tenants of one host, in plain text for all of them."""

    def __init__(self, reader, writer, tenants, **options):
        super().__init__(reader, writer, True, **options)
        self.tenants, self.opened, self.is_rude = tenants, time.monotonic_ns(), False
        self.tasks = []

    @classmethod
    async def open(cls, rng, tls=None, tenants=cast.TENANTS, **options):
        return cls(*await connect(rng, tls, tenants, context=STREAMS_TLS), **options)

    def ask(self, request, fields=()):
        """Begins it; its body follows as the windows allow."""
        if self.is_over or self.goaway or self.writer.is_closing():
            raise Gone
        stream = self.open_stream()
        whole = not request.body and not request.upgrade and not fields
        counts["streams"] += 1
        stream.head([*request.fields, *fields], ends=whole)
        if not whole and not request.upgrade:
            self.tasks.append(asyncio.create_task(self._upload(stream, request.body)))
        return stream

    def open_stream(self):
        return Link.open(self)

    async def _upload(self, stream, body):
        try:
            await stream.data(body, True)
        except (Ended, OSError):
            pass

    @property
    def is_clean(self):
        """Nothing but the gateway's own fault could end it: what it ran into is no time, and nothing that we did."""
        young = time.monotonic_ns() - self.opened < 1_500_000_000
        return young and not self.is_rude and is_undisturbed(self.opened)

    async def answer(self, request, stream):
        """Waits for the answer and checks it. Whether there was one, whole or not."""
        try:
            async with asyncio.timeout(PLAN["patience"]):
                await stream.until(lambda: stream.fields is not None)
        except TimeoutError:
            wrong(f"{request}: no answer on its stream after {PLAN['patience']} s")
            raise Gone from None
        except Ended:
            return self._unanswered(request, stream)
        try:
            async with asyncio.timeout(2 * PLAN["patience"]):
                await stream.until(lambda: stream.ended)
        except TimeoutError:
            wrong(f"{request}: half an answer on its stream after {2 * PLAN['patience']} s")
            raise Gone from None
        except Ended:
            counts["answers broken off"] += 1
            if request.must_be_whole and not self.is_rude and is_undisturbed(self.opened):
                wrong(f"{request}: a good answer on a stream {BROKEN_OFF}, {stream.code}, GOAWAY {self.goaway}")
            if not stream.is_left:
                self._check_begun(request, stream)
            return True
        self._check(request, stream)
        return True

    def _unanswered(self, request, stream):
        if stream.code == REFUSED_STREAM or self.goaway and stream.number > self.goaway[0]:
            counts[REFUSED] += 1
        else:
            counts[UNANSWERED] += 1
            if request.is_plain and self.is_clean:
                wrong(f"{request}: a stream {UNANSWERED}: {stream.code}, GOAWAY {self.goaway}")
        return False

    def _check(self, request, stream):
        fields, status = dict(stream.fields), int(stream.get(":status"))
        counts[str(status)] += 1
        if fields.get("content-type", "").startswith("application/grpc"):
            return self._check_call(request, stream)
        check(request, status, fields, bytes(stream.body))

    def _check_begun(self, request, stream):
        """What has come of it is the beginning of its own."""
        if stream.get("x-tenant") and not request.is_loose:
            own = (stream.get("x-tenant"), stream.get("x-token")) == (request.tenant, request.token)
            if not own or stream.get(":status") == "200" and not request.answer.startswith(bytes(stream.body)[: request.size]):
                wrong(f"{request}: begun with what is not its own: {stream.fields} {bytes(stream.body[:200])!r}")

    def _check_call(self, request, stream):
        said = f"{request}: {stream.fields} {bytes(stream.body[:200])!r} {stream.trailers}"
        if stream.get("x-tenant") is None:
            counts["calls refused"] += 1
            if stream.get("grpc-status") not in OF_THE_GATEWAY or stream.body or stream.get("x-token"):
                wrong("no refusal of a call: " + said)
            return
        outcome = dict(stream.trailers or ())
        if (stream.get("x-tenant"), stream.get("x-token")) != (request.tenant, request.token):
            wrong("a call's answer that is another's: " + said)
        elif outcome.get("grpc-status") == "0" and (bytes(stream.body) != request.answer or outcome.get("x-token") != request.token):
            wrong("not what was said to the call: " + said)
        counts["calls"] += 1

    async def all(self, asked):
        """Their answers, in whatever order they come."""
        for result in await asyncio.gather(*(self.answer(*one) for one in asked), return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def close(self):
        for task in self.tasks:
            task.cancel()
        self.writer.close()


async def ends(streams):
    """It is the gateway that ends it, in reasonable time."""
    try:
        async with asyncio.timeout(PLAN["patience"]):
            await streams.reading
    except TimeoutError:
        wrong(f"a connection of HTTP/2 that should have ended is still open, GOAWAY {streams.goaway}")


def deed(window=(65535,), **options):
    """Done on a connection of its own."""

    def wrap(act):
        async def done(rng):
            streams = await Streams.open(rng, window=rng.choice(window), **options)
            try:
                await act(rng, streams)
            finally:
                streams.close()

        done.__name__ = done.__qualname__ = act.__name__
        return done

    return wrap


@deed()
async def patient(rng, streams):
    """Well-behaved upstreams, several requests at once, and as many again."""
    for _ in range(rng.randrange(1, 8)):
        fates = story.GOOD[:3] if rng.random() < 0.9 else story.GOOD + story.EMPTY
        requests = [any_request(rng, streams.tenants, fates) for _ in range(rng.randrange(1, 12))]
        await streams.all([(request, streams.ask(request)) for request in requests])
        if rng.random() < 0.1:
            await asyncio.sleep(rng.uniform(0, 0.5))


@deed(window=(65535, 1 << 20, 3000))
async def bold(rng, streams):
    """Upstreams that may do anything."""
    groups = (story.GOOD, story.EMPTY, story.BAD, story.MORE, story.EARLY, story.SILENT)
    for _ in range(rng.randrange(1, 4)):
        asked = []
        for _ in range(rng.randrange(1, 16)):
            request = any_request(rng, streams.tenants, rng.choices(groups, (8, 1, 6, 1, 3, 1))[0])
            asked.append((request, streams.ask(request)))
            if rng.random() < 0.2:
                await asyncio.sleep(rng.uniform(0, 0.01))
        await streams.all(asked)


@deed()
async def fickle(rng, streams):
    """Takes some of its requests back; the others are answered all the same."""
    requests = [any_request(rng, streams.tenants, story.GOOD + story.EARLY) for _ in range(rng.randrange(2, 20))]
    asked = [(request, streams.ask(request)) for request in requests]
    kept = []
    for request, stream in asked:
        if rng.random() < 0.5:
            kept.append((request, stream))
            continue
        await asyncio.sleep(rng.choice((0, 0.001, rng.uniform(0, 0.1))))
        if not stream.is_over:
            stream.reset(CANCEL)
            counts["streams reset by their client"] += 1
    if rng.random() < 0.3:
        streams.is_rude = True
        await asyncio.sleep(rng.uniform(0, 0.1))
        counts["connections left amid streams"] += 1
        return streams.reset() if rng.random() < 0.5 else None
    await streams.all(kept)


@deed(window=(0, 1, 1000, 65535), gives=False)
async def slow(rng, streams):
    """Takes what it has asked for a little at a time, or not at all."""
    streams.is_rude = True
    asked = []
    for _ in range(rng.randrange(1, 8)):
        request = any_request(rng, streams.tenants, ("length", "chunked_whole", "close"), method="GET", size=rng.choice((500, 200_000)))
        asked.append((request, streams.ask(request)))
    until = time.monotonic() + rng.choice((0.1, 1, rng.uniform(0, 4)))
    while time.monotonic() < until and not streams.is_over:
        await asyncio.sleep(0.01)
        request, stream = rng.choice(asked)
        if not stream.is_over and rng.random() < 0.8:
            stream.give(rng.choice((1, 100, 20_000)))
        if stream.fields:
            streams._check_begun(request, stream)
    counts["connections left with answers unread"] += 1


@deed()
async def flood(rng, streams):
    """Opens and takes back, over and over: its connection ends, and nobody else's."""
    streams.is_rude = True
    for _ in range(400):
        request = any_request(rng, streams.tenants, story.GOOD[:3], method="GET")
        streams.ask(request).reset(CANCEL)
        if rng.random() < 0.05:
            await asyncio.sleep(0)
    await ends(streams)
    if streams.goaway and streams.goaway[1] == ENHANCE_YOUR_CALM:
        counts["floods of resets ended"] += 1


@deed()
async def open_ended(rng, streams):
    """Begins requests, and never ends them."""
    streams.is_rude = True
    for _ in range(rng.randrange(1, 30)):
        request = any_request(rng, streams.tenants, story.GOOD, method="POST", upload=500, chunked=True)
        stream = streams.open_stream()
        stream.head(request.fields)
        if rng.random() < 0.5:
            await stream.data(request.body[:100])
    await asyncio.sleep(rng.choice((0, 0.1, rng.uniform(0, 3))))
    counts["connections left with open streams"] += 1
    if rng.random() < 0.5:
        streams.reset()


@deed()
async def caller(rng, streams):
    """Calls of gRPC, to upstreams that may do anything to them."""
    asked = []
    for _ in range(rng.randrange(1, 12)):
        if rng.random() < 0.9:
            route, fates = cast.STREAMS, rng.choice((story.GOOD[:5], story.GOOD[:5], story.BAD, story.SILENT))
        else:
            route, fates = cast.STORMY, story.STORMS
        upload = size(rng) // 20
        request = Request(rng, route, rng.choice(fates), rng.choice(streams.tenants), "POST", size(rng), upload, chunked=True)
        more = [("content-type", "application/grpc"), ("te", "trailers")]
        if rng.random() < 0.3:
            more.append(("grpc-timeout", rng.choice(("1n", "10m", "200m", "2S", "1H"))))
        asked.append((request, streams.ask(request, more)))
    await streams.all(asked)


@deed()
async def tunneller(rng, streams):
    """Tunnels beside each other (RFC 8441), every byte of each checked."""
    await asyncio.gather(*(_tunnel(rng, streams) for _ in range(rng.randrange(1, 4))))


async def _tunnel(rng, streams):
    request = any_request(rng, streams.tenants, story.TUNNELS, method="GET", size=rng.randrange(3000), upgrade=True)
    stream = streams.ask(request)
    try:
        async with asyncio.timeout(PLAN["patience"]):
            await stream.until(lambda: stream.fields is not None)
    except TimeoutError:
        return wrong(f"{request}: no answer to a CONNECT after {PLAN['patience']} s")
    except Ended:
        return None
    if stream.get(":status") != "200":
        return None
    counts["tunnels"] += 1
    if request.is_loose:
        return None
    if (stream.get("x-tenant"), stream.get("x-token")) != (request.tenant, request.token):
        return wrong(f"{request}: a tunnel to somebody else's: {stream.fields}")
    expected = story.told_in_tunnel(request.tenant, request.token, request.fate, request.size)
    until = time.monotonic() + rng.choice((0, 0.05, 0.3, rng.uniform(0, 6)))
    while time.monotonic() < until and not stream.is_over and not streams.is_over:
        if rng.random() < 0.7:
            data = story.asked(request.tenant, request.token, rng.choice((1, 100, 5000)))
            expected += data if request.fate == "echo" else b""
            try:
                async with asyncio.timeout(1):
                    await stream.data(data)
            except TimeoutError:
                return None
            except Ended:
                break
        await asyncio.sleep(rng.choice((0.01, 0.1)))
        if not expected.startswith(bytes(stream.body)):
            return wrong(f"{request}: a tunnel of {len(stream.body)} bytes, not all its own: {bytes(stream.body[-300:])!r}")
    return None


@deed()
async def babbler(rng, streams):
    """Sends what is no HTTP/2: the connection ends."""
    streams.is_rude = True
    if rng.random() < 0.7:
        for _ in range(rng.randrange(1, 5)):
            streams.ask(any_request(rng, streams.tenants, story.GOOD))
    streams.send(b"\0\0\x08\x07\0\0\0\0\1" if rng.random() < 0.2 else b"\xff" + rng.randbytes(rng.randrange(9, 300)))
    await ends(streams)


# How often each is done, beside the others.
DEEDS = {patient: 12, bold: 10, fickle: 8, slow: 4, flood: 1, open_ended: 3, caller: 8, tunneller: 4, babbler: 1}
