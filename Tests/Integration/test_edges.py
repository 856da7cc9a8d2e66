"""At the edges: the largest heads, retried uploads, odd upgrades, outputs that fail, many tenants, odd TLS."""

import os
import random
import signal
import subprocess
import threading

from Support.case import Case
from Support.client import RawClient, Truncated
from Support.upstream import answer, goes_stale, text


class Heads(Case):
    def test_the_largest_request_heads_with_all_that_is_added(self):
        adds = "".join(f"request_header X-Added-{n} {'v' * 400};" for n in range(20))
        upstream = self.upstream()
        gateway = self.simple(
            upstream, top="trusted_proxies 127.0.0.0/8;\nlimits { max_header_size 64k; max_headers 1000; }", tenant=adds
        )
        base = "GET / HTTP/1.1\r\nHost: acme.test\r\nX-Forwarded-For: " + ", ".join(["203.0.113.7"] * 300) + "\r\n"
        for size in (60_000, 64_000, 65_000, 65_400, 65_500, 65_530, 65_535, 65_536, 65_537, 66_000, 70_000):
            for value in ("one large field", "many small fields"):
                with self.subTest(size=size, value=value), RawClient(gateway.plain) as client:
                    room = size - len(base) - 4
                    if value == "many small fields":
                        fields = "".join(f"X-{n}: {'a' * 60}\r\n" for n in range(room // 70))
                    else:
                        fields = ""
                    fields += "X: " + "a" * (room - len(fields) - 3) + "\r\n"
                    client.send_as_taken(base + fields + "\r\n")
                    response = client.read_response()
                    self.assertIn(response.status, (200, 431))
                    if response.status == 200:
                        self.assertEqual(upstream.next_request()["x-added-19"], "v" * 400)
        self.assertEqual(self.get(gateway).status, 200)

    def test_the_largest_answer_heads_with_all_that_is_added(self):
        adds = "".join(f"response_header X-Added-{n} {'v' * 400};" for n in range(20))
        sizes = iter((20_000, 30_000, 32_700, 32_768, 40_000, 60_000, 65_000, 65_500, 65_536, 66_000, 80_000))
        upstream = self.upstream(answer(lambda request: text("ok", fields=["X: " + "a" * int(request.target[1:])])))
        gateway = self.simple(upstream, tenant=adds)
        for size in sizes:
            with self.subTest(size=size):
                response = self.get(gateway, f"/{size}")
                self.assertIn(response.status, (200, 502))
                if response.status == 200:
                    self.assertEqual((len(response["x"]), response["x-added-19"]), (size, "v" * 400))

    def test_many_fields_with_max_headers_1000(self):
        upstream = self.upstream()
        gateway = self.simple(upstream, top="limits { max_header_size 64k; max_headers 1000; }")
        for count in (500, 998, 999, 1000, 1001, 3000):
            response = self.get(gateway, fields=[(f"X-{n}", "") for n in range(count)])
            self.assertEqual(response.status, 200 if count < 1000 else 431, count)

    def test_a_body_that_ends_with_the_buffer(self):
        gateway = self.simple(self.upstream(answer(lambda request: text(request.body))))
        head = "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: %d\r\n\r\n"
        for total in (65_534, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073):
            with self.subTest(total=total), RawClient(gateway.plain) as client:
                size = total - len(head % 99999) - (total >= 100_100)
                for _ in range(5):
                    client.send((head % size).encode() + b"x" * size)
                    self.assertEqual(len(client.read_response().body), size)


class Uploads(Case):
    def test_an_idempotent_upload_to_a_stale_connection_arrives_whole_or_not_at_all(self):
        def behaviour(peer):
            if peer.number % 2 == 0:
                peer.read_request()
                peer.send(text("first"))
                peer.read_head()  # and dies in the next one's body
            else:
                answer(lambda request: text(request.body))(peer)

        for size in (0, 1, 1000, 100_000, 3_000_000):
            with self.subTest(size=size):
                upstream = self.upstream(behaviour)
                gateway = self.simple(upstream, workers=1)
                data = random.Random(size).randbytes(size)
                with RawClient(gateway.plain) as client:
                    self.assertEqual(client.request("GET", "/1", "acme.test").body, b"first")
                    client.send(b"PUT /2 HTTP/1.1\r\nHost: acme.test\r\nContent-Length: %d\r\n\r\n" % size)
                    client.send_as_taken(data)
                    try:
                        response = client.read_response()
                    except (Truncated, ConnectionError):
                        continue
                    if response.status == 200:
                        self.assertTrue(response.body == data)
                    else:
                        self.assertEqual(response.status, 502)
                self.assertFalse([r for r in upstream.requests if r.target == "/2" and r.body != data])
                gateway.stop()

    def test_get_with_a_body_is_not_repeated_without_it(self):
        behaviour = goes_stale(text("first"), lambda request: text(request.body))
        gateway = self.simple(self.upstream(behaviour), workers=1)
        with RawClient(gateway.plain) as client:
            client.request("GET", "/1", "acme.test")
            response = client.request("GET", "/2", "acme.test", body=b"query")
            self.assertIn((response.status, response.body == b"query"), ((200, True), (502, False)))


class Upgrades(Case):
    SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"

    def test_what_only_looks_like_an_upgrade_is_an_ordinary_request(self):
        for lines in (
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0",
            "Connection: close\r\nUpgrade: websocket",
        ):
            with self.subTest(lines):
                upstream = self.upstream(answer(self.SWITCH % b"websocket"))
                gateway = self.simple(upstream)
                with RawClient(gateway.plain) as client:
                    client.send(f"GET / HTTP/1.1\r\nHost: acme.test\r\n{lines}\r\n\r\n")
                    response = client.read_response()
                self.assertIn(response.status, (101, 400, 502))
                if response.status == 101:
                    self.assertEqual(upstream.next_request()["upgrade"], "websocket")
                gateway.stop()

    def test_http_1_0_cannot_upgrade(self):
        gateway = self.simple(self.upstream(answer(self.SWITCH % b"websocket")))
        with RawClient(gateway.plain) as client:
            client.send("GET / HTTP/1.0\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            self.assertEqual(client.read_response().status, 502)

    def test_a_tunnel_is_closed_when_its_tenant_is_removed_or_lives_as_a_request_in_flight(self):
        def behaviour(peer):
            peer.read_request()
            peer.send(self.SWITCH % b"websocket")
            while data := peer.stream.exactly(1):
                peer.send(data)

        gateway = self.simple(self.upstream(behaviour), tenant="")
        client = self.connect(gateway.plain)
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(client.read_head().status, 101)
        gateway.write(
            "upstream app { server 127.0.0.1:$app; }\ntenant b { host b.test; authenticate none; upstream app; }\n"
        )
        gateway.reload()
        try:
            client.send("x")
            self.assertEqual(client.stream.exactly(1), b"x")
        except (Truncated, ConnectionError):
            pass
        self.assertEqual(self.get(gateway).status, 421)


class Outputs(Case):
    CONFIGURATION = """workers 1; state ./state; shutdown_timeout 3s; listen 127.0.0.1:$plain; admin 127.0.0.1:$admin;
        access_log $log; upstream app { server 127.0.0.1:$app; }
        tenant acme { host acme.test; authenticate none; upstream app; }"""

    def test_a_full_disk_stops_no_traffic(self):
        gateway = self.gateway(self.CONFIGURATION, preamble=False, app=self.upstream(record=False), log="/dev/full")
        with RawClient(gateway.plain) as client:
            for _ in range(500):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.until(lambda: gateway.metrics().sum("gateway_log_dropped_total") > 0, "the lost lines counted")

    def test_a_reader_of_stdout_that_goes_away_ends_nothing(self):
        gateway = self.gateway(
            self.CONFIGURATION, preamble=False, start=False, app=self.upstream(record=False), log="stdout"
        )
        read, write = os.pipe()
        gateway.start(wait=False, stdout=write)
        os.close(write)
        gateway.wait_ready()
        self.assertEqual(self.get(gateway).status, 200)
        os.close(read)
        with RawClient(gateway.plain) as client:
            for _ in range(300):
                self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        gateway.reload()

    def test_a_log_folder_that_is_gone_ends_nothing(self):
        folder = os.path.join(self.folder, "logs")
        os.mkdir(folder)
        gateway = self.gateway(self.CONFIGURATION, preamble=False, app=self.upstream(), log=folder + "/access.log")
        self.assertEqual(self.get(gateway).status, 200)
        os.rename(folder, folder + ".away")
        gateway.signal(signal.SIGUSR1)
        for _ in range(20):
            self.assertEqual(self.get(gateway).status, 200)
        os.rename(folder + ".away", folder)
        gateway.signal(signal.SIGUSR1)
        self.assertEqual(self.get(gateway).status, 200)

    def test_a_state_folder_that_cannot_be_made_is_said_at_the_start(self):
        configuration = self.CONFIGURATION.replace("./state", "/proc/nothere/state")
        gateway = self.gateway(configuration, preamble=False, start=False, app=1, log="off")
        gateway.start(wait=False)
        self.assertEqual(gateway.wait(5), 1)
        self.assertIn("/proc/nothere", gateway.stderr)
        gateway.process = None

    def test_an_access_log_that_cannot_be_opened_is_said_and_stops_no_traffic(self):
        gateway = self.gateway(self.CONFIGURATION, preamble=False, app=self.upstream(), log="/proc/nothere/access.log")
        self.assertEqual(self.get(gateway).status, 200)
        self.assertIn("/proc/nothere/access.log", gateway.stderr)


class Many(Case):
    def test_ten_thousand_tenants_are_each_found(self):
        upstream = self.upstream(answer(lambda request: text(request["x-tenant-id"])))
        lines = "upstream app { server 127.0.0.1:$app; }\n" + "".join(
            f"tenant t{n} {{ host t{n}.test *.t{n}.test; authenticate none; upstream app; }}\n" for n in range(10_000)
        )
        gateway = self.gateway(lines, app=upstream, start=False)
        gateway.start(within=20)
        rng = random.Random(1)
        with RawClient(gateway.plain) as client:
            for _ in range(500):
                n = rng.randrange(10_000)
                host = rng.choice((f"t{n}.test", f"x.t{n}.test", f"T{n}.TEST"))
                self.assertEqual(client.request("GET", "/", host).body, f"t{n}".encode())
        gateway.write(lines.replace("tenant t77 { host t77.test", "tenant t77 { host seventy-seven.test"))
        gateway.reload()
        self.assertEqual(self.get(gateway, host="seventy-seven.test").body, b"t77")
        self.assertEqual(self.get(gateway, host="t77.test").status, 421)
        status, body = gateway.get("/metrics")
        self.assertEqual(status, 200)


class Keys(Case):
    def test_a_tls_1_3_key_update_in_the_middle(self):
        gateway = self.simple(self.upstream(), top=self.tls_listener(self.leaf("acme.test")))
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.tls}", "-servername", "acme.test", "-tls1_3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        seen, lines = [], threading.Condition()

        def read():
            for line in process.stdout:
                with lines:
                    seen.append(line)
                    lines.notify_all()

        threading.Thread(target=read, daemon=True).start()

        def wait(what, count=1):
            with lines:
                self.assertTrue(
                    lines.wait_for(lambda: sum(what in line for line in seen) >= count, 8), b"".join(seen[-20:])
                )

        def write(data):
            process.stdin.write(data)
            process.stdin.flush()

        wait(b"Verify return code")
        for number in (1, 2, 3):
            write(b"GET / HTTP/1.1\nHost: acme.test\n\n".replace(b"\n", b"\r\n"))
            wait(b"HTTP/1.1 200", number)
            write(b"K\n")
            wait(b"KEYUPDATE", number)

    def test_early_data_is_not_taken(self):
        gateway = self.simple(self.upstream(), top=self.tls_listener(self.leaf("acme.test")))
        session = os.path.join(self.folder, "session")
        common = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{gateway.tls}",
            "-servername",
            "acme.test",
            "-tls1_3",
            "-ign_eof",
        ]
        request = b"GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n"
        subprocess.run([*common, "-sess_out", session], input=request, capture_output=True, timeout=10)
        early = os.path.join(self.folder, "early")
        with open(early, "wb") as out:
            out.write(request)
        done = subprocess.run(
            [*common, "-sess_in", session, "-early_data", early], input=request, capture_output=True, timeout=10
        )
        self.assertNotIn(b"Early data was accepted", done.stdout)
        self.assertEqual(self.get(gateway).status, 200)
