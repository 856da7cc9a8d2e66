"""How an upstream of HTTP/2 answers: a function for each fate of `story`. Those of `story.STORMS` end their connection, with all
that is on it; the others are their own stream's alone."""

import asyncio

from Support.h2 import (
    CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, WINDOW_UPDATE, frame,
)  # fmt: skip

from . import story
from .fates import PIECE


def head(asked, *fields, status=200):
    kind = [("content-type", "application/grpc")] if asked.is_call else []
    return [(":status", str(status)), ("x-tenant", asked.named), ("x-token", asked.token), *kind, *fields]


async def body(asked, data, ends=True):
    """The rest behind a head; a call's outcome stands in trailers."""
    if asked.is_call and ends:
        await asked.stream.data(data)
        return asked.stream.head([("grpc-status", "0"), ("x-token", asked.token)], ends=True)
    await asked.stream.data(data, ends)


async def whole(asked, *fields, pause=0):
    if asked.method == "HEAD":
        return asked.stream.head(head(asked, *fields), ends=True)
    data = asked.said
    asked.stream.head(head(asked, *fields))
    step = max(1, len(data) // asked.rng.randrange(2, 30)) if pause else len(data) or 1
    parts = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
    for number, part in enumerate(parts, 1):
        await body(asked, part, number == len(parts))
        await asyncio.sleep(pause)


# Good ones


async def length(asked):
    await asked.read()
    await whole(asked, ("content-length", str(asked.size)))


async def chunked_whole(asked):
    await asked.read()
    await whole(asked)


async def close(asked):
    """The last ones of the connection are those that are there."""
    await asked.read()
    asked.link.leave()
    await whole(asked)


async def slow(asked):
    await asyncio.sleep(asked.rng.uniform(0.01, 0.25))
    await length(asked)


async def drip(asked):
    await asked.read()
    await whole(asked, pause=0.003)


async def interim(asked):
    for _ in range(asked.rng.randrange(1, 9)):
        asked.stream.head(asked.rng.choice(([(":status", "103"), ("link", "</x>")], [(":status", "100")])))
    await length(asked)


async def no_content(asked):
    await asked.read()
    asked.stream.head(head(asked, status=204), ends=True)


async def not_modified(asked):
    await asked.read()
    asked.stream.head(head(asked, ("content-length", str(asked.size)), status=304), ends=True)


# No answer, or not the whole of one


async def close_at_once(asked):
    asked.stream.reset(CANCEL)


async def reset_at_once(asked):
    asked.stream.reset(INTERNAL_ERROR)


async def close_amid_request(asked):
    await asyncio.sleep(0.002)
    asked.stream.reset(PROTOCOL_ERROR)


async def no_answer(asked):
    """It was not processed, and may come again."""
    asked.stream.reset(REFUSED_STREAM)


async def reset_instead(asked):
    await asked.read()
    asked.stream.reset(INTERNAL_ERROR)


async def half_head(asked):
    await asked.read()
    asked.stream.head([("x-token", asked.token)], ends=True)


async def half_body(asked):
    await asked.read()
    await whole(asked, ("content-length", str(asked.size + 10)))


async def half_body_reset(asked):
    await asked.read()
    asked.stream.head(head(asked, ("content-length", str(asked.size + 10))))
    await body(asked, asked.said, False)
    await asyncio.sleep(0.002)
    asked.stream.reset(INTERNAL_ERROR)


async def half_chunks(asked):
    await asked.read()
    asked.stream.head(head(asked))
    await body(asked, asked.said, False)
    asked.stream.reset(CANCEL)


async def garbage(asked):
    await asked.read()
    asked.stream.head(head(asked, ("X-Upper", "1")), ends=True)


async def bad_chunks(asked):
    await asked.read()
    await whole(asked, ("content-length", str(max(0, asked.size - 1))))


async def two_lengths(asked):
    await asked.read()
    await whole(asked, ("content-length", str(asked.size)), ("content-length", str(asked.size + 1)))


async def two_framings(asked):
    await asked.read()
    await whole(asked, ("transfer-encoding", "chunked"))


async def storm(asked):
    await asked.read()
    for _ in range(30):
        asked.stream.head([(":status", "103"), ("link", "</x>")])
    await whole(asked)


async def unasked_switch(asked):
    asked.stream.head(head(asked, status=101))


# Before the end of the request


async def early(asked):
    await whole(asked, ("content-length", str(asked.size)))
    await asked.read()


async def early_close(asked):
    """The rest is not wanted: RFC 9113 section 8.1."""
    await whole(asked, ("content-length", str(asked.size)))
    if not asked.stream.ended:
        asked.stream.reset(0)


async def early_reset(asked):
    await whole(asked, ("content-length", str(asked.size)))
    if not asked.stream.ended:
        asked.stream.reset(CANCEL)


async def extra(asked):
    await asked.read()
    await whole(asked)


# Silence


async def silent(asked):
    """Of a call that has begun to be answered, only PING says whether its server is there: it may be silent for as long as it likes."""
    try:
        async with asyncio.timeout(3 if asked.is_call else 20):
            while asked.stream.code is None and not asked.link.is_over:
                await asked.link.next_event()
    except TimeoutError:
        asked.stream.reset(CANCEL)


async def stalled(asked):
    await asked.read()
    asked.stream.head(head(asked, ("content-length", str(asked.size + 1))))
    await body(asked, asked.said[: asked.rng.randrange(asked.size + 1)], False)
    await silent(asked)


# Tunnels (RFC 8441): any 200 opens one.


async def echo(asked):
    stream = asked.stream
    stream.head(head(asked))
    await stream.data(asked.said)
    at = 0
    try:
        while True:
            await stream.until(lambda: len(stream.body) > at)
            data, at = bytes(stream.body[at:]), len(stream.body)
            await stream.data(data)
    finally:
        # Whoever has opened it has closed it.
        stream.end()


async def flood(asked):
    asked.size = story.FLOOD
    asked.stream.head(head(asked))
    data = asked.said
    for at in range(0, len(data), 10_000):
        await asked.stream.data(data[at : at + 10_000])
        await asyncio.sleep(0.02)
    await echo_nothing(asked)


async def echo_nothing(asked):
    try:
        async with asyncio.timeout(20):
            await asked.stream.until(lambda: asked.stream.ended)
    finally:
        asked.stream.end()


async def switch_and_close(asked):
    asked.stream.head(head(asked))
    await asked.stream.data(asked.said, True)


async def switch_and_reset(asked):
    asked.stream.head(head(asked))
    await asked.stream.data(asked.said)
    await asyncio.sleep(0.002)
    asked.stream.reset(CANCEL)


async def switch_and_half_close(asked):
    await switch_and_close(asked)
    await echo_nothing(asked)


async def no_switch(asked):
    asked.stream.head(head(asked, ("content-length", str(asked.size)), status=403))
    await asked.stream.data(asked.said, True)


# The end of the connection, and of all that is on it


async def refuses_to_go_on(asked):
    """This one was not processed, nor any that came after it."""
    asked.stream.is_left = True
    asked.link.leave(max(0, asked.stream.number - 2))


async def goes_with_an_error(asked):
    asked.link.go_away(asked.stream.number, INTERNAL_ERROR)
    asked.link.close()


async def says_goodbye_and_is_gone(asked):
    await whole(asked)
    asked.link.go_away(asked.link.newest)
    asked.link.close()


async def cut(asked):
    if asked.rng.random() < 0.5:
        asked.stream.head(head(asked, ("content-length", str(PIECE))))
    asked.link.close()


async def torn(asked):
    asked.link.reset()


async def nonsense(asked):
    asked.link.send(asked.rng.randbytes(asked.rng.randrange(9, 3000)))


async def too_large_a_frame(asked):
    asked.stream.head(head(asked))
    asked.link.send(frame(DATA, 0, asked.stream.number, b"x" * 20_000))


async def bad_block(asked):
    asked.link.send(frame(HEADERS, END_HEADERS, asked.stream.number, asked.rng.choice((b"\xff\xff\xff\xff", b"\x40\x82", b"\xbe"))))


async def more_behind_the_end(asked):
    await whole(asked)
    asked.link.send(frame(DATA, END_STREAM, asked.stream.number, b"poison"))


async def another_stream(asked):
    """An answer that nobody has asked for."""
    number = asked.link.newest + 10_000
    block = asked.link.encoder.encode([(":status", "200"), ("x-tenant", "nobody"), ("x-token", "poison")])
    asked.link.send(frame(HEADERS, END_HEADERS | END_STREAM, number, block))


async def endless_windows(asked):
    asked.link.send(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2)


async def overruns(asked):
    """More than the gateway's windows take."""
    asked.stream.head(head(asked))
    data = story.said(asked.named, asked.token, story.OVERRUN)
    for at in range(0, len(data), 16_000):
        asked.link.send(frame(DATA, 0, asked.stream.number, data[at : at + 16_000]))


async def deaf(asked):
    """Reads nothing for a while, and has nothing to say."""
    asked.link.reading.cancel()
    await asyncio.sleep(2)
    asked.link.close()
