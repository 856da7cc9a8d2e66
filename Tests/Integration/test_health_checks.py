"""Active health checks: what is asked, by which protocol, and which answers are a yes."""

import time

from Support import h2
from Support.case import Case
from Support.upstream import answer, text

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
OFTEN = "interval=50ms timeout=2s fall=1 rise=1"


class HealthChecks(Case):
    def app(self, check, more=""):
        return f"upstream app {{ server 127.0.0.1:$app; {more} health_check {check} {OFTEN}; }}\n" + ACME

    def healthy(self, gateway):
        return gateway.metrics().sum("gateway_upstream_healthy")

    def until_out(self, gateway, why):
        self.until(
            lambda: self.healthy(gateway) == 0 and gateway.stderr.rstrip().endswith(f"is out: {why}"), f"the server to be out: {why}"
        )

    def until_back(self, gateway):
        self.until(lambda: self.healthy(gateway) == 1, "the server to be back")

    def test_statuses(self):
        status = ["200 OK"]
        upstream = self.upstream(lambda peer: answer(text("x", status=status[0]))(peer))
        for check, good, bad in (("/h", ("200 OK", "399 Odd"), ("400 No", "503 No")), ("/h status=404", ("404 No",), ("200 OK",)),
                                 ("/h status=200-204", ("204 No Content",), ("205 No", "302 Found"))):
            for one in bad:
                with self.subTest(check, status=one):
                    status[0] = good[0]
                    gateway = self.gateway(self.app(check), app=upstream)
                    self.until_back(gateway)
                    status[0] = one
                    self.until_out(gateway, f"it answers {one[:3]}")
                    status[0] = good[-1]
                    self.until_back(gateway)
                    gateway.stop()

    def test_a_text_that_the_answer_must_have(self):
        body = [b"status: ok"]
        upstream = self.upstream(lambda peer: answer(text(body[0]))(peer))
        gateway = self.gateway(self.app('/h body="s: ok"'), app=upstream)
        for bad in (b"status: OK", b"", b"x" * (70 << 10) + b"s: ok", b"s: o"):
            body[0] = b"x" * (60 << 10) + b"s: ok" + b"y" * 10
            self.until_back(gateway)
            body[0] = bad
            self.until_out(gateway, "its answer is not what `body` says")

    def test_a_text_that_comes_in_pieces_and_a_body_without_end(self):
        stop = []
        self.addCleanup(stop.append, True)

        def behaviour(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\no")
            time.sleep(0.05)
            peer.send(b"k")
            while not stop:
                peer.send(b"x" * 1000)

        gateway = self.gateway(self.app("/h body=ok"), app=self.upstream(behaviour, record=False))
        time.sleep(0.5)
        self.assertEqual(self.healthy(gateway), 1)
        self.assertNotIn("is out", gateway.stderr)

    def test_the_host_that_is_asked_for(self):
        upstream = self.upstream()
        gateway = self.gateway(self.app("/h host=App.Internal"), app=upstream)
        request = upstream.next_request()
        self.assertEqual((request.target, request["host"], request["user-agent"]), ("/h", "app.internal", "gateway-health"))
        self.assertEqual(self.healthy(gateway), 1)

    # --- HTTP/2

    def h2_upstream(self, answers):
        """Answers by HTTP/2 as `answers(stream)` says: (status, body, trailers). `self.asked` has the heads."""
        self.asked = []

        def behaviour(server):
            while (got := server.request()) is not None:
                self.asked.append(got[1])
                server.respond(got[0], **answers())

        return self.upstream(h2.serving(behaviour), record=False)

    def field(self, index, name):
        return self.asked[index].get(name)

    def test_a_path_by_http_2(self):
        said = {"body": b"ok"}
        upstream = self.h2_upstream(lambda: said)
        gateway = self.gateway(self.app("/h body=ok", "protocols h2;"), app=upstream)
        self.until(lambda: len(self.asked) > 2, "checks")
        self.assertEqual((self.field(0, ":method"), self.field(0, ":path")), ("GET", "/h"))
        self.assertEqual(self.field(0, ":authority"), f"127.0.0.1:{upstream.port}")
        self.assertEqual(self.healthy(gateway), 1)
        said.update(status="503")
        self.until_out(gateway, "it answers 503")
        said.update(status="200")
        self.until_back(gateway)
        said.update(body=b"no")
        self.until_out(gateway, "its answer is not what `body` says")

    def test_a_long_path_by_http_2(self):
        for size in (4000, 9000):
            upstream = self.h2_upstream(lambda: {"body": b"ok"})
            gateway = self.gateway(self.app("/" + "~" * size, "protocols h2;"), app=upstream)
            self.until(lambda: self.asked, "a check")
            self.assertEqual(self.field(0, ":path"), "/" + "~" * size)
            self.assertEqual(self.healthy(gateway), 1)
            gateway.stop()

    def test_grpc(self):
        serving = lambda status: {
            "body": b"\0\0\0\0\x02\x08" + bytes([status]), "fields": [("content-type", "application/grpc")],
            "trailers": [("grpc-status", "0")],
        }
        for check, asked in (("grpc", b"\0" * 5), ("grpc=a.B", b"\0\0\0\0\x05\x0a\x03a.B")):
            with self.subTest(check):
                said = serving(1)
                gateway = self.gateway(self.app(check, "protocols h2;"), app=self.h2_upstream(lambda: said))
                self.until(lambda: len(self.asked) > 2, "checks")
                self.assertEqual(self.healthy(gateway), 1)
                self.assertEqual((self.field(0, ":method"), self.field(0, ":path")), ("POST", "/grpc.health.v1.Health/Check"))
                self.assertEqual((self.field(0, "content-type"), self.field(0, "te")), ("application/grpc", "trailers"))
                self.assertEqual(bytes(self.asked[0].body), asked)
                for bad, why in (
                    (serving(2), "it says NOT_SERVING"),
                    ({**serving(1), "trailers": [("grpc-status", "12")]}, "it answers grpc-status 12"),
                    ({**serving(1), "trailers": ()}, "its answer has no grpc-status"),
                    ({**serving(1), "body": b"\0\0\0\0\x09\x08\x01"}, "its answer is no health check's"),
                    ({**serving(1), "status": "404"}, "it answers 404"),
                ):
                    said = serving(1)
                    self.until_back(gateway)
                    said = bad
                    self.until_out(gateway, why)
                gateway.stop()

    def test_a_server_that_speaks_no_http_2_is_out(self):
        gateway = self.gateway(self.app("grpc"), app=self.upstream(lambda peer: peer.send(text("x"))))
        self.until(lambda: self.healthy(gateway) == 0, "the server to be out")

    # --- reloads

    def test_another_check_goes_on_with_what_is_known(self):
        status = ["503 No"]
        upstream = self.upstream(lambda peer: answer(text("x", status=status[0]))(peer))
        gateway = self.gateway(self.app("/a"), app=upstream)
        self.until_out(gateway, "it answers 503")
        gateway.write(self.app("/b").replace("interval=50ms", "interval=60s"))
        gateway.reload()
        self.assertEqual(self.healthy(gateway), 0)
        self.assertEqual(self.get(gateway).status, 503)
