"""Who waits and who has left: nobody is served in the name of a client that is gone, and nobody waits without an end.

The gateway lives with names that a test describes, and with a clock that a test moves on.
"""

import threading
import time

from Support import preload
from Support.case import SANITIZED, Case
from Support.client import Malformed, Truncated
from Support.upstream import text

LOOK_UP = 5.0
SLACK = 6.0 if SANITIZED else 1.5
HOUR = 3600


class Waiting(Case):
    """Requests for an upstream that has a name and few connections."""

    once = True
    def named(self, upstreams, world, **options):
        """A gateway with the tenants acme and globex, both in front of these upstreams: /N/ is the N-th."""
        blocks = "".join(f"upstream app{n} {{ {block} }}\n" for n, block in enumerate(upstreams))
        routes = " ".join(f"route /{n}/ {{ upstream app{n}; }}" for n in range(len(upstreams)))
        tenants = "".join(f"tenant {name} {{ host {name}.test; {routes} }}\n" for name in ("acme", "globex"))
        gateway = self.gateway(blocks + "defaults { upstream app0; }\n" + tenants, start=False, **options)
        return gateway.start(environment=preload.environment(preload.Names(gateway.folder, world)))

    def ask(self, gateway, tenant, target, method="GET", body=b"", length=None):
        client = self.connect(gateway.plain, timeout=2 + SLACK)
        length = len(body) if length is None else length
        head = f"{method} {target} HTTP/1.1\r\nHost: {tenant}.test\r\nContent-Length: {length}\r\n\r\n"
        client.send(head.encode() + body)
        client.asked = f"{tenant} {target}"
        return client

    def test_nobody_is_given_the_answer_of_one_who_left_the_queue(self):
        """Both tenants ask for the same name. While they queue for its only connection, some leave; others come."""
        rounds, world = 8, "*.test 200 200 0 127.0.0.1"

        def slow_echo(peer):
            while request := peer.read_request():
                time.sleep(0.02)
                peer.send(text(f"{request['x-tenant-id']} {request.target}"))

        gateway = self.named(
            [f"server app{n}.test:$app; max_connections 1; connect_timeout 1s;" for n in range(rounds)],
            world,
            app=self.upstream(slow_echo, record=False),
        )
        for n in range(rounds):
            leaving = [self.ask(gateway, "acme", f"/{n}/leaves-{i}") for i in range(8)]
            staying = [self.ask(gateway, "globex", f"/{n}/stays-{i}") for i in range(4)]
            time.sleep(0.25)  # the look-up is over, and all but one for each loop are in the queue
            for client in leaving:
                client.close()
            for i in range(12):
                staying.append(self.ask(gateway, ("acme", "globex")[i % 2], f"/{n}/comes-{i}"))
                time.sleep(0.01)  # one after another: a place in the queue is free again before the next one comes
            astray = [said for said in map(self.astray, staying) if said]
            self.assertEqual((gateway.process.poll(), astray), (None, []), f"round {n}")

    def astray(self, client):
        """What is wrong with its answer, or None."""
        with client:
            try:
                response = client.read_response()
            except (Truncated, Malformed, OSError) as error:
                return f"{client.asked}: {error!r}"
            if response.status != 503 and (response.status, response.body.decode()) != (200, client.asked):
                return f"{client.asked}: {response.status} {response.body!r}"

    def test_a_queue_behind_a_name_ends_in_time(self):
        """The upstream keeps its only connection busy: who queues for it is told so, as soon as with an address."""
        release = threading.Event()
        gateway = self.named(
            ["server app.test:$app; max_connections 1; connect_timeout 500ms;"],
            "app.test 300 300 0 127.0.0.1",
            app=self.upstream(lambda peer: release.wait(60), record=False),
        )
        self.addCleanup(release.set)
        began = time.monotonic()
        waiting = [self.ask(gateway, "acme", f"/0/{i}") for i in range(12)]
        self.until(
            lambda: len(self.readable(waiting)) >= len(waiting) - 2,  # each loop has a connection of its own
            "an answer to everybody who has no connection",
            within=0.3 + 0.5 + SLACK,
        )
        for client in self.readable(waiting):
            self.assert_problem(client.read_response(), 503, "overloaded")
        self.assertGreaterEqual(time.monotonic() - began, 0.5)

    def test_a_look_up_without_an_end_is_not_waited_for(self):
        gateway = self.named(
            ["server app.test:$app; connect_timeout 500ms;"],
            "app.test 20000 20000 0 127.0.0.1",
            app=self.upstream(record=False),
        )
        asked = {
            "a request without a body": self.ask(gateway, "acme", "/0/a"),
            "one with a small body": self.ask(gateway, "acme", "/0/b", "POST", bytes(10)),
            "one whose body is on its way": self.ask(gateway, "acme", "/0/c", "POST", bytes(10), length=1000),
        }
        end = time.monotonic() + 0.5 + LOOK_UP + SLACK
        for name, client in asked.items():
            with self.subTest(name):
                client.socket.settimeout(max(0.1, end - time.monotonic()))
                response = client.read_response()
                self.assertIn(response.status, (502, 503, 504))
                self.assert_problem(response, response.status)

    def readable(self, clients):
        return [client for client in clients if not client.is_open_and_quiet(0)]


class Tunnels(Case):
    once = True
    SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

    def test_what_comes_for_a_tunnel_that_was_given_up_reaches_nobody(self):
        """An hour without a byte ends a tunnel. Its upstream has not heard of it yet, and speaks."""
        ends = threading.Event()
        heard, ended, open_for_ever = threading.Semaphore(0), threading.Semaphore(0), []

        def behaviour(peer):
            if peer.read_head()["upgrade"]:
                peer.send(self.SWITCH + b"hello")
                self.assertEqual(peer.stream.exactly(5), b"hello")
                heard.release()
                ends.wait(20)
                try:
                    for _ in range(100):
                        peer.send(b"for nobody")
                        time.sleep(0.005)
                    open_for_ever.append(peer.number)
                finally:
                    ended.release()
            else:
                peer.send(text("fine"))

        self.addCleanup(ends.set)
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\ndefaults { upstream app; }\n"
            "tenant acme { host acme.test; }\ntenant globex { host globex.test; }\n",
            start=False,
            app=self.upstream(behaviour, record=False),
        )
        clock = preload.Clock(gateway.folder)
        gateway.start(environment=preload.environment(clock))
        clients = [self.connect(gateway.plain) for _ in range(8)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            self.assertEqual(client.read_head().status, 101)
            self.assertEqual(client.stream.exactly(5), b"hello")
            client.send(b"hello")
            self.assertTrue(heard.acquire(timeout=5))
        clock.move(HOUR + 10)
        for client in clients:
            self.assert_closed(client, within=5)
        ends.set()
        # What was freed with the tunnels is in use again, by others.
        for _ in range(30):
            self.assertEqual(self.get(gateway, host="globex.test").body, b"fine")
        for _ in clients:
            self.assertTrue(ended.acquire(timeout=10), "the upstream still speaks")
        self.assertEqual((gateway.process.poll(), open_for_ever), (None, []))
        self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "nobody left")
