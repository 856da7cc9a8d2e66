"""gRPC's own client and server (grpcio), with the gateway in between."""

import json
import threading
import time
from concurrent import futures

import grpc
from Support.ports import free_port
from Support.h2 import serving
from test_h2 import H2Case


class Echo(grpc.GenericRpcHandler):
    """Calls by their last word: what it does with what it gets."""

    def __init__(self):
        self.metadata, self.left, self.begun, self.cancelled = [], [], threading.Event(), threading.Event()

    def service(self, details):
        self.metadata.append(dict(details.invocation_metadata))
        name = details.method.rpartition("/")[2]
        return getattr(self, name, lambda: None)()

    def unary(self):
        def run(request, context):
            self.left.append(context.time_remaining())
            context.set_trailing_metadata((("x-trailer", "yes"),))
            return request

        return grpc.unary_unary_rpc_method_handler(run)

    def fails(self):
        def run(request, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")

        return grpc.unary_unary_rpc_method_handler(run)

    def slow(self):
        def run(request, context):
            context.add_callback(self.cancelled.set)
            self.begun.set()
            self.cancelled.wait(10)
            return request

        return grpc.unary_unary_rpc_method_handler(run)

    def counts(self):
        def run(request, context):
            for number in range(int(request)):
                yield b"%d" % number

        return grpc.unary_stream_rpc_method_handler(run)

    def ticks(self):
        def run(request, context):
            for number in range(3):
                yield b"%d" % number
                time.sleep(float(request))

        return grpc.unary_stream_rpc_method_handler(run)

    def sums(self):
        return grpc.stream_unary_rpc_method_handler(lambda requests, context: b"%d" % sum(int(one) for one in requests))

    def echoes(self):
        def run(requests, context):
            for request in requests:
                yield b"you said " + request

        return grpc.stream_stream_rpc_method_handler(run)

    def large(self):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"x" * int(request))


class GRPC(H2Case):
    seconds = 60

    def server(self, port=0):
        handler = Echo()
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        server = grpc.server(futures.ThreadPoolExecutor(64), handlers=[handler], options=options)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        return handler, port, server

    def edge(self, port, **options):
        block = options.pop("block", "") + " protocols h2;"
        top = options.pop("top", "") + self.tls_listener(self.leaf("acme.test"))
        return self.gateway(
            top + "upstream app { server 127.0.0.1:$app; " + block + " }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; " + options.pop("tenant", "") + " }\n",
            app=port, **options,
        )  # fmt: skip

    def channel(self, gateway, tls=False):
        options = [("grpc.default_authority", "acme.test"), ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
        if tls:
            with open(self.authority.certificate, "rb") as file:
                credentials = grpc.ssl_channel_credentials(file.read())
            options.append(("grpc.ssl_target_name_override", "acme.test"))
            channel = grpc.secure_channel(f"127.0.0.1:{gateway.tls}", credentials, options)
        else:
            channel = grpc.insecure_channel(f"127.0.0.1:{gateway.plain}", options)
        self.addCleanup(channel.close)
        return channel

    def log(self, gateway, count):
        import os

        path = os.path.join(gateway.folder, "access.log")

        def lines():
            with open(path) as file:
                return [json.loads(line) for line in file]

        self.until(lambda: len(lines()) >= count, "the lines of the log")
        return lines()

    def test_every_kind_of_call(self):
        handler, port, _ = self.server()
        gateway = self.edge(port)
        for tls in (False, True):
            with self.subTest(tls=tls):
                channel = self.channel(gateway, tls)
                reply, call = channel.unary_unary("/test/unary").with_call(b"hello", timeout=5, metadata=[("x-own", "1")])
                self.assertEqual(reply, b"hello")
                self.assertIn(("x-trailer", "yes"), call.trailing_metadata())
                self.assertEqual(handler.metadata[-1]["x-own"], "1")
                self.assertEqual(list(channel.unary_stream("/test/counts")(b"1000", timeout=10)), [b"%d" % n for n in range(1000)])
                self.assertEqual(channel.stream_unary("/test/sums")((b"%d" % n for n in range(1000)), timeout=10), b"499500")
                self.assertEqual(channel.unary_unary("/test/large")(b"10000000", timeout=10), b"x" * 10_000_000)
                self.assertEqual(channel.unary_unary("/test/unary")(b"y" * 10_000_000, timeout=10), b"y" * 10_000_000)

                turn = threading.Event()

                def asks():
                    for number in range(3):
                        yield b"%d" % number
                        turn.wait(5)
                        turn.clear()

                heard = []
                for reply in channel.stream_stream("/test/echoes")(asks(), timeout=10):
                    heard.append(reply)
                    turn.set()
                self.assertEqual(heard, [b"you said 0", b"you said 1", b"you said 2"])

    def test_outcomes_in_log_and_metrics(self):
        _, port, _ = self.server()
        gateway = self.edge(port)
        channel = self.channel(gateway)
        channel.unary_unary("/test/unary")(b"", timeout=5)
        with self.assertRaises(grpc.RpcError) as caught:
            channel.unary_unary("/test/fails")(b"", timeout=5)
        self.assertEqual((caught.exception.code(), caught.exception.details()), (grpc.StatusCode.FAILED_PRECONDITION, "not now"))
        with self.assertRaises(grpc.RpcError) as caught:
            channel.unary_unary("/test/nothing")(b"", timeout=5)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual([line["grpc_status"] for line in self.log(gateway, 3)], [0, 9, 12])
        for code in ("0", "9", "12"):
            self.assertEqual(gateway.metrics().sum("gateway_grpc_requests_total", tenant="acme", grpc_code=code), 1)

    def test_refusals_are_answers_of_grpc(self):
        _, port, _ = self.server()
        gateway = self.edge(port, tenant="rate 1/h burst=1;")
        channel = self.channel(gateway)
        self.assertEqual(channel.unary_unary("/test/unary")(b"1", timeout=5), b"1")
        with self.assertRaises(grpc.RpcError) as caught:
            channel.unary_unary("/test/unary")(b"2", timeout=5)
        self.assertEqual((caught.exception.code(), caught.exception.details()), (grpc.StatusCode.RESOURCE_EXHAUSTED, "Too Many Requests"))
        self.assertIn("grpc-retry-pushback-ms", dict(caught.exception.trailing_metadata()))
        line = self.log(gateway, 2)[1]
        self.assertEqual((line["status"], line["grpc_status"], line["refused"]), (429, 8, "rate-limited"))
        self.assertEqual(gateway.metrics().sum("gateway_requests_total", tenant="acme", code="429"), 1)

    def test_a_dead_server_is_unavailable(self):
        gateway = self.edge(free_port())
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel(gateway).unary_unary("/test/unary")(b"", timeout=5)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_deadlines_go_along(self):
        handler, port, _ = self.server()
        gateway = self.edge(port)
        client = self.open(gateway, tls=False)
        fields = client.fields("POST", "/test/unary", more=[("content-type", "application/grpc"), ("te", "trailers")])
        message = b"\0\0\0\0\1x"
        stream = client.head(fields + [("grpc-timeout", "2S")], ends=False)
        client.data(stream, message, ends=True)
        self.assertEqual(client.answer(stream).trailers[0], ("grpc-status", "0"))
        self.assertGreater(handler.left[-1], 1)
        self.assertLessEqual(handler.left[-1], 2)
        stream = client.head([*fields[:3], (":path", "/test/slow"), *fields[4:], ("grpc-timeout", "300m")], ends=False)
        began = time.monotonic()
        client.data(stream, message, ends=True)
        reply = client.answer(stream)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual((reply.status, reply.get("grpc-status")), (200, "4"))
        self.assertTrue(handler.cancelled.wait(5))
        stream = client.head(fields + [("grpc-timeout", "soon")], ends=False)
        client.data(stream, message, ends=True)
        reply = client.answers[stream]
        client.until(lambda: reply.ended)
        self.assertEqual(reply.get("grpc-status"), "13")

    def test_a_deadline_holds_for_waiting_as_well(self):
        def behaviour(server):
            while server.request():
                pass

        upstream = self.upstream(serving(behaviour, settings=[(3, 1)]), record=False)
        gateway = self.edge(upstream, block="max_connections 1; connect_timeout 8s;", workers=1)
        client = self.open(gateway, tls=False)
        fields = client.fields("POST", "/test/unary", more=[("content-type", "application/grpc"), ("te", "trailers")])
        held = client.head(fields)
        # It takes one at a time: the next one waits for its end.
        client.for_a_while(0.3)
        began = time.monotonic()
        reply = client.answer(client.head([*fields, ("grpc-timeout", "300m")]))
        self.assertEqual((reply.status, reply.get("grpc-status")), (200, "4"))
        self.assertLess(time.monotonic() - began, 2)
        self.assertIsNone(client.answers[held].fields)

    def test_a_cancelled_call_is_cancelled_at_the_server(self):
        handler, port, _ = self.server()
        gateway = self.edge(port)
        call = self.channel(gateway).unary_unary("/test/slow").future(b"")
        # One that is cancelled before its handler runs is never told to it.
        self.assertTrue(handler.begun.wait(5), "it is there")
        call.cancel()
        self.assertTrue(handler.cancelled.wait(5), "the server goes on")

    def test_a_silent_stream_outlives_every_timeout(self):
        _, port, _ = self.server()
        gateway = self.edge(port, top="limits { body_timeout 1s; idle_timeout 1s; header_timeout 1s; }\n", block="response_timeout 1s;")
        self.assertEqual(list(self.channel(gateway).unary_stream("/test/ticks")(b"2.5", timeout=20)), [b"0", b"1", b"2"])

    def test_a_message_is_bounded_and_a_stream_is_not(self):
        _, port, _ = self.server()
        gateway = self.edge(port, tenant="max_body 1k;")
        channel = self.channel(gateway)
        many = (b"%0900d" % 1 for _ in range(100))
        self.assertEqual(channel.stream_unary("/test/sums")(many, timeout=10), b"100")
        with self.assertRaises(grpc.RpcError) as caught:
            channel.unary_unary("/test/unary")(b"x" * 2000, timeout=5)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_calls_go_on_through_reloads(self):
        _, port, _ = self.server()
        gateway = self.edge(port)
        channel = self.channel(gateway)
        done = []

        def call():
            done.append(list(channel.unary_stream("/test/ticks")(b"0.5", timeout=20)))

        threads = [threading.Thread(target=call) for _ in range(20)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            gateway.reload()
        for thread in threads:
            thread.join()
        self.assertEqual(done, [[b"0", b"1", b"2"]] * 20)

    def test_a_server_that_is_restarted_is_found_again(self):
        _, port, server = self.server()
        gateway = self.edge(port)
        channel = self.channel(gateway)
        self.assertEqual(channel.unary_unary("/test/unary")(b"1", timeout=5), b"1")
        server.stop(0).wait()
        self.server(port)
        self.until(lambda: self.works(channel), "it answers again")

    def works(self, channel):
        try:
            return channel.unary_unary("/test/unary")(b"1", timeout=5) == b"1"
        except grpc.RpcError:
            return False
