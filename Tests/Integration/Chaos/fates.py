"""How an upstream answers: a function for each fate of `story`. True when the connection may carry another request."""

import asyncio
import itertools

from . import reading, story

POISON = b"HTTP/1.1 200 OK\r\nX-Tenant: nobody\r\nX-Token: poison\r\nContent-Length: 6\r\n\r\npoison"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
# What goes out in one piece, and is read as one.
PIECE = 3000
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chaos\r\n"


def head(asked, *fields, status="200 OK"):
    lines = (f"HTTP/1.1 {status}", f"X-Tenant: {asked.named}", f"X-Token: {asked.token}", *fields, "", "")
    return "\r\n".join(lines).encode()


def whole(asked, **options):
    """An answer with its length."""
    data = b"" if asked.method == "HEAD" else asked.said
    return head(asked, f"Content-Length: {asked.size}", **options) + data


def chunked(asked):
    sizes = itertools.cycle((1, 100, 1000, 20_000, 70_000))
    return head(asked, "Transfer-Encoding: chunked") + reading.chunks(asked.said, sizes)


# Good ones


async def length(asked):
    await asked.read()
    await asked.send(whole(asked))
    return True


async def chunked_whole(asked):
    await asked.read()
    if asked.method == "HEAD":
        await asked.send(head(asked, "Transfer-Encoding: chunked"))
    else:
        await asked.send(chunked(asked) + b"0\r\n\r\n")
    return True


async def close(asked):
    await asked.read()
    await asked.send(head(asked, "Connection: close") + (b"" if asked.method == "HEAD" else asked.said))


async def slow(asked):
    await asyncio.sleep(asked.rng.uniform(0.01, 0.25))
    return await length(asked)


async def drip(asked):
    await asked.read()
    data = whole(asked)
    steps = asked.rng.randrange(2, 30)
    step = max(1, len(data) // steps)
    for at in range(0, len(data), step):
        await asked.send(data[at : at + step])
        await asyncio.sleep(0.003)
    return True


async def interim(asked):
    for _ in range(asked.rng.randrange(1, 9)):
        await asked.send(asked.rng.choice((HINTS, b"HTTP/1.1 100 Continue\r\n\r\n")))
    return await length(asked)


async def no_content(asked):
    await asked.read()
    await asked.send(head(asked, status="204 No Content"))
    return True


async def not_modified(asked):
    await asked.read()
    await asked.send(head(asked, f"Content-Length: {asked.size}", status="304 Not Modified"))
    return True


# No answer, or not the whole of one


async def close_at_once(asked):
    pass


async def reset_at_once(asked):
    asked.reset()


async def close_amid_request(asked):
    await asked.reader.read(1000)


async def no_answer(asked):
    await asked.read()


async def reset_instead(asked):
    await asked.read()
    asked.reset()


async def half_head(asked):
    await asked.read()
    data = head(asked)
    await asked.send(data[: asked.rng.randrange(1, len(data) - 1)])


async def half_body(asked):
    await asked.read()
    await asked.send(head(asked, f"Content-Length: {asked.size + 10}") + asked.said)


async def half_body_reset(asked):
    await half_body(asked)
    await asyncio.sleep(0.002)
    asked.reset()


async def half_chunks(asked):
    await asked.read()
    await asked.send(chunked(asked))


async def garbage(asked):
    await asked.read()
    await asked.send(asked.rng.randbytes(asked.rng.randrange(1, 3000)) + b"\r\n\r\n")


async def bad_chunks(asked):
    await asked.read()
    end = asked.rng.choice((b"x\r\n", b"-1\r\n", b"5\r\nhello!\r\n", b"FFFFFFFFFFFFFFFFF\r\n"))
    await asked.send(chunked(asked) + end)


async def two_lengths(asked):
    await asked.read()
    lengths = f"Content-Length: {asked.size}", f"Content-Length: {asked.size + 1}"
    await asked.send(head(asked, *lengths) + asked.said)


async def two_framings(asked):
    await asked.read()
    await asked.send(head(asked, "Content-Length: 5", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n")


async def storm(asked):
    await asked.read()
    await asked.send(HINTS * 30 + whole(asked))
    return True


async def unasked_switch(asked):
    await asked.send(SWITCH + b"\r\n" + POISON)


# More than an answer


async def extra(asked):
    await asked.read()
    await asked.send(whole(asked) + (POISON if asked.size < PIECE else b""))
    return True


async def late_extra(asked):
    await asked.read()
    await asked.send(whole(asked))
    await asyncio.sleep(asked.rng.uniform(0, 0.01))
    await asked.send(POISON.replace(b"nobody", asked.named.encode()))
    return True


# Before the end of the request


async def early(asked):
    await asked.send(whole(asked))
    await asked.read()
    return True


async def early_close(asked):
    await asked.send(whole(asked))


async def early_reset(asked):
    await asked.send(whole(asked))
    await asyncio.sleep(0.002)
    asked.reset()


# Silence


async def silent(asked):
    await asyncio.wait_for(asked.reader.read(), 20)


async def stalled(asked):
    await asked.read()
    data = whole(asked)
    await asked.send(data[: asked.rng.randrange(len(data))])
    await silent(asked)


# Tunnels: what the upstream says first often comes in one piece with the switch.


def switch(asked, data=b""):
    return head(asked, "Connection: Upgrade", "Upgrade: chaos", status="101 Switching Protocols") + data


async def echo(asked):
    await asked.send(switch(asked, asked.said))
    while data := await asked.reader.read(65536):
        await asked.send(data)


async def flood(asked):
    """Speaks whether or not somebody listens."""
    asked.size = story.FLOOD
    data = asked.said
    await asked.send(switch(asked, data[:1000]))
    for at in range(1000, len(data), 10_000):
        await asked.send(data[at : at + 10_000])
        await asyncio.sleep(0.02)
    await silent(asked)


async def switch_and_close(asked):
    await asked.send(switch(asked, asked.said))


async def switch_and_reset(asked):
    await asked.send(switch(asked, asked.said))
    await asyncio.sleep(0.002)
    asked.reset()


async def switch_and_half_close(asked):
    await asked.send(switch(asked, asked.said))
    asked.writer.write_eof()
    await silent(asked)


async def no_switch(asked):
    return await length(asked)
