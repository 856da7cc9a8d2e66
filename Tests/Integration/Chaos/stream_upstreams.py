"""The upstreams of HTTP/2, in a process of their own: each stream is answered as its request's fate says."""

import asyncio
import random
import traceback

from . import cast, story, stream_fates
from .frames import Ended, Link
from .player import counts, plan, report, wrong


class Asked:
    """A request that the gateway passed on, on a stream of a connection."""

    def __init__(self, stream):
        self.stream, self.link = stream, stream.link
        self.fields = dict(stream.fields)
        self.method = self.fields[":method"]
        self.route, self.fate, self.tenant, self.token, self.size = story.told(self.fields[":path"])
        self.rng = random.Random(self.token)
        self.named = self.fields.get("x-tenant-id")
        self.is_call = self.fields.get("content-type") == "application/grpc"

    @property
    def said(self):
        return story.said(self.named, self.token, self.size)

    async def read(self):
        """All of its body."""
        stream = self.stream
        await stream.until(lambda: stream.ended)
        if bytes(stream.body) != story.asked(self.tenant, self.token, int(self.fields["x-size"])):
            wrong(f"{self}: a body of {len(stream.body)} bytes that nobody sent: {bytes(stream.body[:200])!r}")

    def check(self):
        if self.named != self.tenant:
            wrong(f"{self}: passed on as a request of {self.named}")
        if self.fields.get("x-token") != self.token or "x-api-key" in self.fields:
            wrong(f"{self}: with the fields {self.fields}")
        if self.fields.get("x-verdict", f"{self.tenant}/{self.token}") != f"{self.tenant}/{self.token}":
            wrong(f"{self}: with a decision about {self.fields['x-verdict']}")
        if self.fields.get(":authority") != cast.host(self.tenant):
            wrong(f"{self}: for {self.fields.get(':authority')}")

    def __str__(self):
        return f"upstream: {self.method} {story.target(self.route, self.fate, self.tenant, self.token, self.size)}"


class Serving(Link):
    """A connection that the gateway made. Once it is `leaving`, it ends behind its last stream."""

    def __init__(self, reader, writer):
        rng = random.Random()
        settings = [(8, 1), (1, rng.choice((0, 100, 4096)))]
        if most := rng.choice((None, 3, 20, 100)):
            settings.append((3, most))
        window = rng.choice((1000, 65535, 1 << 20))
        super().__init__(reader, writer, False, window, settings, on_request=self.take)
        self.last, self.tasks = None, set()

    def take(self, stream):
        # Behind the last one that it named nothing is processed: the gateway asks elsewhere.
        if self.last is not None and stream.number > self.last:
            stream.is_left = True
            return
        task = asyncio.create_task(self.serve(stream))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def leave(self, last=None):
        """No more than those that are there."""
        if self.last is None:
            self.last = self.newest if last is None else last
            self.go_away(self.last)

    async def serve(self, stream):
        try:
            asked = Asked(stream)
            asked.check()
            counts["upstream streams"] += 1
            await getattr(stream_fates, asked.fate)(asked)
        except (Ended, OSError):
            pass
        except Exception:
            wrong("upstream: " + traceback.format_exc())
        finally:
            if not stream.ended and not stream.is_left and stream.has_ended_here:
                # The rest of the request is of no interest.
                stream.reset(0)
            if self.last is not None and len(self.tasks) <= 1:
                self.close()


async def serve(reader, writer):
    counts["upstream connections of HTTP/2"] += 1
    link = Serving(reader, writer)
    await link.reading
    for task in list(link.tasks):
        task.cancel()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, cast.HERE, plan()["streams"], backlog=1024)
    await report()
    del server


if __name__ == "__main__":
    asyncio.run(main())
