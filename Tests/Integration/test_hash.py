"""`balance hash`: the same server for the same key, in every loop, after reloads and restarts, and what a hot key may do."""

import collections
import threading

from Support import h2
from Support.case import Case
from Support.upstream import answer, text

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"


class Hash(Case):
    def servers(self, names="abc"):
        return {name: self.upstream(answer(text(name)), record=False) for name in names}

    def app(self, names="abc", balance="hash header=X-Account", more=""):
        lines = "".join(f"server 127.0.0.1:${name}; " for name in names)
        return f"upstream app {{ {lines} balance {balance}; {more} }}\n" + ACME

    def where(self, gateway, fields, host="acme.test", target="/", client=None):
        client = client or self.connect(gateway.plain)
        return client.request("GET", target, host, fields=fields).body.decode()

    def table(self, gateway, count=60):
        """By account: the server of its requests."""
        client = self.connect(gateway.plain)
        return {i: self.where(gateway, [("X-Account", f"account-{i}")], client=client) for i in range(count)}

    def change(self, gateway, configuration):
        gateway.write(configuration)
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 200, body)

    def test_a_key_has_one_server_in_every_loop_after_reloads_and_restarts(self):
        servers = self.servers()
        gateway = self.gateway(self.app(), workers=4, **servers)
        table = self.table(gateway)
        self.assertEqual(set(table.values()), set("abc"))
        for _ in range(8):  # connections that the kernel gives to any loop
            self.assertEqual(self.table(gateway), table)
        self.change(gateway, self.app("cab"))
        self.assertEqual(self.table(gateway), table)
        gateway.stop()
        gateway.start()
        self.assertEqual(self.table(gateway), table)

    def test_a_server_that_is_gone_moves_only_its_own_keys(self):
        servers = self.servers("abcd")
        gateway = self.gateway(self.app("abcd"), **servers)
        table = self.table(gateway, 200)
        gone = table[0]
        self.change(gateway, self.app([name for name in "abcd" if name != gone]))
        moved = self.table(gateway, 200)
        self.assertEqual({i for i in table if table[i] != moved[i]}, {i for i in table if table[i] == gone})
        self.change(gateway, self.app("abcd"))
        self.assertEqual(self.table(gateway, 200), table)
        # The same where it dies.
        port = servers[gone].port
        servers[gone].close()
        self.assertEqual(self.table(gateway, 200), moved)
        self.upstream(answer(text(gone)), port=port)
        self.until(lambda: self.table(gateway) == {i: table[i] for i in range(60)}, "its keys to be back")

    def test_every_kind_of_key(self):
        servers = self.servers("abcdefgh")
        spread = lambda where: len(collections.Counter(where(i) for i in range(40)))
        with self.subTest("header"):
            gateway = self.gateway(self.app("abcdefgh", "hash header=x-account"), **servers)
            self.assertGreater(spread(lambda i: self.where(gateway, [("X-ACCOUNT", str(i))])), 3)
            self.assertEqual(len({self.where(gateway, [("x-Account", "7")]) for _ in range(12)}), 1)
        with self.subTest("cookie"):
            gateway = self.gateway(self.app("abcdefgh", "hash cookie=SID"), **servers)
            cookies = ["SID={}", "a=b; SID={}", "SID={}; c", "xSID=5; SID={};", "sid=1; SID={}; SID=9"]
            for key in ("x", "y", "z"):
                self.assertEqual(len({self.where(gateway, [("Cookie", one.format(key))]) for one in cookies}), 1)
            self.assertGreater(spread(lambda i: self.where(gateway, [("Cookie", f"SID={i}")])), 3)
        with self.subTest("path"):
            gateway = self.gateway(self.app("abcdefgh", "hash path"), **servers)
            self.assertGreater(spread(lambda i: self.where(gateway, [], target=f"/{i}")), 3)
            self.assertEqual(len({self.where(gateway, [], target=f"/x?{i}") for i in range(12)}), 1)
        with self.subTest("client"):
            gateway = self.gateway("trusted_proxies 127.0.0.1;\n" + self.app("abcdefgh", "hash client"), **servers)
            self.assertGreater(spread(lambda i: self.where(gateway, [("X-Forwarded-For", f"10.1.1.{i}")])), 3)
            self.assertEqual(len({self.where(gateway, [("X-Forwarded-For", "10.1.1.1")]) for _ in range(12)}), 1)
            self.assertEqual(
                len({self.where(gateway, [("X-Forwarded-For", f"2001:db8::{i}")]) for i in range(12)}), 1, "one network"
            )
        with self.subTest("tenant"):
            tenants = "".join(
                f"tenant t{i} {{ host t{i}.test; authenticate none; upstream app; }}\n" for i in range(40)
            )
            gateway = self.gateway(self.app("abcdefgh", "hash tenant") + tenants, **servers)
            self.assertGreater(spread(lambda i: self.where(gateway, [], host=f"t{i}.test")), 3)
            self.assertEqual(len({self.where(gateway, [], host="t7.test", target=f"/{i}") for i in range(12)}), 1)

    def test_without_the_key_requests_spread(self):
        servers = self.servers()
        for balance, fields in (("hash header=X-Account", []), ("hash cookie=SID", [("Cookie", "sid=1; SID=; xSID=2")])):
            with self.subTest(balance):
                gateway = self.gateway(self.app(balance=balance), workers=1, **servers)
                client = self.connect(gateway.plain)
                seen = collections.Counter(self.where(gateway, fields, client=client) for _ in range(30))
                self.assertEqual(seen, {"a": 10, "b": 10, "c": 10})

    def test_the_key_holds_over_http_2(self):
        servers = self.servers()
        gateway = self.gateway(self.app(balance="hash cookie=SID"), **servers)
        for i in range(12):
            expected = self.where(gateway, [("Cookie", f"x=1; SID={i}")])
            with h2.Client(gateway.plain) as client:
                response = client.get(more=[("cookie", "x=1"), ("cookie", f"SID={i}")])
                self.assertEqual(bytes(response.body).decode(), expected)

    def test_weights_are_respected_and_changed_in_force(self):
        servers = self.servers()
        upstream = lambda a: self.app().replace("$a;", f"$a weight={a};")
        gateway = self.gateway(upstream(8), **servers)
        share = lambda: collections.Counter(self.table(gateway, 300).values())["a"] / 300
        self.assertGreater(share(), 0.7)
        self.change(gateway, upstream(1))
        self.assertLess(share(), 0.45)

    def test_a_hot_key_sinks_no_server(self):
        gate, counts, lock = threading.Event(), collections.Counter(), threading.Lock()
        self.addCleanup(gate.set)

        def held(name):
            def behaviour(peer):
                while peer.read_request():
                    with lock:
                        counts[name] += 1
                    gate.wait(20)
                    peer.send(text(name))

            return behaviour

        servers = {name: self.upstream(held(name), record=False) for name in "abc"}
        gateway = self.gateway(self.app(), workers=1, **servers)
        clients = [self.connect(gateway.plain) for _ in range(90)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nX-Account: hot\r\n\r\n")
        self.until(lambda: sum(counts.values()) == 90, "all of them at the servers")
        self.assertLessEqual(max(counts.values()), 1.25 * 30 + 1)
        self.assertEqual(len(counts), 3)
        gate.set()
        self.assertEqual({client.read_response().status for client in clients}, {200})

    def test_a_server_that_dies_under_its_keys_fails_no_idempotent_request(self):
        servers = self.servers()
        gateway = self.gateway(self.app(), **servers)
        table = self.table(gateway)
        clients = {name: self.connect(gateway.plain) for name in "abc"}
        for name, client in clients.items():
            key = next(i for i in table if table[i] == name)
            self.assertEqual(self.where(gateway, [("X-Account", f"account-{key}")], client=client), name)
        servers["b"].close()
        after = self.table(gateway)
        self.assertEqual({i: table[i] for i in table if table[i] != "b"}, {i: after[i] for i in table if table[i] != "b"})
        self.assertNotIn("b", after.values())

    def test_many_servers(self):
        """More than those that all draw for each request: what is remembered gives way to what is known."""
        servers = self.servers()
        live = {f"127.0.0.1:{server.port}": name for name, server in servers.items()}
        dead = [f"127.0.{i}.1:1" for i in range(1, 41)]
        lines = "".join(f"server {one}; " for one in [*live, *dead])
        gateway = self.gateway(f"upstream app {{ {lines} balance hash header=X-Account; }}\n" + ACME)
        table = self.table(gateway)
        self.assertEqual(set(table.values()), set("abc"))
        self.assertEqual(self.table(gateway), table)

    def test_check(self):
        for balance, error in (
            ("hash", "`hash` needs a key"),
            ("hash client path", "too many values"),
            ("hash client header=X", "`hash` goes by one key"),
            ("round_robin client", "only `hash` goes by a key"),
            ("least_requests header=X", "only `hash` goes by a key"),
            ("hash header=a:b", "is not a name of a field or a cookie"),
            ("hash cookie=", "is not a name of a field or a cookie"),
            ("hash address", "is not known here: there is `client`, `tenant`, `path`"),
        ):
            done = self.checked(
                f"listen 80;\nupstream a {{ server 127.0.0.1:1; balance {balance}; }}\ntenant t {{ host h; upstream a; }}\n"
            )
            self.assertEqual(done.returncode, 1, balance)
            self.assertIn(error, done.stdout + done.stderr)
        for balance in ("hash client", "hash header=Host", "hash cookie=a.b", "hash tenant", "hash path"):
            done = self.checked(
                f"listen 80;\nupstream a {{ server 127.0.0.1:1; balance {balance}; }}\ntenant t {{ host h; upstream a; }}\n"
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
