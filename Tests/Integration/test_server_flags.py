"""Servers with a flag: `backup`, `drain`, `down`; what a change of flags does to requests under way; how metrics show them."""

import threading

from Support.case import Case
from Support.upstream import answer, text

ACME = "tenant acme { host acme.test; authenticate none; upstream app; }\n"
STATES = {"up", "down", "ejected", "slow_start", "backup", "drain"}


def states(gateway, upstream="app"):
    """By the server's port: its state, of which there is exactly one."""
    found = {}
    for labels, value in gateway.metrics().samples("gateway_upstream_state", upstream=upstream):
        found.setdefault(int(labels["server"].rsplit(":")[-1]), {})[labels["state"]] = value
    for server, values in found.items():
        assert set(values) == STATES and sorted(values.values()) == [0] * 5 + [1], (server, values)
    return {server: next(state for state, value in values.items() if value) for server, values in found.items()}


class Flags(Case):
    def servers(self, *names):
        return {name: self.upstream(answer(text(name))) for name in names}

    def bodies(self, gateway, count=12):
        client = self.connect(gateway.plain)
        return {client.request("GET", "/", "acme.test").body.decode() for _ in range(count)}

    def change(self, gateway, configuration):
        gateway.write(configuration)
        status, _, body = gateway.call("POST", "/v1/reload")
        self.assertEqual(status, 200, body)

    # --- backup

    def test_a_backup_serves_only_while_no_other_does(self):
        servers = self.servers("a", "spare")
        for policy in ("round_robin", "least_requests"):
            with self.subTest(policy):
                gateway = self.gateway(
                    "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$spare backup; balance " + policy + "; }\n" + ACME,
                    **servers,
                )
                self.assertEqual(self.bodies(gateway), {"a"})
                port = servers["a"].port
                self.assertEqual(states(gateway), {port: "up", servers["spare"].port: "backup"})
                servers["a"].close()
                self.assertEqual(self.bodies(gateway), {"spare"})
                servers["a"] = self.upstream(answer(text("a")), port=port)
                self.until(lambda: self.bodies(gateway) == {"a"}, "the first server to serve again, from every loop")

    def test_a_backup_takes_over_from_what_fails_its_checks(self):
        status = ["200 OK"]
        first = self.upstream(lambda peer: answer(text("a", status=status[0]))(peer))
        spare = self.upstream(answer(text("spare")))
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$a; server 127.0.0.1:$spare backup;
                health_check /healthz interval=50ms timeout=50ms fall=1 rise=1; }\n""" + ACME,
            a=first, spare=spare,
        )
        self.assertEqual(self.bodies(gateway), {"a"})
        status[0] = "503 Service Unavailable"
        self.until(lambda: self.get(gateway).body == b"spare", "the backup to serve")
        self.assertEqual(states(gateway), {first.port: "down", spare.port: "backup"})
        status[0] = "200 OK"
        self.until(lambda: self.get(gateway).body == b"a", "the first server to serve again")

    def test_who_waits_for_a_place_does_not_go_to_a_backup(self):
        gate, begun = threading.Event(), []
        self.addCleanup(gate.set)

        def held(peer):
            while peer.read_request():
                begun.append(1)
                gate.wait(20)
                peer.send(text("a"))

        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$spare backup; max_connections 1; connect_timeout 15s; }\n" + ACME,
            workers=1, a=self.upstream(held), **self.servers("spare"),
        )
        clients = []
        for _ in range(3):
            clients.append(self.connect(gateway.plain))
            clients[-1].send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
            self.until(lambda: begun, "the first request at the server")
        self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        gate.set()
        self.assertEqual([client.read_response().body for client in clients], [b"a"] * 3)

    def test_a_request_that_found_all_others_dead_goes_to_a_backup(self):
        servers = self.servers("a", "b", "spare")
        gateway = self.gateway(
            "upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b; server 127.0.0.1:$spare backup; }\n" + ACME, **servers
        )
        servers["a"].close()
        servers["b"].close()
        client = self.connect(gateway.plain)
        for _ in range(20):
            self.assertEqual(client.request("POST", "/", "acme.test", body=b"x").body, b"spare")

    # --- drain and down

    def test_a_drained_server_finishes_what_it_has_and_gets_nothing_new(self):
        for flag in ("drain", "down"):
            with self.subTest(flag):
                gate, begun = threading.Event(), []
                self.addCleanup(gate.set)

                def held(peer):
                    while request := peer.read_request():
                        if request.target == "/held":
                            begun.append(1)
                            gate.wait(20)
                        peer.send(text("a"))

                servers = {"a": self.upstream(held), **self.servers("b")}
                upstream = lambda flag: (
                    "upstream app { server 127.0.0.1:$a " + flag + "; server 127.0.0.1:$b; balance round_robin; }\n" + ACME
                )
                gateway = self.gateway(upstream(""), **servers)
                self.assertEqual(self.bodies(gateway), {"a", "b"})
                waiting = [self.connect(gateway.plain) for _ in range(4)]
                for client in waiting:
                    client.send("GET /held HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                self.until(lambda: begun, "a request at the server")
                self.change(gateway, upstream(flag))
                self.assertEqual(self.bodies(gateway), {"b"})
                self.assertEqual(states(gateway), {servers["a"].port: flag, servers["b"].port: "up"})
                gate.set()
                self.assertEqual({client.read_response().status for client in waiting}, {200})
                self.until(
                    lambda: all(peer.socket.fileno() < 0 for peer in servers["a"].connections),
                    "the drained server's connections to end",
                )
                self.change(gateway, upstream(""))
                self.assertEqual(self.bodies(gateway), {"a", "b"})

    def test_the_health_of_a_drained_server_is_asked_for_and_that_of_one_that_is_down_is_not(self):
        servers = self.servers("a", "b", "c")
        gateway = self.gateway(
            """upstream app { server 127.0.0.1:$a; server 127.0.0.1:$b drain; server 127.0.0.1:$c down;
                health_check /healthz interval=50ms timeout=50ms; }\n""" + ACME,
            **servers,
        )
        self.until(lambda: len(servers["b"].requests) > 2, "checks of the drained server")
        self.assertEqual(servers["c"].requests, [])
        self.assertEqual(
            states(gateway), {servers["a"].port: "up", servers["b"].port: "drain", servers["c"].port: "down"}
        )
        self.assertEqual(self.bodies(gateway), {"a"})

    def test_an_upstream_of_which_nobody_is_in(self):
        upstream = "upstream app { server 127.0.0.1:$a drain; server 127.0.0.1:$b down; }\n" + ACME
        gateway = self.gateway(upstream, **self.servers("a", "b"))
        self.assert_problem(self.get(gateway), 503, "no-healthy-upstream")
        said = self.checked("listen 80;\nupstream app { server a:1 drain; }\ntenant t { host h; upstream app; }\n")
        self.assertIn("gateway.conf:2:10: warning: every server of it is out", said.stdout + said.stderr)
        self.change(gateway, upstream.replace("drain", "backup"))
        self.assertEqual(self.bodies(gateway), {"a"})

    def test_one_server_without_others_may_be_a_backup(self):
        gateway = self.gateway("upstream app { server 127.0.0.1:$a backup; }\n" + ACME, **self.servers("a"))
        self.assertEqual(self.bodies(gateway), {"a"})

    def test_flags_change_all_the_time_under_load(self):
        """Nothing is cut and nobody is refused while one of three servers is in."""
        servers = self.servers("a", "b", "c")
        upstream = lambda *flags: (
            "upstream app { " + "".join(f"server 127.0.0.1:${name} {flag}; " for name, flag in zip("abc", flags)) + "}\n" + ACME
        )
        gateway = self.gateway(upstream("", "", ""), **servers)
        statuses, stop = [], threading.Event()

        def load():
            client = self.connect(gateway.plain)
            while not stop.is_set():
                statuses.append(client.request("POST", "/", "acme.test", body=b"x").status)

        threads = [threading.Thread(target=load) for _ in range(6)]
        for thread in threads:
            thread.start()
        flags = ["", "drain", "down", "backup"]
        for number in range(40):
            self.change(gateway, upstream(flags[number % 4], flags[number // 4 % 4], ""))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(set(statuses), {200})
