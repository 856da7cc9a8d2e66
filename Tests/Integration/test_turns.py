"""Whose turn it is: a storm of one tenant's handshakes does not keep another tenant waiting."""

import select
import os
import signal
import socket
import ssl
import time

from Support import h2
from Support.case import Case
from Support.client import RawClient

MANY = 120


def client_hello(name):
    """The first bytes of a client that asks for that server: cheap to send again and again, and dear to answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(received, sent, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def answered(sockets):
    """How many of them have something to read at this moment."""
    poll = select.poll()
    for one in sockets:
        poll.register(one, select.POLLIN)
    return len(poll.poll(0))


class Turns(Case):
    def edge(self):
        """Neither tenant's requests go further than the gateway: nobody waits for an upstream."""
        leaves = [self.leaf("flood.test"), self.leaf("quiet.test")]
        return self.gateway(
            self.tls_listener(*leaves)
            + "upstream app { server 127.0.0.1:$app; }\n"
            + "defaults { authenticate api_key; upstream app; }\n"
            + "tenant flood { host flood.test; } tenant quiet { host quiet.test; }\n",
            app=self.upstream(),
            workers=1,
        )

    def ahead(self, gateway, flood, bytes, quiet):
        """Of many connections that sent first, how many were answered before the quiet one was, which sent last. The
        gateway is stopped meanwhile, so that it finds all of it ready at the same moment."""
        gateway.signal(signal.SIGSTOP)
        try:
            for one in flood:
                one.sendall(bytes)
            quiet.send("GET / HTTP/1.1\r\nHost: quiet.test\r\n\r\n")
            # All of it is in the gateway's sockets by now.
            time.sleep(0.05)
        finally:
            gateway.signal(signal.SIGCONT)
        response = quiet.read_response()
        count = answered(flood)
        self.assertEqual(response.status, 401)
        until = time.time() + 10
        while answered(flood) < len(flood):
            self.assertLess(time.time(), until, "the flood is answered as well")
            time.sleep(0.01)
        return count

    def quiet(self, gateway):
        client = RawClient(gateway.tls, tls=self.authority.context(), sni="quiet.test")
        self.addCleanup(client.close)
        self.assertEqual(client.request("GET", "/", "quiet.test").status, 401)
        return client

    def sockets(self, port):
        all = []
        for _ in range(MANY):
            one = socket.create_connection(("127.0.0.1", port), 10)
            self.addCleanup(one.close)
            all.append(one)
        # Taken by the gateway before it is stopped.
        time.sleep(0.2)
        return all

    def test_a_hundred_handshakes_of_one_tenant_cost_another_a_few(self):
        gateway = self.edge()
        quiet = self.quiet(gateway)
        hello = client_hello("flood.test")
        counts = sorted(self.ahead(gateway, self.sockets(gateway.tls), hello, quiet) for _ in range(5))
        self.assertLess(counts[2], MANY // 4, counts)

    def test_hundreds_of_streams_of_one_tenant_cost_another_a_few(self):
        """On few connections, as many as each may have at once; the quiet tenant's request comes last, over either protocol."""
        gateway = self.edge()
        context = self.authority.context(alpn=("h2",))
        for quiet_speaks_h2 in (False, True):
            counts = []
            for _ in range(5):
                flood = [h2.Client(gateway.tls, context, sni="flood.test") for _ in range(4)]
                quiet = h2.Client(gateway.tls, context, sni="quiet.test") if quiet_speaks_h2 else self.quiet(gateway)
                for one in [*flood, *([quiet] if quiet_speaks_h2 else [])]:
                    self.addCleanup(one.close)
                    one.until(lambda: one.settings and one.acks)
                counts.append(self.streams_ahead(gateway, flood, quiet))
            self.assertLess(sorted(counts)[2], 4 * 100 // 4, counts)

    def streams_ahead(self, gateway, flood, quiet):
        """The same as `ahead`, of streams: by the log, for hundreds of them are answered faster than anybody looks."""
        streams, name = [], os.urandom(4).hex()
        gateway.signal(signal.SIGSTOP)
        try:
            for client in flood:
                out = b""
                for _ in range(100):
                    streams.append((client, client.open()))
                    block = client.encoder.encode(client.fields(path="/" + name, host="flood.test", scheme="https"))
                    out += h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, streams[-1][1], block)
                client.send(out)
            if isinstance(quiet, h2.Client):
                own = quiet.head(quiet.fields(path="/" + name, host="quiet.test", scheme="https"))
            else:
                quiet.send(f"GET /{name} HTTP/1.1\r\nHost: quiet.test\r\n\r\n")
            time.sleep(0.05)
        finally:
            gateway.signal(signal.SIGCONT)
        status = quiet.answer(own).status if isinstance(quiet, h2.Client) else quiet.read_response().status
        self.assertEqual(status, 401)
        for client, stream in streams:
            self.assertEqual(client.answer(stream).status, 401)
        hosts = lambda: [line["host"] for line in gateway.log_lines() if line["path"] == "/" + name]
        self.until(lambda: len(hosts()) == len(streams) + 1, "a line of each")
        return hosts().index("quiet.test")
