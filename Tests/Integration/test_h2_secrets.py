"""Fields that came as ones that nobody may put into a table (RFC 7541 section 6.2.3) go on as such, in both directions."""

from hpack import HeaderTuple, NeverIndexedHeaderTuple

from Support import h2
from Support.h2 import frame, serving
from Support.upstream import answer, text
from test_h2 import H2Case


def secret(*pairs):
    return [NeverIndexedHeaderTuple(*pair) for pair in pairs]


def kept(fields, *names):
    """Whether each of these may stand in no table."""
    found = {field[0]: not field.indexable for field in fields}
    return [found[name] for name in names]


class Secrets(H2Case):
    def edge(self, answers):
        """In front of a server that keeps what it was asked and answers with what `answers` gives for the path: fields and trailers."""
        self.asked = []

        def behaviour(server):
            while taken := server.request():
                stream, request = taken
                self.asked.append(request)
                fields, trailers = answers(request.get(":path"))
                server.respond(stream, b"x", fields=fields, trailers=trailers)

        return super().edge(self.upstream(serving(behaviour)), block="protocols h2;", workers=1)

    def fields(self, client, path, more=(), of_path=HeaderTuple):
        one, two, three, _ = client.fields("POST", path)
        return [HeaderTuple(*field) for field in (one, two, three)] + [of_path(":path", path), *more]

    def ask(self, client, fields, trailers=()):
        stream = client.head(fields, ends=False)
        client.data(stream, b"x", ends=not trailers)
        if trailers:
            client.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, client.encoder.encode(list(trailers))))
        reply = client.answer(stream)
        self.assertEqual((reply.status, bytes(reply.body)), (200, b"x"))
        return reply, self.asked[-1]

    def test_a_request_s_and_its_answer_s(self):
        """Again and again, for what repeats goes by the table, and what goes by one is no secret: two clients share the connection to
        the server, of which one keeps his field one."""
        words = {"/": [("x-told", "1")], "/told": secret(("x-told", "2"))}
        gateway = self.edge(lambda path: (words[path], []))
        for tls in (True, False):
            open_one, secret_one = self.open(gateway, tls), self.open(gateway, tls)
            for _ in range(4):
                reply, asked = self.ask(open_one, self.fields(open_one, "/", [("x-own", "1"), ("x-token", "t")]))
                self.assertEqual(kept(asked.fields, "x-token", "x-own", ":path", ":authority"), [False] * 4)
                self.assertEqual(kept(reply.fields, "x-told", "date"), [False, False])
                more = [("x-own", "1"), *secret(("x-token", "t"))]
                reply, asked = self.ask(secret_one, self.fields(secret_one, "/", more))
                self.assertEqual((kept(asked.fields, "x-token"), asked.get("x-token")), ([True], "t"))
                self.assertEqual(kept(reply.fields, "x-told"), [False])
                reply, asked = self.ask(secret_one, self.fields(secret_one, "/told", [("x-own", "1")]))
                self.assertEqual(kept(asked.fields, "x-own"), [False])
                self.assertEqual((kept(reply.fields, "x-told"), reply.get("x-told")), ([True], "2"))

    def test_a_path_is_one_too(self):
        gateway = self.edge(lambda path: ([], []))
        open_one, secret_one = self.open(gateway), self.open(gateway)
        for _ in range(3):
            for client, of_path, expected in ((open_one, HeaderTuple, False), (secret_one, NeverIndexedHeaderTuple, True)):
                _, asked = self.ask(client, self.fields(client, "/reset?token=t", of_path=of_path))
                self.assertEqual((kept(asked.fields, ":path"), asked.get(":path")), ([expected], "/reset?token=t"))

    def test_credentials_alone_hold_nothing_else_back(self):
        """Their names say it, and many clients mark them so: the rest of the head still goes by the table."""
        gateway = self.edge(lambda path: (secret(("set-cookie", "a=b")) + [("x-told", "1")], []))
        client = self.open(gateway)
        for _ in range(3):
            more = secret(("authorization", "Bearer t"), ("cookie", "a=b")) + [HeaderTuple("x-own", "1")]
            reply, asked = self.ask(client, self.fields(client, "/", more))
            self.assertEqual(kept(asked.fields, "authorization", "cookie", "x-own"), [True, True, False])
            self.assertEqual(kept(reply.fields, "set-cookie", "x-told"), [True, False])

    def test_trailers(self):
        gateway = self.edge(lambda path: ([], secret(("x-sum", "3")) if path == "/secret" else [("x-sum", "2")]))
        client = self.open(gateway)
        for _ in range(3):
            for path, trailers, expected in (("/", [("x-check", "1")], False), ("/secret", secret(("x-check", "2")), True)):
                reply, asked = self.ask(client, self.fields(client, path), trailers)
                self.assertEqual((kept(asked.trailers, "x-check"), kept(reply.trailers, "x-sum")), ([expected], [expected]))

    def test_an_upstream_of_http1_gets_them_as_they_are(self):
        upstream = self.upstream(answer(text("x")))
        client = self.open(super().edge(upstream))
        stream = client.head(client.fields(more=secret(("x-token", "t"))))
        self.assertEqual(client.answer(stream).status, 200)
        self.assertEqual(upstream.next_request()["x-token"], "t")
