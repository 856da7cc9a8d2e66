"""The clients of a run, in processes of their own: each does one thing after another, as its seed says."""

import asyncio
import os
import random
import ssl
import time
import traceback

from . import cast, story, streams
from .line import CLIENT_TLS, PLAN, Gone, Line, Request, any_request
from .player import counts, last_report, report, wrong

AT_ONCE = 120
END = time.monotonic() + PLAN["seconds"]


def is_over():
    return time.monotonic() > END


def any_fate(rng):
    groups = (story.GOOD, story.EMPTY, story.BAD, story.MORE, story.EARLY, story.SILENT)
    return rng.choices(groups, (8, 1, 6, 3, 3, 1))[0]


async def goes_on(line, request):
    """Waits for the answer. Whether there is to be another request."""
    if await line.answer(request):
        return not is_over()
    await line.nothing_more()
    return False


async def patient(rng):
    """Asks well-behaved upstreams, one request after another, and waits for each answer."""
    line = await Line.open(rng)
    for _ in range(rng.randrange(1, 30)):
        request = any_request(rng, line.tenants, story.GOOD[:3] if rng.random() < 0.9 else story.GOOD + story.EMPTY)
        line.send(request.bytes)
        if not await goes_on(line, request):
            break
    line.close()


async def bold(rng):
    """Asks upstreams that may do anything."""
    line = await Line.open(rng)
    for _ in range(rng.randrange(1, 10)):
        request = any_request(rng, line.tenants, any_fate(rng))
        line.send(request.head)
        if request.body and rng.random() < 0.3:
            await asyncio.sleep(rng.uniform(0, 0.02))
        line.send(request.payload)
        if not await goes_on(line, request):
            break
    line.close()


async def hasty(rng):
    """Sends many requests ahead, and may leave amid the answers."""
    line = await Line.open(rng)
    fates = any_fate(rng) if rng.random() < 0.3 else story.GOOD[:2]
    requests = [any_request(rng, line.tenants, fates, upload=rng.randrange(500)) for _ in range(rng.randrange(2, 16))]
    stays = rng.choice((len(requests),) * 3 + (rng.randrange(len(requests)),))
    line.send(b"".join(request.bytes for request in requests))
    for request in requests[:stays]:
        if not await line.answer(request):
            return await line.nothing_more()
    if stays < len(requests):
        await line.leave(rng, "amid a pipeline")
    line.close()


async def herd(rng):
    """Many ask for one upstream at the same moment: they queue for its name, then for its few connections. Some leave;
    others come."""
    route = rng.choice(("own", "shared", "several"))
    tenants = rng.sample(cast.TENANTS, 2)

    async def one(number):
        line = await Line.open(rng, tls=number % 5 == 4, tenants=tenants)
        request = Request(rng, route, rng.choice(("length", "chunked_whole", "slow")), rng.choice(line.tenants))
        line.send(request.bytes)
        if number % 2:
            await asyncio.sleep(rng.choice((0, rng.uniform(0, 0.05), rng.uniform(0, 0.4))))
            return await line.leave(rng, "while waiting in a herd")
        await line.answer(request)
        line.close()

    await together(one(number) for number in range(rng.randrange(4, 14)))


async def together(some):
    """All of them; an end of a connection, as it may come, ends none of the others."""
    for result in await asyncio.gather(*some, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, Gone):
            raise result


async def leave_early(rng):
    line = await Line.open(rng)
    await line.leave(rng, "before a request")


async def leave_in_handshake(rng):
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = CLIENT_TLS.wrap_bio(received, sent, server_hostname=rng.choice(cast.hosts()))
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    reader, writer = await asyncio.open_connection("127.0.0.1", PLAN["tls"])
    line = Line(reader, writer, ())
    data = sent.read()
    line.send(data[: rng.choice((len(data), rng.randrange(len(data))))])
    await asyncio.sleep(rng.choice((0, 0.001, 0.01)))
    await line.leave(rng, "in the handshake")


async def leave_in_head(rng):
    line = await Line.open(rng)
    data = any_request(rng, line.tenants, story.GOOD).head
    line.send(data[: rng.randrange(1, len(data) - 1)])
    await asyncio.sleep(rng.choice((0, 0.001, 0.01)))
    await line.leave(rng, "in a head")


async def leave_in_body(rng):
    line = await Line.open(rng)
    fates = story.GOOD + story.EARLY + ("close_amid_request",)
    request = any_request(rng, line.tenants, fates, method="POST", upload=rng.choice((1000, 200_000)))
    line.send(request.head + request.payload[: rng.randrange(len(request.payload) - 1)])
    await asyncio.sleep(rng.choice((0, 0.001, rng.uniform(0, 0.3))))
    await line.leave(rng, "in a body")


async def leave_waiting(rng):
    line = await Line.open(rng)
    fates = story.SILENT if rng.random() < 0.1 else any_fate(rng)
    line.send(any_request(rng, line.tenants, fates).bytes)
    await asyncio.sleep(rng.choice((0, 0.001, 0.01, rng.uniform(0, 0.4))))
    await line.leave(rng, "while waiting")


async def leave_in_answer(rng):
    line = await Line.open(rng)
    fates = ("drip", "length", "chunked_whole", "close")
    request = any_request(rng, line.tenants, fates, method="GET", size=rng.choice((500, 300_000)))
    line.send(request.bytes)
    try:
        async with asyncio.timeout(PLAN["patience"]):
            await line.reader.readexactly(rng.choice((1, rng.randrange(1, 400))))
    except (asyncio.IncompleteReadError, OSError) as end:
        raise Gone from end
    await line.leave(rng, "in an answer")


async def leave_unread(rng):
    """Asks for more than fits between the two of them, and does not take it."""
    line = await Line.open(rng, room=4096)
    fates = ("length", "chunked_whole", "close")
    request = any_request(rng, line.tenants, fates, method="GET", size=rng.choice((200_000, 3_000_000)))
    line.send(request.bytes)
    await asyncio.sleep(rng.uniform(0.05, 0.6) if rng.random() < 0.9 else 3)
    await line.leave(rng, "with an answer unread", ("closed", "reset"))


async def tunneller(rng):
    """Checks every byte that comes through a tunnel; some stay silent in it for long."""
    line = await Line.open(rng)
    request = any_request(rng, line.tenants, story.TUNNELS, method="GET", size=rng.randrange(3000), upgrade=True)
    line.send(request.bytes)
    if await line.answer(request) and line.switched:
        counts["tunnels"] += 1
        await speak(rng, line, request)
    line.close()


async def speak(rng, line, request):
    expected = story.told_in_tunnel(request.tenant, request.token, request.fate, request.size)
    got = b""
    until = time.monotonic() + rng.choice((0, 0.05, 0.3, rng.uniform(0, 6)))
    while True:
        if rng.random() < 0.7:
            data = story.asked(request.tenant, request.token, rng.choice((1, 100, 20_000)))
            expected += data if request.fate == "echo" else b""
            line.send(data)
        try:
            async with asyncio.timeout(rng.choice((0.01, 0.2, 2))):
                more = await line.reader.read(1 << 16)
        except TimeoutError:
            more = None
        except OSError as end:
            raise Gone from end
        if more == b"":
            break
        got += more or b""
        if not expected.startswith(got):
            return wrong(f"{request}: a tunnel of {len(got)} bytes, not all its own: {got[-300:]!r}")
        if time.monotonic() > until:
            return await line.leave(rng, "in a tunnel")


async def babbler(rng):
    """Sends what is no request: it is refused, or the connection ends."""
    line = await Line.open(rng, tls=False)
    line.send(rng.choice((b"\0", b"GET /", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b")) + b"\r\n\r\n")
    await line.answer(Request(rng, "plain", "length", cast.PASSING))
    await line.nothing_more()
    line.close()


# How often each is done, beside the others.
DEEDS = {
    patient: 30,
    bold: 20,
    hasty: 14,
    herd: 8,
    leave_early: 4,
    leave_in_handshake: 4,
    leave_in_head: 4,
    leave_in_body: 5,
    leave_waiting: 6,
    leave_in_answer: 5,
    leave_unread: 4,
    tunneller: 8,
    babbler: 1,
    **streams.DEEDS,
}


async def one_after_another(number):
    rng = random.Random(f"{PLAN['seed']}-{PLAN['player']}-{number}")
    while not is_over():
        deed = rng.choices(list(DEEDS), DEEDS.values())[0]
        try:
            await deed(rng)
        except Gone:
            await asyncio.sleep(0.001)
        except OSError as error:
            counts[f"{deed.__name__}: {type(error).__name__}"] += 1
        except Exception:
            wrong(f"{deed.__module__}.{deed.__name__}: {traceback.format_exc()}")


async def main():
    reporting = asyncio.create_task(report())
    await asyncio.gather(*(one_after_another(number) for number in range(AT_ONCE)))
    reporting.cancel()
    last_report()
    # Whatever is still open ends with the process.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
