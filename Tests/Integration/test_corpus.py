"""The corpora of malformed messages over real sockets: refused as they should be, and nothing of them goes further."""

import os
import re
import unittest

from Support import corpus
from Support.case import Case
from Support.client import Malformed, RawClient, Truncated
from Support.gateway import PREAMBLE
from Support.upstream import drained, text

MARK = "passed-on"


@unittest.skipUnless(os.path.isdir(corpus.FOLDER), "no corpus in Tests/HTTPTests/Corpus")
class Corpus(Case):
    seconds = 120

    def hosts(self, cases):
        """The hosts that the good cases name: what else they may be, the gateway must know them."""
        found = set()
        for case in cases:
            if case.status is None:
                for host in re.findall(
                    rb"\r\nhost:[ \t]*(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)", case.data, re.IGNORECASE
                ):
                    found.add(host.decode().lower().removesuffix("."))
        return sorted(found)

    def test_malformed_requests(self):
        cases = corpus.read("requests.txt")
        self.assertGreaterEqual(len([case for case in cases if case.status]), 200)
        upstream = self.upstream()
        # One of them is how HTTP/2 begins.
        gateway = self.gateway(
            PREAMBLE.replace("listen 127.0.0.1:$plain;", "listen 127.0.0.1:$plain { protocols http/1.1; }")
            + "limits { header_timeout 700ms; body_timeout 700ms; }\nupstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test example.test "
            + " ".join(host for host in self.hosts(cases) if host not in ("acme.test", "example.test"))
            + "; authenticate none; upstream app; }",
            app=upstream,
            preamble=False,
        )
        for case in cases:
            if case.status is None:
                continue
            with self.subTest(case=repr(case)), RawClient(gateway.plain) as client:
                client.send_as_taken(case.data)
                try:
                    response = client.read_response()
                except (Truncated, Malformed, TimeoutError) as error:
                    self.fail(f"{error!r} for {case.data[:300]!r}")
                self.assertEqual(response.status, case.status, f"{case.data[:300]!r} -> {response}")
                self.assertFalse(response.keeps_alive, response)
                self.assert_closed(client)
        self.assertEqual(upstream.requests, [], "a malformed request reached the upstream")
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_good_requests(self):
        cases = [case for case in corpus.read("requests.txt") if case.status is None]
        upstream = self.upstream(lambda peer: peer.read_head() and peer.send(text("ok", fields=["Connection: close"])))
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$app; }\ntenant acme { host "
            + " ".join(self.hosts(cases))
            + "; authenticate none; upstream app; }",
            app=upstream,
        )
        for case in cases:
            with self.subTest(case=repr(case)), RawClient(gateway.plain) as client:
                client.send(case.data)
                method = case.data.lstrip().split(b" ")[0].decode()
                self.assertLess(client.read_response(method).status, 400, f"{case.data[:300]!r}")

    def answering(self, cases, check):
        """Has each case sent by an upstream that closes then; `check(case, response)`, None being a broken transfer."""
        current = []

        def behaviour(peer):
            if peer.read_request():
                peer.send(current[0].data)
                drained(peer.socket)

        gateway = self.simple(self.upstream(behaviour), block="response_timeout 2s;")
        for case in cases:
            current[:] = [case]
            with self.subTest(case=repr(case)), RawClient(gateway.plain) as client:
                upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n" if b" 101 " in case.data[:20] else ""
                client.send(f"{case.method} / HTTP/1.1\r\nHost: acme.test\r\n{upgrade}\r\n")
                try:
                    response = client.read_response(case.method)
                except Truncated:
                    response = None
                check(case, response)

    def test_malformed_answers(self):
        def check(case, response):
            self.assertIsNotNone(response, f"{case} began to be passed on")
            self.assertEqual(response.status, 502, f"{case.data[:300]!r}")
            if case.method != "HEAD":
                self.assert_problem(response, 502, "bad-upstream")

        # How large an answer's head may be is the gateway's to say: the corpus has the parser's tests in mind.
        cases = [case for case in corpus.read("responses.txt") if case.status]
        cases = [case for case in cases if not case.reason.startswith(("tooManyFields", "headTooLarge"))]
        self.assertGreaterEqual(len(cases), 50)
        self.answering(cases, check)

    def test_good_answers(self):
        def check(case, response):
            status = int(case.data.split(b" ", 2)[1][:3])
            if status == 101 or status >= 200:
                self.assertEqual(response and response.status, status, f"{case.data[:300]!r}")
            else:
                self.assert_problem(response, 502)  # nothing came after the interim answer

        self.answering([case for case in corpus.read("responses.txt") if case.status is None], check)

    def test_malformed_chunks_from_a_client_and_from_an_upstream(self):
        cases = [case for case in corpus.read("chunked.txt") if case.status]
        current = []

        def behaviour(peer):
            while (request := peer.read_head()) is not None:
                if request.target == "/down":
                    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + current[0].data)
                    drained(peer.socket)
                    return
                peer.read_body(request)
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream, top="limits { body_timeout 700ms; }", block="response_timeout 2s;")
        for case in cases:
            current[:] = [case]
            with self.subTest(case=repr(case), way="up"), RawClient(gateway.plain) as client:
                client.send_as_taken(
                    b"POST /up HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n" + case.data
                )
                response = client.read_response()
                self.assertGreaterEqual(response.status, 400, case.data[:300])
                self.assert_closed(client)
            with self.subTest(case=repr(case), way="down"), RawClient(gateway.plain) as client:
                client.send(b"GET /down HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                try:
                    response = client.read_response()
                except Truncated:
                    continue
                self.assertEqual(response.status, 502, f"{case.data[:300]!r} looked complete to the client")
        self.assertEqual([request for request in upstream.requests if request.target == "/up"], [])

    def test_chunk_lines_that_are_read_in_answers_and_refused_in_requests(self):
        current = []

        def behaviour(peer):
            while (request := peer.read_head()) is not None:
                if request.target == "/up":
                    peer.read_body(request)
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + current[0].data)

        upstream = self.upstream(behaviour)
        gateway = self.simple(upstream)
        for case in corpus.read("chunked-tolerated.txt"):
            current[:] = [case]
            with self.subTest(case=repr(case), way="up"), RawClient(gateway.plain) as client:
                client.send_as_taken(
                    b"POST /up HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked\r\n\r\n" + case.data
                )
                self.assertEqual(client.read_response().status, 400, case.data[:300])
            # What the client gets is the gateway's own writing, which the strict reader here reads.
            with self.subTest(case=repr(case), way="down"), RawClient(gateway.plain) as client:
                for _ in range(2):
                    response = client.request("GET", "/down", "acme.test")
                    self.assertEqual((response.status, response.body), (200, b"hello"), case.data[:300])
        self.assertEqual([request for request in upstream.requests if request.target == "/up"], [])
