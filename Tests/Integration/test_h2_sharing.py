"""Two tenants on one connection of HTTP/2, on both sides: each request gets its own answer, and counts for its own tenant."""

import collections
import hashlib
import random
import re
import threading

from Support import h2
from Support.books import live
from Support.h2 import frame, serving
from Support.upstream import echo
from test_h2 import H2Case

TENANTS = ("acme", "globex")
AT_ONCE, ROUNDS = 40, 15


class Asked:
    """A request that says whose it is, and frames of it that are still to be sent."""

    def __init__(self, client, rng, keys, number, kind):
        self.tenant = rng.choice(TENANTS)
        self.other = TENANTS[1 - TENANTS.index(self.tenant)]
        self.kind = kind
        self.mark = f"{self.tenant} {number} "
        self.body = (self.mark * 900)[: rng.choice((0, 10, 3000, 12_000))].encode()
        self.stream = client.open()
        fields = client.fields("POST", f"/{self.tenant}/{number}", f"{self.tenant}.test", more=[("x-mark", self.mark.strip())])
        if kind == "two hosts":
            fields.append(("host", f"{self.other}.test"))
        fields.append(("x-api-key", keys[self.other if kind == "another's key" else self.tenant]))
        if kind == "two keys":
            fields.append(("authorization", f"Bearer {keys[self.other]}"))
        # What stands in the encoder's table has its order: the head is coded when it is sent.
        self.parts = [lambda: frame(h2.HEADERS, h2.END_HEADERS, self.stream, client.encoder.encode(fields))]
        self.parts += [self.part(at) for at in range(0, len(self.body), 5000)]
        if kind == "left":
            self.parts.append(lambda: frame(h2.RST_STREAM, 0, self.stream, b"\0\0\0\x08"))
        else:
            self.parts.append(lambda: frame(h2.DATA, h2.END_STREAM, self.stream))
        self.parts.reverse()

    def part(self, at):
        return lambda: frame(h2.DATA, 0, self.stream, self.body[at : at + 5000])


class Sharing(H2Case):
    """Everything is shared that can be: the client's connection, the upstream's, the loop."""

    seconds = 90

    def setUp(self):
        super().setUp()
        self.faults, self.seen = [], []
        self.keys = {tenant: re.search(r"gw_\w+", self.command("key", "create", tenant).stdout).group() for tenant in TENANTS}

    def take(self, fields, body):
        """What the upstream makes of a request; whatever does not belong to its tenant is a fault."""
        _, tenant, _ = fields[":path"].split("/")
        own = (fields["x-tenant-id"], fields[":authority"], fields["x-mark"].split()[0])
        if own != (tenant, f"{tenant}.test", tenant) or "x-api-key" in fields or "authorization" in fields:
            self.faults.append(fields)
        if body.strip(fields["x-mark"].encode() + b" ") or any(key in repr(fields) for key in self.keys.values()):
            self.faults.append((fields, body))
        self.seen.append(tenant)
        return fields["x-mark"].encode() + b": " + body

    def serves_h2(self, server):
        """Answers what has come in any order, in as few pieces as there can be."""
        # Wide: for bodies that find the connection's window full another connection is made.
        server.window(0, 1 << 24)
        rng, held = random.Random(7), []
        while taken := server.request(within=20):
            held.append(taken)
            # Whatever else is there already.
            while taken := server.request(within=0.002):
                held.append(taken)
            rng.shuffle(held)
            for stream, request in held:
                if request.reset is None:
                    fields = dict(request.fields)
                    body = self.take(fields, bytes(request.body))
                    server.respond(stream, body, fields=[("x-mark", fields["x-mark"]), ("set-cookie", "of=" + fields["x-mark"])])
            held = []

    def serves_h1(self, peer):
        while request := peer.read_request():
            fields = {name.lower(): value for name, value in request.fields}
            fields[":path"], fields[":authority"] = request.target, fields["host"]
            request.body = self.take(fields, bytes(request.body))
            peer.send(echo(request).replace(b"\r\n", b"\r\nX-Mark: %b\r\n" % fields["x-mark"].encode(), 1))

    def shared(self, protocols):
        keys = {tenant: hashlib.sha256(key.encode()).hexdigest() for tenant, key in self.keys.items()}
        behaviour = serving(self.serves_h2, settings=[(4, 1 << 20)]) if protocols == "h2" else self.serves_h1
        upstream = self.upstream(behaviour, record=False)
        gateway = self.gateway(
            self.tls_listener(self.leaf(*(f"{tenant}.test" for tenant in TENANTS)))
            + f"upstream app {{ server 127.0.0.1:$app; {'protocols h2;' if protocols == 'h2' else ''} }}\n"
            + "".join(
                f"tenant {tenant} {{ host {tenant}.test; upstream app; authenticate api_key; key sha256:{keys[tenant]}; }}\n"
                for tenant in TENANTS
            ),
            app=upstream, workers=1,
        )  # fmt: skip
        return gateway, upstream

    def ask(self, client, rng, kinds):
        """Many requests, their frames in any order, in few pieces; gives them with their answers."""
        asked = [Asked(client, rng, self.keys, number, rng.choice(kinds)) for number in range(AT_ONCE)]
        heads, out = list(asked), b""
        pending = []
        while heads or pending:
            # Streams begin in their order; what follows a head comes when it comes.
            if heads and (not pending or rng.random() < 0.4):
                one = heads.pop(0)
                pending.append(one)
            else:
                one = rng.choice(pending)
            out += one.parts.pop()()
            if not one.parts:
                pending.remove(one)
            if len(out) > 30_000:
                client.send(out)
                out = b""
        client.send(out)
        for one in asked:
            if one.kind != "left":
                client.answer(one.stream)
        return asked

    def check(self, client, one):
        answer = client.answers[one.stream]
        if one.kind == "own":
            self.assertEqual(answer.status, 200, one.mark)
            self.assertEqual(answer.get("x-mark"), one.mark.strip())
            self.assertEqual(bytes(answer.body), one.mark.strip().encode() + b": " + one.body)
            self.assertIn(answer.get("set-cookie"), (None, "of=" + one.mark.strip()))
        elif one.kind != "left":
            self.assertEqual(answer.status, 400 if one.kind == "two hosts" else 403, (one.kind, bytes(answer.body)))
            self.assertNotIn(one.other.encode(), bytes(answer.body))

    def interleave(self, protocols, kinds):
        gateway, upstream = self.shared(protocols)
        expected = {tenant: collections.Counter() for tenant in TENANTS}
        lock = threading.Lock()
        failures = []

        def plays(seed, tls):
            try:
                rng = random.Random(seed)
                # No name in the handshake is one of theirs.
                context = self.authority.context(alpn=("h2",), verify=False) if tls else None
                client = h2.Client(gateway.tls if tls else gateway.plain, context, sni=None)
                self.addCleanup(client.close)
                for _ in range(ROUNDS):
                    for one in self.ask(client, rng, kinds):
                        self.check(client, one)
                        if one.kind == "own":
                            with lock:
                                answer = client.answers[one.stream]
                                expected[one.tenant].update(requests=1, received=len(one.body), sent=len(answer.body))
            except (AssertionError, OSError, h2.Ended, h2.Reset, TimeoutError) as failure:
                failures.append(failure)

        threads = [threading.Thread(target=plays, args=(seed, seed % 2 == 0)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.faults, [])
        if protocols == "h2":
            self.assertLessEqual(len(upstream.connections), 4)
        return gateway, expected

    def answered(self, gateway, tenant):
        return gateway.metrics().sum("gateway_requests_total", tenant=tenant, code="200")

    def test_each_gets_its_own_and_counts_for_its_own(self):
        for protocols in ("h2", "http/1.1"):
            with self.subTest(protocols=protocols):
                self.seen.clear()
                gateway, expected = self.interleave(protocols, ("own", "own", "own", "another's key", "two hosts", "two keys"))
                for tenant in TENANTS:
                    self.until(lambda: live(gateway, tenant)["in_flight"] == 0, "nothing under way")
                    figures, known = live(gateway, tenant), expected[tenant]
                    self.assertGreater(known["requests"], 100)
                    self.assertEqual(self.seen.count(tenant), known["requests"])
                    for name, value in (
                        ("admitted", known["requests"]), ("settled", known["requests"]),
                        ("request_bytes", known["received"]), ("response_bytes", known["sent"]),
                    ):  # fmt: skip
                        self.assertEqual(figures[name], value, (tenant, name))
                    self.assertEqual(self.answered(gateway, tenant), known["requests"])

    def test_those_that_leave_amid_it_take_nothing_of_anybodys(self):
        for protocols in ("h2", "http/1.1"):
            with self.subTest(protocols=protocols):
                self.seen.clear()
                gateway, expected = self.interleave(protocols, ("own",) * 12 + ("left",))
                for tenant in TENANTS:
                    self.until(lambda: live(gateway, tenant)["in_flight"] == 0, "nothing under way")
                    figures = live(gateway, tenant)
                    self.assertEqual(self.answered(gateway, tenant), expected[tenant]["requests"])
                    self.assertEqual(figures["admitted"], figures["settled"])

    def test_a_tenant_that_has_left_a_connection_open_is_not_the_next_ones(self):
        """What is asked behind a refusal, on the same connection, is judged by what it carries itself."""
        gateway, _ = self.shared("h2")
        client = self.open(gateway, sni="acme.test")

        def own(tenant, host=None):
            more = [("x-api-key", self.keys[tenant]), ("x-mark", tenant)]
            return client.get(f"/{tenant}/1", host=host or f"{tenant}.test", more=more)

        for _ in range(3):
            self.assertEqual(own("acme").status, 200)
            # The name in the handshake is acme's.
            self.assertEqual(own("globex").status, 421)
            self.assertEqual(own("globex", "acme.test").status, 403)
        self.assertNotIn("globex", self.seen)
        self.assertEqual(self.faults, [])
