"""The upstreams of a run, in a process of their own: who asks is checked, then answered as the request's fate says."""

import asyncio
import random
import socket
import traceback

from . import cast, fates, policy, reading, story
from .player import counts, plan, report, reset, wrong


class Asked:
    """A request that the gateway passed on, and the connection that it came by."""

    def __init__(self, reader, writer, start, fields):
        self.reader, self.writer, self.fields = reader, writer, fields
        self.method, target, _ = start.split(" ")
        self.route, self.fate, self.tenant, self.token, self.size = story.told(target)
        self.rng = random.Random(self.token)
        self.named = fields.get("x-tenant-id")
        self.is_copy = "x-mirror" in fields

    @property
    def said(self):
        return story.said(self.named, self.token, self.size)

    async def read(self):
        """All of its body."""
        data = await reading.body(self.reader, self.fields)
        # With a copy goes all of a body, or nothing.
        if self.is_copy and not data:
            return
        if data != story.asked(self.tenant, self.token, int(self.fields["x-size"])):
            wrong(f"{self}: a body of {len(data)} bytes that nobody sent: {data[:200]!r}")

    def send(self, data):
        self.writer.write(data)
        return self.writer.drain()

    def reset(self):
        reset(self.writer)

    def __str__(self):
        return f"upstream: {self.method} {story.target(self.route, self.fate, self.tenant, self.token, self.size)}"


def check(asked, address):
    """Whether it came from the tenant that it says, to a server which that tenant may ask."""
    if asked.named != asked.tenant:
        wrong(f"{asked}: passed on as a request of {asked.named}")
    if (asked.is_copy or asked.route in ("own", cast.LOOSE)) and address != cast.OWN[asked.tenant]:
        wrong(f"{asked}: at {address}, which is not its tenant's own")
    if asked.fields.get("x-verdict", f"{asked.tenant}/{asked.token}") != f"{asked.tenant}/{asked.token}":
        wrong(f"{asked}: with a decision about {asked.fields['x-verdict']}")
    if asked.fields.get("x-token") != asked.token or "x-api-key" in asked.fields:
        wrong(f"{asked}: with the fields {asked.fields}")


async def serve(reader, writer):
    address = writer.get_extra_info("sockname")[0]
    counts["upstream connections"] += 1
    try:
        while True:
            start, fields = await reading.head(reader)
            if start.startswith("GET /healthz "):
                status = b"200 OK" if random.random() < 0.8 else b"500 Ill"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
                continue
            asked = Asked(reader, writer, start, fields)
            check(asked, address)
            counts["upstream copies" if asked.is_copy else "upstream requests"] += 1
            # Copies of what goes to servers of HTTP/2 come here, too.
            fate = getattr(fates, asked.fate, fates.length if asked.is_copy else None)
            if not await fate(asked):
                return
    except (asyncio.IncompleteReadError, OSError):
        pass
    except Exception:
        wrong("upstream: " + traceback.format_exc())
    finally:
        writer.close()


def stuck(port):
    """A server whose queue is full: connections to it neither succeed nor fail."""
    listener = socket.create_server((cast.STUCK, port), backlog=0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((cast.STUCK, port))
        waiting.append(one)
    return listener, waiting


async def main():
    port = plan()["upstreams"]
    kept = stuck(port)
    for address in (cast.HERE, *cast.OWN.values()):
        await asyncio.start_server(serve, address, port, backlog=1024)
    lives = asyncio.create_task(policy.live(plan()["policy"]))
    await report()
    del kept, lives


if __name__ == "__main__":
    asyncio.run(main())
