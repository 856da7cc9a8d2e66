"""A tenant that floods through all streams of its connections, and one on the same event loop that asks now and then."""

import os
import signal
import statistics
import time

from Support import h2
from Support.h2 import serving
from test_h2 import H2Case

CONNECTIONS, STREAMS, ROUNDS = 4, 100, 12
# Heads that the gateway takes of a connection in one turn: who comes last waits for one of each of the others.
AT_ONCE = 8


class Floods(H2Case):
    """What is measured is work, not time: how many of the flood's requests go to the server before the other tenant's one does. All
    of them stand in the kernel when the gateway looks: it is stopped until then."""

    seconds = 90

    def server(self, server):
        """Answers each request, and notes in which order they have come: over one connection it is the gateway's."""
        while True:
            server.read(time.monotonic() + 60)
            kind, flags, stream, _ = server.frames.pop()
            if kind == h2.HEADERS:
                self.order.append(server.answers.pop(stream).get(":path"))
                server.respond(stream, b"ok")

    def edge(self):
        self.order = []
        tenants = "".join(f"tenant {name} {{ host {name}.test; upstream app; }}\n" for name in ("flood", "quiet"))
        # Nothing is given up because the machine is slow.
        return self.gateway(
            "overload { lag 60s; }\n"
            "upstream app { server 127.0.0.1:$app; protocols h2; max_connections 1; queue size=500; }\n" + tenants,
            app=self.upstream(serving(self.server, settings=[(3, 1000)]), record=False), workers=1,
        )  # fmt: skip

    def is_stopped(self, gateway):
        states = []
        for thread in os.listdir(f"/proc/{gateway.pid}/task"):
            with open(f"/proc/{gateway.pid}/task/{thread}/stat") as file:
                states.append(file.read().rpartition(")")[2].split()[0])
        return set(states) == {"T"}

    def ahead(self, gateway, flood, ask):
        """How many of the flood were before the one that `ask` has sent, behind all of them, and waits for."""
        del self.order[:]
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            self.until(lambda: self.is_stopped(gateway), "the gateway stands still", every=0.001)
            fields = flood[0].fields(path="/flood", host="flood.test")
            streams = [(client, client.head(fields)) for client in flood for _ in range(STREAMS)]
            answered = ask()
        finally:
            os.kill(gateway.pid, signal.SIGCONT)
        answered()
        for client, stream in streams:
            self.assertEqual(client.answer(stream, 30).status, 200)
        self.assertEqual(len(self.order), CONNECTIONS * STREAMS + 1)
        return self.order.index("/quiet")

    def test_who_asks_once_is_not_behind_hundreds_of_streams(self):
        gateway = self.edge()
        flood = [self.open(gateway, tls=False) for _ in range(CONNECTIONS)]
        for client in flood:
            self.assertEqual(client.get("/", host="flood.test").status, 200)
        quiet_h2, quiet_h1 = self.open(gateway, tls=False), self.connect(gateway.plain)
        self.assertEqual(quiet_h2.get("/", host="quiet.test").status, 200)
        self.assertEqual(quiet_h1.request("GET", "/", "quiet.test").status, 200)

        def by_h2():
            stream = quiet_h2.head(quiet_h2.fields(path="/quiet", host="quiet.test"))
            return lambda: self.assertEqual(quiet_h2.answer(stream, 30).status, 200)

        def by_h1():
            quiet_h1.send(b"GET /quiet HTTP/1.1\r\nHost: quiet.test\r\n\r\n")
            return lambda: self.assertEqual(quiet_h1.read_response().status, 200)

        # In turn: neither waits for so long that it is closed.
        counts = {ask: [] for ask in (by_h2, by_h1)}
        for _ in range(ROUNDS):
            for ask, ahead in counts.items():
                ahead.append(self.ahead(gateway, flood, ask))
        for ask, ahead in counts.items():
            middle = statistics.median(ahead)
            print(f"     {ask.__name__}: {middle:.0f} of {CONNECTIONS * STREAMS} are ahead, {max(ahead)} at most", flush=True)
            self.assertLessEqual(max(ahead), CONNECTIONS * AT_ONCE, ask.__name__)
