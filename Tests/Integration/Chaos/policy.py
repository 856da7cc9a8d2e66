"""The service that decides about requests in a run: it says yes and no by a request's own words, or is slow, ill, or away."""

import asyncio
import random
import traceback

from . import cast, reading, story
from .player import counts, wrong


def check(start, fields):
    """(tenant, token) of the request that it is asked about, which comes from the tenant that it says."""
    _, _, tenant, token, _ = story.told(fields["x-original-uri"])
    about = f"policy: {start} about {fields.get('x-original-uri')}"
    if fields.get("x-tenant-id") != tenant or fields.get("x-token") != token:
        wrong(f"{about}: for {fields.get('x-tenant-id')} and {fields.get('x-token')}")
    if "x-api-key" in fields or "content-length" in fields or "transfer-encoding" in fields:
        wrong(f"{about}: with the fields {fields}")
    return tenant, token


async def serve(reader, writer):
    counts["policy connections"] += 1
    try:
        while True:
            start, fields = await reading.head(reader)
            tenant, token = check(start, fields)
            counts["policy questions"] += 1
            fate = random.random()
            if fate < 0.03:
                return
            if fate < 0.06:
                writer.write(b"HTTP/1.1 200 OK\r\nX-Verdict: of nobody\r\n nor of anybody\r\nContent-Length: 0\r\n\r\n")
                return await writer.drain()
            if fate < 0.1:
                writer.write(b"HTTP/1.1 500 Ill\r\nX-Verdict: of nobody\r\nContent-Length: 0\r\n\r\n")
                continue
            if fate < 0.2:
                await asyncio.sleep(random.uniform(0, 0.4))
            if story.is_denied(token) and fields.get("content-type") != "application/grpc":
                data = story.denied(tenant, token)
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
            else:
                writer.write(f"HTTP/1.1 200 OK\r\nX-Verdict: {tenant}/{token}\r\nContent-Length: 2\r\n\r\nok".encode())
    except (asyncio.IncompleteReadError, OSError):
        pass
    except Exception:
        wrong("policy: " + traceback.format_exc())
    finally:
        writer.close()


async def live(port):
    """It dies now and then, and comes back."""
    while True:
        server = await asyncio.start_server(serve, cast.HERE, port, backlog=1024)
        await asyncio.sleep(random.uniform(2, 6))
        server.close()
        await asyncio.sleep(random.uniform(0.1, 1))
