"""Randomised traffic, from a seed that failures name: however bytes are cut, whoever dies, each gets his own answer."""

import os
import random
import ssl
import threading
import time

from Support.case import Case
from Support.client import RawClient, Truncated
from Support.upstream import answer, chunk, text

SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1 << 32)


def sizes(rng):
    """Sizes near the edges of buffers more often than others."""
    edge = rng.choice((0, 1, 4096, 16384, 32768, 65536, 131072, 196608, 262144))
    return max(0, edge + rng.randrange(-600, 600)) if rng.random() < 0.8 else rng.randrange(400_000)


def body_of(rng, size):
    return rng.randbytes(min(size, 1000)) * (size // 1000 + 1)


def pieces(rng, data):
    """The data cut into writes: one, a few, or many small ones."""
    kind = rng.random()
    if kind < 0.4:
        yield data
        return
    most = 70_000 if kind < 0.8 or len(data) > 20_000 else 50
    at = 0
    while at < len(data):
        count = rng.randrange(1, most)
        yield data[at : at + count]
        at += count


def chunks_of(rng, data):
    out, at = [], 0
    while at < len(data):
        count = rng.choice((1, 10, 1000, 16384, 65535, 65536, 100_000))
        part = data[at : at + count]
        out.append(chunk(part))
        at += count
    return b"".join(out) + b"0\r\n\r\n"


class Mixture(Case):
    once = True
    seconds = 60

    def run_threads(self, count, body, seconds):
        """Runs `body(rng)` over and over in threads until time is up; gives how often. Fails with the first failure."""
        failures, done, end = [], [0], time.monotonic() + seconds

        def work(number):
            rng = random.Random(f"{SEED}-{number}")
            while time.monotonic() < end and not failures:
                try:
                    body(rng)
                    done[0] += 1
                except Exception as error:
                    failures.append(f"seed {SEED}, thread {number}: {error!r}")

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 20)
        self.assertEqual(failures, [])
        return done[0]

    def cut(self, tls):
        def behaviour(peer):
            rng = random.Random(f"{SEED}-upstream-{peer.number}")
            while request := peer.read_request():
                data = request.body
                framing = rng.randrange(3)
                if framing == 0:
                    wire = text(data)
                elif framing == 1:
                    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks_of(rng, data)
                else:
                    wire = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data
                for piece in pieces(rng, wire):
                    peer.send(piece)
                if framing == 2:
                    return

        gateway = self.simple(self.upstream(behaviour, record=False), top=self.tls_listener(self.leaf("acme.test")))
        context = self.authority.context()

        def connection(rng):
            options = {"tls": context, "sni": "acme.test"} if tls else {}
            with RawClient(gateway.tls if tls else gateway.plain, **options) as client:
                for _ in range(rng.randrange(1, 6)):
                    data = body_of(rng, size := sizes(rng))[:size]
                    head = b"POST / HTTP/1.1\r\nHost: acme.test\r\nX-Pad: " + b"p" * rng.randrange(500)
                    if rng.random() < 0.5:
                        wire = head + b"\r\nContent-Length: %d\r\n\r\n" % size + data
                    else:
                        wire = head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks_of(rng, data)
                    for piece in pieces(rng, wire):
                        client.send(piece)
                    response = client.read_response()
                    if response.status != 200 or response.body != data:
                        raise AssertionError(f"{size} bytes: {response.status}, {len(response.body)} bytes came back")

        self.assertGreater(self.run_threads(4, connection, 6), 10)

    def test_bodies_cut_anywhere_arrive_whole(self):
        self.cut(tls=False)

    def test_bodies_cut_anywhere_arrive_whole_over_tls(self):
        self.cut(tls=True)

    def test_each_gets_the_answer_to_his_own_request_whatever_happens_to_others(self):
        """Clients that vanish, upstreams that die, answers with extra bytes, pipelines: no answer may go astray."""

        def behaviour(tenant):
            def serve(peer):
                rng = random.Random(f"{SEED}-{tenant}-{peer.number}")
                while (request := peer.read_head()) is not None:
                    fate = rng.random()
                    if fate < 0.03:
                        peer.reset()
                        return
                    peer.read_body(request)
                    if fate < 0.06:
                        return
                    wire = text(
                        f"{tenant} {request['x-tenant-id']} {request.target} ".encode() + b"." * rng.randrange(2000)
                    )
                    if fate < 0.09:
                        peer.send(wire[: rng.randrange(len(wire))])
                        return
                    if fate < 0.12:
                        peer.send(wire + text("poison"))
                        return
                    peer.send(wire)

            return serve

        upstreams = {name: self.upstream(behaviour(name), record=False) for name in ("acme", "globex")}
        gateway = self.gateway(
            "".join(
                f"upstream {name} {{ server 127.0.0.1:${name}; }}\n"
                f"tenant {name} {{ host {name}.test; authenticate none; upstream {name}; }}\n"
                for name in upstreams
            ),
            **upstreams,
        )
        seen = {"whole": 0, "refused": 0, "broken": 0}

        def connection(rng):
            with RawClient(gateway.plain) as client:
                asked = []
                for _ in range(rng.randrange(1, 10)):
                    tenant, number = rng.choice(("acme", "globex")), rng.randrange(1 << 40)
                    body = rng.choice(("", "", "x" * rng.randrange(3000)))
                    asked.append((tenant, f"/{number}"))
                    client.send_as_taken(
                        f"{'POST' if body else 'GET'} /{number} HTTP/1.1\r\nHost: {tenant}.test\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}"
                    )
                if rng.random() < 0.2:
                    rng.choice((client.close, client.reset))()
                    return
                for tenant, target in asked:
                    try:
                        response = client.read_response()
                    except Truncated:
                        seen["broken"] += 1
                        return
                    if response.status == 200:
                        if not response.body.startswith(f"{tenant} {tenant} {target} ".encode()):
                            raise AssertionError(f"{tenant} {target} got {response.body[:80]!r}")
                        seen["whole"] += 1
                    elif response.status in (502, 503):
                        seen["refused"] += 1
                    else:
                        raise AssertionError(f"{tenant} {target} got {response}")
                    if not response.keeps_alive:
                        return

        self.run_threads(6, connection, 6)
        self.assertGreater(seen["whole"], 50, seen)
        self.assertGreater(seen["refused"] + seen["broken"], 0, seen)
        self.until(lambda: gateway.metrics().sum("gateway_connections") == 0, "every connection forgotten")

    def test_garbage_is_survived(self):
        gateway = self.simple(
            self.upstream(record=False),
            top="limits { header_timeout 300ms; }\n" + self.tls_listener(self.leaf("acme.test")),
        )
        good = b"POST /a?b HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
        good += b"5\r\nhello\r\n0\r\n\r\n"

        def connection(rng):
            data = bytearray(good * rng.randrange(1, 4))
            for _ in range(rng.randrange(1, 8)):
                at = rng.randrange(len(data))
                what = rng.random()
                if what < 0.4:
                    data[at] = rng.randrange(256)
                elif what < 0.7:
                    del data[at : at + rng.randrange(1, 10)]
                else:
                    data[at:at] = rng.choice(
                        (b"\r\n", b"\0", b"\r", b"\n", b" ", b"\t", b":", b"0\r\n\r\n", b"\xff" * 9)
                    )
                if not data:
                    return
            with RawClient(gateway.plain if rng.random() < 0.8 else gateway.tls, timeout=5) as client:
                client.send_as_taken(bytes(data))
                client.end_and_drain()

        self.assertGreater(self.run_threads(4, connection, 4), 10)
        self.assertEqual(self.get(gateway).status, 200)

    def test_garbage_from_an_upstream_is_survived(self):
        good = (
            text("hello"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nhello",
        )

        def behaviour(peer):
            rng = random.Random(f"{SEED}-{peer.number}")
            if peer.read_request():
                data = bytearray(rng.choice(good))
                for _ in range(rng.randrange(3)):
                    at = rng.randrange(len(data))
                    data[at : at + rng.randrange(4)] = rng.choice(
                        (b"", b"\r\n", b"\0", b"\n", b" ", b":", b"\xff", b"9", b"-")
                    )
                for piece in pieces(rng, bytes(data)):
                    peer.send(piece)

        gateway = self.simple(self.upstream(behaviour, record=False), block="response_timeout 200ms;")

        def connection(rng):
            with RawClient(gateway.plain, timeout=5) as client:
                try:
                    while client.request("GET", "/", "acme.test").keeps_alive:
                        pass
                except (Truncated, OSError):
                    pass

        self.assertGreater(self.run_threads(4, connection, 4), 5)
        self.assertEqual(gateway.get("/readyz")[0], 200)

    def test_damaged_tls_records_are_survived(self):
        gateway = self.simple(self.upstream(record=False), top=self.tls_listener(self.leaf("acme.test")))
        context = self.authority.context()
        request = b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n"

        def connection(rng):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname="acme.test")
            broken_at = rng.randrange(4)
            with RawClient(gateway.tls, timeout=5) as client:
                for step in range(100):
                    try:
                        if step == 0 or not tls.version():
                            tls.do_handshake()
                        tls.write(request)
                    except ssl.SSLWantReadError:
                        pass
                    except (ssl.SSLError, ValueError):
                        return
                    data = bytearray(outgoing.read())
                    if data and step >= broken_at:
                        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                    client.send_as_taken(bytes(data))
                    client.socket.settimeout(0.2)
                    try:
                        if not client.stream.fill():
                            return
                    except TimeoutError:
                        return
                    incoming.write(client.stream.take(len(client.stream.buffer)))

        self.assertGreater(self.run_threads(4, connection, 3), 10)
        with RawClient(gateway.tls, tls=context, sni="acme.test") as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_garbage_in_gateway_conf_is_rejected_or_taken_but_survived(self):
        good = (
            "upstream app { server 127.0.0.1:$app weight=2; balance round_robin; health_check /healthz interval=1s; }\n"
            "plan pro { max_body 1m; weight 4; }\ndefaults { plan pro; set theme light; response_header Server off; }\n"
            "tenant acme { host acme.test *.acme.test; authenticate none; upstream app; feature a on;\n"
            '  route /x/ { upstream app; response_timeout 5s; } request_header X-A "b c"; }\n'
        )
        gateway = self.gateway(good, app=self.upstream(record=False))
        with open(gateway.file, "rb") as file:
            whole = file.read()
        keep = whole.index(b"upstream")
        rng = random.Random(SEED)
        seen = {200: 0, 422: 0}
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(keep, len(data))
                data[at : at + rng.randrange(6)] = rng.choice(
                    (b"", b";", b"{", b"}", b'"', b"\\", b"\0", b"#", b"9", b"x", b" ", b"\n")
                )
            with open(gateway.file, "wb") as out:
                out.write(data)
            status, _, _ = gateway.call("POST", "/v1/reload")
            seen[status] += 1
        self.assertGreater(min(seen.values()), 0, seen)
        gateway.write(good)
        gateway.reload()
        self.assertEqual(self.get(gateway).status, 200)

    def test_reloads_amid_everything(self):
        upstream = self.upstream(answer(lambda request: text(request.target)), record=False)
        base = "upstream app { server 127.0.0.1:$app; }\n"
        tenant = "tenant t%d { host t%d.test; authenticate none; upstream app; }\n"
        gateway = self.gateway(base + "".join(tenant % (n, n) for n in range(10)), app=upstream)

        def connection(rng):
            with RawClient(gateway.plain) as client:
                for _ in range(rng.randrange(1, 20)):
                    name, target = rng.randrange(10), f"/{rng.randrange(1 << 40)}"
                    try:
                        response = client.request("GET", target, f"t{name}.test")
                    except (Truncated, OSError):
                        return  # the connection's last tenant was removed
                    if response.status != 421 and (response.status, response.body) != (200, target.encode()):
                        raise AssertionError(f"{response}")
                    if response.status == 421 and name < 5:
                        raise AssertionError("a tenant that was always there was not found")

        def reloads():
            rng = random.Random(f"{SEED}-reload")
            while not done.is_set():
                kept = [n for n in range(10) if n < 5 or rng.random() < 0.5]
                gateway.write(base + "".join(tenant % (n, n) for n in kept))
                gateway.call("POST", "/v1/reload")

        done = threading.Event()
        thread = threading.Thread(target=reloads, daemon=True)
        thread.start()
        try:
            self.assertGreater(self.run_threads(4, connection, 5), 10)
        finally:
            done.set()
            thread.join(10)
