"""Routes: which of them a request is for, and what they ask of whom it comes from."""

import hashlib
import os

from Support.case import Case
from Support.client import RawClient
from Support.tokens import Key, jwks, token
from Support.upstream import answer, text

KEY = Key("ES256", "one")


class Matching(Case):
    def edge(self, tenant, top="", **names):
        """A tenant with such a block; `rest` is its upstream, others answer with their names too."""
        upstreams = {name: self.upstream(answer(text(name))) for name in ("rest", "one", "two")}
        return self.gateway(
            "".join(f"upstream {name} {{ server 127.0.0.1:${name}; }}\n" for name in upstreams)
            + top
            + "tenant acme { host acme.test; authenticate none; upstream rest; "
            + tenant
            + " }\n",
            **upstreams,
        )

    def assert_goes(self, gateway, target, wanted, method="GET", fields=()):
        with self.subTest(target=target, method=method, fields=fields):
            client = self.connect(gateway.plain)
            response = client.request(method, target, "acme.test", fields)
            self.assertEqual((response.status, response.body), (200, wanted.encode()), response)

    def test_exact_paths_and_conditions(self):
        gateway = self.edge(
            """
            route = /status { upstream one; }
            route /v1 method=GET,HEAD header=X-Beta:yes query=preview { upstream one; }
            route /v1 method=POST { upstream two; }
            """
        )
        for target, wanted in (("/status", "one"), ("/status?x", "one"), ("/status/", "rest"), ("/status/x", "rest")):
            self.assert_goes(gateway, target, wanted)
        beta = [("X-Beta", "yes")]
        self.assert_goes(gateway, "/v1/x?preview", "one", fields=beta)
        self.assert_goes(gateway, "/v1?a=b&p%72eview=1", "one", fields=beta)
        self.assert_goes(gateway, "/v1?preview", "rest")
        self.assert_goes(gateway, "/v1", "rest", fields=beta)
        self.assert_goes(gateway, "/v1?preview", "rest", fields=[("X-Beta", "no")])
        self.assert_goes(gateway, "/v1?preview", "two", method="POST", fields=beta)
        self.assert_goes(gateway, "/v1?preview", "rest", method="DELETE", fields=beta)

    def test_a_query_is_not_looked_at_without_end(self):
        gateway = self.edge("route /v1 query=x:1 { upstream one; } route /v2 { upstream two; }")
        for count, status in ((998, 200), (1000, 400), (20_000, 400)):
            for path in ("/v1", "/v2"):
                with self.subTest(count=count, path=path):
                    response = self.connect(gateway.plain).request("GET", path + "?" + "&" * count + "x=1", "acme.test")
                    self.assertEqual(response.status, status, response)
        self.assert_goes(gateway, "/v1?" + "&" * 999 + "x=1", "one")
        # Where no route asks for one it is the upstream's.
        gateway = self.edge("route /v2 { upstream two; }")
        self.assert_goes(gateway, "/v2?" + "&" * 20_000, "two")

    def test_those_of_a_tenant_its_plan_and_defaults(self):
        gateway = self.edge(
            "plan pro; route /a method=GET { upstream one; }",
            top="""
            plan pro { route /a/b { upstream two; } route = /p { response_header X-From plan; } }
            defaults { route /a/b/c { upstream rest; } route /d { upstream one; } }
            """,
        )
        self.assert_goes(gateway, "/a/b/c", "one")
        self.assert_goes(gateway, "/a/b/c", "two", method="PUT")
        self.assert_goes(gateway, "/d/x", "one")
        response = self.get(gateway, "/p")
        self.assertEqual((response.body, response["x-from"]), (b"rest", "plan"))

    def test_limits_of_a_plan_s_route_are_each_tenant_s_own(self):
        upstream = self.upstream()
        gateway = self.gateway(
            """
            upstream app { server 127.0.0.1:$app; }
            plan pro { route /few { quota 2/month; } }
            defaults { plan pro; upstream app; authenticate none; }
            tenant acme { host acme.test; route /few method=POST { quota 1/month; } }
            tenant globex { host globex.test; }
            """,
            app=upstream,
        )
        for host in ("acme.test", "globex.test"):
            with self.subTest(host=host):
                statuses = [self.get(gateway, "/few/x", host).status for _ in range(3)]
                self.assertEqual(statuses, [200, 200, 429])
                self.assertEqual(self.get(gateway, "/many", host).status, 200)
        client = self.connect(gateway.plain)
        self.assertEqual([client.request("POST", "/few", "acme.test").status for _ in range(2)], [200, 429])

    def test_routes_only(self):
        gateway = self.edge("routes only; route /a { upstream one; }")
        self.assert_goes(gateway, "/a/x", "one")
        for target in ("/", "/ax", "/b?/a", "/b/../c"):
            with self.subTest(target=target):
                self.assert_problem(self.get(gateway, target), 404, "no-route")
        self.assertEqual(gateway.metrics().sum("gateway_refused_total", tenant="acme", reason="no-route"), 4)

    def test_what_hides_a_separator_is_refused_where_that_is_wanted(self):
        for tenant, refused in (
            ("strict_paths on;", True),
            ("route /a { upstream one; }", False),
            ("route / { authenticate none; require role=any; }", True),
            ("strict_paths off; route / { upstream one; }", False),
        ):
            gateway = self.edge(tenant)
            for target in ("/a/b%2Fc", "/a/b%5cc", "/a/b\\c"):
                with self.subTest(tenant=tenant, target=target):
                    self.assertEqual(self.get(gateway, target).status == 400, refused)
            self.assertNotEqual(self.get(gateway, "/a/b%20c").status, 400)

    def test_a_request_keeps_the_route_that_it_began_with_and_the_next_gets_the_new_one(self):
        gateway = self.edge("route /a { upstream one; }")
        client = self.connect(gateway.plain)
        self.assertEqual(client.request("GET", "/a", "acme.test").body, b"one")
        with open(gateway.file) as file:
            text = file.read()
        with open(gateway.file, "w") as file:
            file.write(text.replace("route /a { upstream one; }", "route = /a method=GET { upstream two; }"))
        gateway.reload()
        self.assertEqual(client.request("GET", "/a", "acme.test").body, b"two")
        self.assertEqual(client.request("POST", "/a", "acme.test").body, b"rest")

    def test_what_is_wrong_with_a_route(self):
        top = "listen 127.0.0.1:1;\nupstream app { server 127.0.0.1:1; }\n"
        tenant = "tenant acme { host acme.test; authenticate none; upstream app; "
        for route, message in (
            ("route = { }", "`route` needs a path behind its `=`"),
            ("route /a /b { }", "too many values for `route`"),
            ("route /a method=get { }", "`get` is no method that anybody uses"),
            ("route /a method=GET,,HEAD { }", "an empty name in `GET,,HEAD`"),
            ("route /a method=GET,GET { }", "`GET` stands twice"),
            ('route /a method="G T" { }', "`G T` is not a method"),
            ("route /a header=X:Y:Z header=:v { }", "`:v` has no name"),
            ("route /a header=a(b { }", "`a(b` is not a name of a field"),
            # What upstreams are told is in a request only because its client says so.
            ("route /a header=X-Tenant-Roles:admin { }", "`X-Tenant-Roles` is what the gateway tells upstreams"),
            ("route /a header=x_tenant_id { }", "`x_tenant_id` is what the gateway tells upstreams"),
            ("route /a { split app 5% by=header:X-Tenant-Id; }", "`X-Tenant-Id` is what the gateway tells upstreams"),
            ("route /%7Euser { }", "`/%7Euser` never matches: requests are compared in normal form"),
            ("route /a%2fb { }", "write `/a%2Fb`"),
            ("route /a path=/b { }", "`route` has no option `path`"),
            ("route /a { } route /a/ { }", "a second `route` `/a/`: the first is in line 3"),
            ("route /a query=x { } route /a query=x { }", "a second `route` `/a query=x`"),
            ("route /a { require; }", "`require` says nothing by itself"),
            ("route /a { require role=; }", "an empty name"),
            ("route /a { require role=a b; }", "too many values for `require`"),
            ("route /a { require group=a; }", "`require` has no option `group`"),
            ("routes all;", "`all` is not known here"),
            ("strict_paths maybe;", "`maybe` is not known here"),
        ):
            with self.subTest(route=route):
                done = self.checked(f"{top}{tenant}{route} }}\n")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(message, done.stdout + done.stderr)
                self.assertIn("gateway.conf:3:", done.stdout + done.stderr)

    def test_a_route_that_never_matches(self):
        top = "listen 127.0.0.1:1;\nupstream app { server 127.0.0.1:1; }\n"
        for text, message in (
            (
                "tenant a { host a.test; authenticate none; upstream app;\n"
                "route /x method=GET,HEAD { }\nroute /x method=GET { }\n}",
                "gateway.conf:5:7: warning: route `/x method=GET` never matches: `/x method=GET,HEAD` takes all of it (line 4)",
            ),
            (
                "plan p { route /x/y { } }\ndefaults { plan p; upstream app; authenticate none; }\n"
                "tenant a { host a.test; route /x { } }\ntenant b { host b.test; route / { } }",
                "gateway.conf:3:16: warning: route `/x/y` never matches: `/x` takes all of it",
            ),
        ):
            with self.subTest(text=text):
                done = self.checked(top + text + "\n")
                self.assertIn(message, done.stdout + done.stderr)
        done = self.checked(
            top + "plan p { route /x/y { } }\ndefaults { plan p; upstream app; authenticate none; }\n"
            "tenant a { host a.test; route /x { } }\ntenant b { host b.test; route /x method=PUT { } }\n"
        )
        self.assertNotIn("never matches", done.stdout + done.stderr)


class Requirements(Case):
    """Roles and scopes, from wherever they come."""

    def setUp(self):
        super().setUp()
        self.app = self.upstream()
        self.client_leaf, server = self.leaf("robot", tag="c-"), self.leaf("acme.test", "free.test")
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(jwks(KEY))
        self.keys = {name: f"key-{name}-0123456789" for name in ("reader", "editor", "plain")}
        digest = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in self.keys.items()}
        self.edge = self.gateway(
            self.tls_listener(server, more=f"client_ca {self.authority.certificate};")
            + f"""
            upstream app {{ server 127.0.0.1:$app; }}
            jwt idp {{ issuer https://id.test; audience api.test; keys {self.folder}/jwks.json; algorithms ES256; tenant_claim tenant;
                role_claim realm.roles; scope_claim scope; }}
            tenant acme {{
                host acme.test; upstream app; authenticate api_key jwt; jwt idp;
                client_certificate any roles=machine;
                key sha256:{digest["reader"]} name=reader roles=reader,viewer scopes=orders:read;
                key sha256:{digest["editor"]} name=editor roles=editor scopes=orders:read,orders:write;
                key sha256:{digest["plain"]};
                route /v1 method=POST {{ require role=editor scope=orders:write; }}
                route /v1 {{ require role=reader,editor; require scope=orders:read; }}
                route /machines {{ require role=machine; }}
                route /open {{ authenticate none; require role=reader; }}
            }}
            tenant free {{
                host free.test; upstream app; authenticate none;
                client_certificate any;
            }}
            """,
            app=self.app,
        )

    def ask(self, target="/v1", key=None, bearer=None, method="GET", fields=(), host="acme.test", leaf=None):
        fields = [*fields, *([("X-API-Key", key)] if key else []), *([("Authorization", "Bearer " + bearer)] if bearer else [])]
        context = self.authority.context()
        context.load_cert_chain(*(leaf or self.client_leaf))
        with RawClient(self.edge.tls, tls=context, sni=host) as client:
            return client.request(method, target, host, fields=fields)

    def bearer(self, **more):
        return token(KEY, aud="api.test", iss="https://id.test", tenant="acme", **more)

    def test_keys(self):
        for name, method, status in (
            ("reader", "GET", 200), ("reader", "POST", 403), ("editor", "GET", 200), ("editor", "POST", 200),
            ("plain", "GET", 403), ("plain", "POST", 403),
        ):  # fmt: skip
            with self.subTest(name=name, method=method):
                response = self.ask(key=self.keys[name], method=method)
                self.assertEqual(response.status, status)
                if status == 403:
                    self.assert_problem(response, 403, "forbidden")
                    self.assertIsNone(response["www-authenticate"])
        self.assert_problem(self.ask(), 401, "credentials-required")
        self.assertEqual(self.edge.metrics().sum("gateway_refused_total", tenant="acme", reason="forbidden"), 3)

    def test_tokens(self):
        both = {"realm": {"roles": ["editor", "x"]}, "scope": "orders:read orders:write"}
        for payload, status in (
            (both, 200),
            ({**both, "realm": {"roles": "a,editor"}}, 200),
            ({**both, "realm": {"roles": []}}, 403),
            ({**both, "realm": {"roles": ["Editor"]}}, 403),
            ({**both, "realm": {"roles": ["x,editor"]}}, 403),
            ({**both, "realm": {"roles": ["editor", 7]}}, 403),
            ({**both, "realm": {"roles": ["editor", "a\r\nX-Tenant-Roles: admin"]}}, 403),
            ({**both, "realm.roles": ["viewer"]}, 403),
            ({**both, "scope": "orders:write2"}, 403),
            ({**both, "scope": {"orders:write": True}}, 403),
            ({}, 403),
        ):
            with self.subTest(payload=payload):
                response = self.ask(bearer=self.bearer(**payload), method="POST")
                self.assertEqual(response.status, status, response)
                if status == 403:
                    self.assertEqual(response["www-authenticate"], 'Bearer realm="acme.test", error="insufficient_scope"')

    def test_what_several_credentials_give_is_added_up(self):
        response = self.ask(key=self.keys["editor"], bearer=self.bearer(scope="orders:audit", sub="jo"), method="POST")
        self.assertEqual(response.status, 200)
        seen = self.app.next_request()
        self.assertEqual(seen["x-tenant-consumer"], "editor")
        self.assertEqual(seen["x-tenant-roles"], "editor,machine")
        self.assertEqual(seen["x-tenant-scopes"], "orders:read,orders:write,orders:audit")
        response = self.ask(key=self.keys["reader"], bearer=self.bearer(realm={"roles": ["editor"]}, scope="orders:write"), method="POST")
        self.assertEqual(response.status, 200)

    def test_certificates(self):
        self.assertEqual(self.ask("/machines", key=self.keys["plain"]).status, 200)
        self.assertEqual(self.app.next_request()["x-tenant-roles"], "machine")
        self.assertEqual(self.ask(host="free.test", target="/").status, 200)
        seen = self.app.next_request()
        self.assertEqual(seen["x-tenant-consumer"], "O=c-,CN=robot")
        self.assertIsNone(seen["x-tenant-roles"])

    def test_where_nobody_must_show_anything_a_role_is_asked_for_all_the_same(self):
        self.assertEqual(self.ask("/open", key=self.keys["reader"]).status, 200)
        self.assert_problem(self.ask("/open", key=self.keys["editor"]), 403, "forbidden")

    def test_the_upstream_sees_the_consumer_and_never_a_client_s_word(self):
        said = [("X-Tenant-Consumer", "root"), ("x-tenant-roles", "admin"), ("X_Tenant_Scopes", "all"), ("X-Tenant-Roles", "b")]
        for credentials, consumer, roles, scopes in (
            ({"key": self.keys["reader"]}, "reader", "reader,viewer,machine", "orders:read"),
            ({"bearer": self.bearer(sub="jo", realm={"roles": ["editor"]}, scope="orders:read")}, "jo", "editor,machine", "orders:read"),
            ({"bearer": self.bearer(sub="a\r\nX-Evil: b", realm={"roles": "reader"}, scope="orders:read")},
             "O=c-,CN=robot", "reader,machine", "orders:read"),
        ):  # fmt: skip
            with self.subTest(credentials=credentials):
                response = self.ask(fields=said, **credentials)
                self.assertEqual(response.status, 200, response)
                seen = self.app.next_request()
                named = [(name.lower(), value) for name, value in seen.fields if name.lower().replace("_", "-").startswith("x-tenant-")]
                named = {name: value for name, value in named if name in ("x-tenant-consumer", "x-tenant-roles", "x-tenant-scopes")}
                self.assertEqual(
                    named, {"x-tenant-consumer": consumer, "x-tenant-roles": roles, "x-tenant-scopes": scopes}
                )
                self.assertNotIn("x_tenant_scopes", [name.lower() for name, _ in seen.fields])

    def test_what_a_reload_takes_away_is_taken_from_open_connections(self):
        context = self.authority.context()
        context.load_cert_chain(*self.client_leaf)
        with RawClient(self.edge.tls, tls=context, sni="acme.test") as client:
            fields = [("X-API-Key", self.keys["editor"])]
            self.assertEqual(client.request("POST", "/v1", "acme.test", fields=fields).status, 200)
            with open(self.edge.file) as file:
                text = file.read()
            with open(self.edge.file, "w") as file:
                file.write(text.replace("roles=editor", "roles=viewer"))
            self.edge.reload()
            self.assertEqual(client.request("POST", "/v1", "acme.test", fields=fields).status, 403)


class Ways(Case):
    """Where requests go, and under which name."""

    def edge(self, route, **more):
        upstreams = {name: self.upstream(answer(text(name))) for name in ("main", "canary", "third")}
        gateway = self.gateway(
            "trusted_proxies 127.0.0.0/8;\n"
            + "".join(f"upstream {name} {{ server 127.0.0.1:${name}; }}\n" for name in upstreams)
            + f"tenant acme {{ host acme.test; authenticate none; upstream main; {route} }}\n",
            **upstreams,
            **more,
        )
        return gateway, upstreams

    def shares(self, gateway, fields, count=400):
        """Which upstream answered the numbers from 0 on, each of which `fields` makes a request of."""
        client = self.connect(gateway.plain)
        return [client.request("GET", "/", "acme.test", fields=fields(number)).body.decode() for number in range(count)]

    def address(self, number):
        return [("X-Forwarded-For", f"192.0.{number // 200}.{number % 200 + 1}")]

    def test_a_share_goes_elsewhere_and_stays_there(self):
        gateway, _ = self.edge("route / { split canary 10%; }", workers=2)
        before = self.shares(gateway, self.address)
        self.assertLess(abs(before.count("canary") - 40), 25)
        self.assertEqual(before, self.shares(gateway, self.address))
        self.rewrite(gateway, "canary 10%", "canary 30%")
        after = self.shares(gateway, self.address)
        self.assertLess(abs(after.count("canary") - 120), 45)
        # Who was there stays there.
        self.assertEqual([now for was, now in zip(before, after) if was == "canary"], ["canary"] * before.count("canary"))
        self.rewrite(gateway, "split canary 30%;", "")
        self.assertEqual(set(self.shares(gateway, self.address)), {"main"})

    def rewrite(self, gateway, old, new):
        with open(gateway.file) as file:
            text = file.read()
        with open(gateway.file, "w") as file:
            file.write(text.replace(old, new))
        gateway.reload()

    def test_what_decides_about_the_side(self):
        gateway, _ = self.edge("route / { split canary 30% by=header:X-Account; split third 30% by=header:X-Account; }")
        found = self.shares(gateway, lambda number: [("x-account", str(number))])
        for name, wanted in (("main", 160), ("canary", 120), ("third", 120)):
            self.assertLess(abs(found.count(name) - wanted), 50, name)
        self.assertEqual(found, self.shares(gateway, lambda number: [("X-Account", str(number))]))
        self.assertEqual(len(set(self.shares(gateway, lambda _: [("X-Account", "7")], 50))), 1)
        self.assertEqual(len(set(self.shares(gateway, lambda _: [], 50))), 3)
        gateway, _ = self.edge("route / { split canary 50% by=tenant; }")
        self.assertEqual(len(set(self.shares(gateway, self.address, 50))), 1)
        gateway, _ = self.edge("route / { split canary 50% by=request; }")
        self.assertEqual(len(set(self.shares(gateway, lambda _: [], 50))), 2)
        gateway, _ = self.edge("route / { split canary 100%; }")
        self.assertEqual(set(self.shares(gateway, self.address, 50)), {"canary"})

    def test_by_key(self):
        keys = [f"secret-key-{number:04}" for number in range(60)]
        lines = "".join(f"key sha256:{hashlib.sha256(key.encode()).hexdigest()};\n" for key in keys)
        gateway, _ = self.edge(f"{lines} route / {{ authenticate api_key; split canary 50% by=key; }}")
        found = self.shares(gateway, lambda number: [("X-API-Key", keys[number])], len(keys))
        self.assertLess(abs(found.count("canary") - 30), 22)
        self.assertEqual(found, self.shares(gateway, lambda number: [("X-API-Key", keys[number]), *self.address(number)], len(keys)))

    def test_a_path_and_a_host_that_the_upstream_sees(self):
        gateway, upstreams = self.edge(
            """
            route /old/ { rewrite /v2/; rewrite_host Orders.internal:8080; }
            route /root { rewrite /; }
            route = /one { rewrite /two/three; }
            route /same { rewrite_host [::1]; }
            """
        )
        for target, wanted, host in (
            ("/old/x/y?a=b%20c", "/v2/x/y?a=b%20c", "orders.internal:8080"),
            ("/old/", "/v2/", "orders.internal:8080"),
            ("/old", "/v2", "orders.internal:8080"),
            ("/a/../old/%7Ex/./y", "/v2/~x/y", "orders.internal:8080"),
            ("http://acme.test/old/x", "/v2/x", "orders.internal:8080"),
            ("/root", "/", "acme.test"),
            ("/root/x", "/x", "acme.test"),
            ("/one?q", "/two/three?q", "acme.test"),
            ("/same/%41?", "/same/A?", "[::1]"),
        ):
            with self.subTest(target=target):
                client = self.connect(gateway.plain)
                self.assertEqual(client.request("GET", target, "acme.test").status, 200)
                seen = upstreams["main"].next_request()
                self.assertEqual((seen.target, seen["host"]), (wanted, host))
                self.assertEqual(len([name for name, _ in seen.fields if name.lower() == "host"]), 1)
                self.assertEqual(seen["x-forwarded-host"], "acme.test")
        for target in ("/old/../../x", "/old/%2e%2e%2fx", "/old/..;/x"):
            with self.subTest(target=target):
                self.assertEqual(self.get(gateway, target).status, 400)

    def test_what_is_wrong_with_a_way(self):
        top = "listen 127.0.0.1:1;\nupstream app { server 127.0.0.1:1; }\nupstream b { server 127.0.0.1:2; }\n"
        tenant = "tenant acme { host acme.test; authenticate none; upstream app; route / { "
        for words, message in (
            ("split b 0%;", "`0%`"),
            ("split b;", "`split` needs"),
            ("split c 5%;", "there is no upstream `c`"),
            ("split b 60%; split app 50%;", "more than all is split away: 110% together"),
            ("split b 5%; split b 5%;", "a second `split` `b`"),
            ("split b 5% by=ip;", "`ip` is not known here"),
            ("split b 5% by=header:;", "is not a name of a field"),
            ("split b 5% by=key; split app 5%;", "goes by the same"),
            ("rewrite v2;", "`v2` does not begin with `/`"),
            ("rewrite /a/../b;", "never match"),
            ("rewrite /a?b;", "there is no query here"),
            ("rewrite_host a/b;", "is not a host"),
            ("rewrite_host a:0;", "`0` is not a port"),
            ("rewrite_host a:b;", "is not a port"),
            ("rewrite_host http://a;", "is not a port"),
            ('rewrite_host "a b";', "is not a host"),
            ("respond 204; rewrite /x;", "`rewrite` is never used"),
        ):
            with self.subTest(words=words):
                done = self.checked(f"{top}{tenant}{words} }} }}\n")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(message, done.stdout + done.stderr)
