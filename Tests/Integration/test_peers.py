"""The suite's own readers: what they must notice, or every other test here could be blind."""

from Support import exposition
from Support.case import Case
from Support.client import Malformed, Truncated
from Support.upstream import answer_and_close, answer_and_reset, chunk, text


class Peers(Case):
    def read(self, data, method="GET", finish=answer_and_close):
        upstream = self.upstream(finish(data))
        client = self.connect(upstream.port)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.read_response(method)

    def test_whole_answers_are_read_whole(self):
        self.assertEqual(self.read(text("hello")).body, b"hello")
        self.assertEqual(self.read(b"HTTP/1.1 200 OK\r\n\r\nhello").framing, "close")
        answer = self.read(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + b"0\r\nX-T: 1\r\n\r\n"
        )
        self.assertEqual((answer.body, answer.trailers), (b"hello", [("X-T", "1")]))

    def test_a_truncated_answer_is_noticed_in_every_framing(self):
        for data, finish in (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", answer_and_close),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"), answer_and_close),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + b"0\r\n", answer_and_close),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", answer_and_reset),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", answer_and_reset),
            (b"HTTP/1.1 200 OK\r\nContent-Le", answer_and_close),
        ):
            with self.subTest(data=data), self.assertRaises(Truncated):
                self.read(data, finish=finish)

    def test_a_malformed_answer_is_noticed(self):
        for data in (
            b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        ):
            with self.subTest(data=data), self.assertRaises(Malformed):
                self.read(data)

    def test_the_upstream_records_what_it_got(self):
        upstream = self.upstream()
        client = self.connect(upstream.port)
        self.assertEqual(client.request("POST", "/x", "a", body=b"hello").body, b"ok")
        request = upstream.next_request()
        self.assertEqual((request.method, request.target, request.body), ("POST", "/x", b"hello"))
        self.assertEqual(upstream.bytes_received, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")

    def test_figures_that_are_not_the_text_format_are_noticed(self):
        good = (
            "# HELP a_seconds x\n# TYPE a_seconds histogram\n"
            'a_seconds_bucket{le="1"} 1\na_seconds_bucket{le="+Inf"} 2\na_seconds_sum 3\na_seconds_count 2\n'
        )
        exposition.parse(good)
        for bad in (
            good[:-1],
            good + good,
            good.replace("_count 2", "_count 3"),
            good.replace('"1"} 1', '"1"} 9'),
            good + "b 1\n",
            good.replace('le="1"', "le=1"),
            good.replace(" 3\n", " x\n"),
        ):
            with self.subTest(bad=bad), self.assertRaises((exposition.Malformed, ValueError)):
                exposition.parse(bad)
