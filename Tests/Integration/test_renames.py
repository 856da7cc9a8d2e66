"""An upstream that gets another name, and servers that stand elsewhere in it: what is known of them stays."""

import threading

from Support.case import Case
from Support.upstream import answer, text


def configuration(name, servers, more=""):
    lines = "".join(f"server {server};" for server in servers)
    return (f"upstream {name} {{ {lines} {more} }}\n"
            f"tenant acme {{ host acme.test; authenticate none; upstream {name}; }}\n")


class Renames(Case):
    seconds = 30

    def start(self, *configured, workers=2, **values):
        return self.gateway(configuration(*configured), workers=workers, **values)

    def change(self, gateway, *configured):
        gateway.write(configuration(*configured))
        gateway.reload()

    def states(self, gateway, upstream):
        return {labels["server"].rpartition(":")[2]: labels["state"]
                for labels, value in gateway.metrics().samples("gateway_upstream_state", upstream=upstream) if value == 1}

    def test_connections_stay(self):
        server = self.upstream()
        gateway = self.start("app", ["127.0.0.1:$app"], workers=1, app=server)
        client = self.connect(gateway.plain)
        for name in ("app", "other", "third"):
            self.change(gateway, name, ["127.0.0.1:$app"])
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(len(server.connections), 1)
        open_now = lambda name: gateway.metrics().sum("gateway_upstream_connections", upstream=name)
        self.until(lambda: (open_now("app"), open_now("other"), open_now("third")) == (0, 0, 1), "the last name to have it")
        counted = [gateway.metrics().sum("gateway_upstream_requests_total", upstream=name) for name in ("app", "other", "third")]
        self.assertEqual(counted, [1, 1, 1])

    def test_health_stays(self):
        good = self.upstream()
        bad = self.upstream(lambda peer: answer(text("no", status="503 No"))(peer))
        servers = ["127.0.0.1:$a", "127.0.0.1:$b"]
        # The next look is far away.
        check = "health_check /h interval=100ms timeout=1s fall=1 rise=1;"
        gateway = self.start("app", servers, check, a=bad, b=good)
        self.until(lambda: gateway.metrics().sum("gateway_upstream_healthy") == 1, "one to be out")
        healthy = lambda name: {
            labels["server"].rpartition(":")[2]: value
            for labels, value in gateway.metrics().samples("gateway_upstream_healthy", upstream=name)}
        found = {str(bad.port): 0, str(good.port): 1}
        said = gateway.stderr.count("is out")
        for name, order in (("app", servers[::-1]), ("other", servers), ("app", servers[::-1])):
            self.change(gateway, name, order, check)
            self.assertEqual(healthy(name), found)
            self.assertEqual(self.states(gateway, name), {str(bad.port): "down", str(good.port): "up"})
        # It was never back.
        self.assertEqual(gateway.stderr.count("is out"), said)

    def test_an_ejection_stays(self):
        good = self.upstream()
        bad = self.upstream(lambda peer: answer(text("no", status="500 No"))(peer))
        servers, eject = ["127.0.0.1:$a", "127.0.0.1:$b"], "eject failures=2 for=60s;"
        gateway = self.start("app", servers, eject, a=bad, b=good)
        out = {str(bad.port): "ejected", str(good.port): "up"}
        self.until(lambda: self.get(gateway) and self.states(gateway, "app") == out, "an ejection")
        for name, order in (("other", servers[::-1]), ("app", servers)):
            self.change(gateway, name, order, eject)
            self.assertEqual(self.states(gateway, name), out)
            self.assertEqual({self.get(gateway).status for _ in range(20)}, {200})

    def test_who_waits_is_served(self):
        gate = threading.Event()
        self.addCleanup(gate.set)

        def behaviour(peer):
            while peer.read_request():
                gate.wait(20)
                peer.send(text("ok"))

        gateway = self.start("app", ["127.0.0.1:$app"], "max_connections 1; max_requests 4;", workers=2, app=self.upstream(behaviour))
        clients = [self.connect(gateway.plain) for _ in range(4)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        waiting = lambda name: gateway.metrics().sum("gateway_upstream_queue", upstream=name)
        self.until(lambda: waiting("app") == 3, "three to wait")
        self.change(gateway, "other", ["127.0.0.1:$app"], "max_connections 1; max_requests 4;")
        self.until(lambda: (waiting("app"), waiting("other")) == (0, 3), "them to wait under the other name")
        # What is under way is still counted.
        self.assertEqual(self.get(gateway).status, 503)
        gate.set()
        self.assertEqual([client.read_response().status for client in clients], [200] * 4)
        self.until(lambda: waiting("other") == 0, "nobody to wait")
        self.assertEqual(self.get(gateway).status, 200)

    def test_two_in_one_file(self):
        one, two = self.upstream(answer(text("one"))), self.upstream(answer(text("two")))

        def both(first, second, swap):
            servers = ["127.0.0.1:$one", "127.0.0.1:$two"]
            return (f"upstream {first} {{ server {servers[swap]}; }}\nupstream {second} {{ server {servers[not swap]}; }}\n"
                    f"tenant acme {{ host acme.test; authenticate none; upstream {first}; }}\n"
                    f"tenant bolt {{ host bolt.test; authenticate none; upstream {second}; }}\n")

        gateway = self.gateway(both("a", "b", False), one=one, two=two)
        for first, second, swap in (("a", "c", False), ("b", "a", True), ("a", "b", True), ("x", "a", False)):
            gateway.write(both(first, second, swap))
            gateway.reload()
            expected = [b"one", b"two"][::-1 if swap else 1]
            for _ in range(4):
                self.assertEqual([self.get(gateway, host=host).body for host in ("acme.test", "bolt.test")], expected)
