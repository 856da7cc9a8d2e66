"""Whose turn it is: a storm of one tenant's handshakes does not keep another tenant waiting."""

import select
import signal
import socket
import ssl
import time

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
