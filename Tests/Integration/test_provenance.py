"""Whom a trusted proxy speaks for, by which scheme and to which host: one decision, told in every field alike."""

from test_forwarding import forwarded

from Support.case import Case
from Support.client import RawClient

TRUSTED = "trusted_proxies 127.0.0.0/8 10.0.0.0/8 fd00::/8;"


class Provenance(Case):
    def setUp(self):
        super().setUp()
        self.behind = self.upstream()
        self.front = self.simple(self.behind, top=TRUSTED)

    def seen(self, fields, host="acme.test"):
        with RawClient(self.front.plain) as client:
            response = client.request("GET", "/", host, fields)
        self.assertEqual(response.status, 200, response)
        return self.behind.next_request()

    def assert_told(self, seen, client="127.0.0.1", scheme="http", host="acme.test"):
        """All families say the same, in whichever place an application looks."""
        self.assertEqual(seen.fields.all("x-real-ip"), [client])
        self.assertEqual(seen.fields.all("x-forwarded-proto"), [scheme])
        self.assertEqual(seen.fields.all("x-forwarded-host"), [host])
        hops = [hop.strip() for hop in ",".join(seen.fields.all("x-forwarded-for")).split(",")]
        elements = forwarded(", ".join(seen.fields.all("forwarded")))
        self.assertEqual((hops[0], hops[-1]), (client, "127.0.0.1"))
        self.assertEqual([element["for"].strip("[]") for element in elements], hops)
        for element in (elements[0], elements[-1]):
            self.assertEqual((element["proto"], element["host"]), (scheme, host))
        return hops

    # --- addresses

    def test_an_address_is_read_in_every_form_that_proxies_write(self):
        for written, address in (
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("2001:DB8:0:0::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ('"[2001:db8::7]:4711"', "2001:db8::7"),
            ('"203.0.113.7:4711"', "203.0.113.7"),
            ("203.0.113.7,", "203.0.113.7"),
            ("203.0.113.7 , ,", "203.0.113.7"),
            (", 203.0.113.7", "203.0.113.7"),
            ("unknown, 203.0.113.7", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7:1, 10.0.0.1:2", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7, [fd00::1]:2", "203.0.113.7"),
            ("10.0.0.9, 10.0.0.1", "10.0.0.9"),
        ):
            with self.subTest(written=written):
                self.assert_told(self.seen([("X-Forwarded-For", written)]), address)

    def test_what_is_no_address_is_not_believed_nor_what_stands_before_it(self):
        for written in (
            "unknown",
            "203.0.113.7:port",
            "203.0.113.7:65536",
            "203.0.113.7:",
            "[203.0.113.7]",
            "[2001:db8::7",
            "[2001:db8::7]x",
            "2001:db8::7]",
            "203.0.113",
            "0313.0.113.7",
            "6.6.6.6, unknown",
            "6.6.6.6, x y",
            '6.6.6.6, "',
            '"6.6.6.6, 6.6.6.7"',
            '6.6.6.6"',
            "6.6.6.6;6.6.6.7",
        ):
            with self.subTest(written=written):
                self.assert_told(self.seen([("X-Forwarded-For", written)]))

    def test_several_lines_are_one_list(self):
        seen = self.seen([("X-Forwarded-For", "6.6.6.6, 203.0.113.7"), ("X-Other", "x"), ("X-Forwarded-For", "10.0.0.1")])
        self.assertEqual(self.assert_told(seen, "203.0.113.7"), ["203.0.113.7", "10.0.0.1", "127.0.0.1"])

    def test_what_a_front_proxy_quotes_of_its_client_is_no_element(self):
        for written in (
            'for="6.6.6.6, for=6.6.6.7";proto=https, for=203.0.113.7',
            'for=6.6.6.6;x=", for=6.6.6.7", for=203.0.113.7',
            'for=6.6.6.6;x="\\", for=6.6.6.7", for=203.0.113.7',
            'for="6.6.6.6;for=6.6.6.7", for=203.0.113.7',
            'for=6.6.6.6;for=6.6.6.7, for=203.0.113.7',
            "for=_hidden, for=203.0.113.7;by=10.0.0.1",
            'by="for=6.6.6.6";for=203.0.113.7',
            'x=";for=6.6.6.6;" ; For="203.0.113.7:80"',
            "for=203.0.113.7 , ,",
        ):
            with self.subTest(written=written):
                self.assert_told(self.seen([("Forwarded", written)]), "203.0.113.7")

    def test_a_quote_without_an_end_hides_nobody(self):
        for written, address in (
            ('for=6.6.6.6;x=", for=203.0.113.7', "203.0.113.7"),
            ('for=6.6.6.6, for=", for="[2001:db8::7]"', "2001:db8::7"),
            ('for="6.6.6.6\\, for="[2001:db8::7]:80"', "2001:db8::7"),
            ('for="x, for=203.0.113.7, for=10.0.0.1', "203.0.113.7"),
        ):
            with self.subTest(written=written):
                self.assert_told(self.seen([("Forwarded", written)]), address)
        for written in ('"', '"x', 'x", "6.6.6.6', '"6.6.6.6', '"6.6.6.6, 6.6.6.7"'):
            with self.subTest(written=written):
                self.assert_told(self.seen([("X-Forwarded-For", written + ", 203.0.113.7")]), "203.0.113.7")

    def test_what_the_peer_has_not_written_well_is_not_believed(self):
        for written in (
            "203.0.113.7",
            "for=203.0.113.7;x",
            'for="203.0.113.7',
            'for=203.0.113.7"',
            'for="6.6.6.6" x',
            'for="6.6.6.6\\"',
        ):
            with self.subTest(written=written):
                self.assert_told(self.seen([("Forwarded", written)]))

    def test_the_log_has_the_client_alone(self):
        self.seen([("X-Forwarded-For", "[2001:DB8::7]:4711")])
        self.assertTrue(self.front.log_line(lambda line: line["client"] == "2001:db8::7"))

    # --- one decision

    def test_a_proxy_that_speaks_one_family_is_not_contradicted_by_the_other(self):
        told = {"client": "203.0.113.7", "scheme": "https", "host": "shop.test"}
        for fields in (
            [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.test")],
            [("Forwarded", "for=203.0.113.7;proto=https;host=shop.test")],
            [("Forwarded", 'For="203.0.113.7:80" ; Proto=HTTPS ; Host="shop.test"')],
            [("Forwarded", "for=203.0.113.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.test")],
        ):
            with self.subTest(fields=fields):
                self.assert_told(self.seen(fields), **told)

    def test_a_family_that_the_proxy_does_not_speak_is_its_clients_and_not_believed(self):
        seen = self.seen([("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=6.6.6.6;proto=https;host=evil.test")])
        self.assert_told(seen, "203.0.113.7")
        self.assertFalse([f for f in seen.fields if "6.6.6" in f[1] or "evil" in f[1]])

    def test_folded_names_are_nobodys_word(self):
        told = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Host", "shop.test"), ("X-Forwarded-Proto", "https")]
        for mark in "_.~":
            names = ["X_Forwarded_For", "X_Forwarded_Host", "X_Forwarded_Proto", "X_Request_Id", "X_Real_IP", "X_Tenant_Id", "X_Forwarded_Ssl"]
            evil = [(name.replace("_", mark), value) for name, value in zip(names, ("10.0.0.1", "evil.test", "http", "evil", "6.6.6.6", "evil", "off"))]
            for fields in (told + evil, evil + told):
                with self.subTest(fields=fields):
                    seen = self.seen(fields)
                    self.assert_told(seen, "203.0.113.7", "https", "shop.test")
                    self.assertFalse([f for f in seen.fields if "evil" in f[1] or "6.6.6" in f[1] or mark in f[0]], seen.fields)
        seen = self.seen(evil)
        self.assert_told(seen)

    def test_which_family_is_believed_can_be_said(self):
        old = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.test")]
        new = [("Forwarded", "for=198.51.100.7;proto=http;host=new.test")]
        for said, fields, told in (
            ("any", old + new, ("203.0.113.7", "https", "shop.test")),
            ("x_forwarded", old + new, ("203.0.113.7", "https", "shop.test")),
            ("x_forwarded", new, ("127.0.0.1", "http", "acme.test")),
            ("x_forwarded", new + [("X-Forwarded-Proto", "https")], ("127.0.0.1", "https", "acme.test")),
            ("forwarded", old + new, ("198.51.100.7", "http", "new.test")),
            ("forwarded", old, ("127.0.0.1", "http", "acme.test")),
            ("forwarded", old[:1] + [("Forwarded", "for=198.51.100.7")], ("198.51.100.7", "http", "acme.test")),
        ):
            with self.subTest(said=said, fields=fields):
                self.front.stop()
                self.front = self.simple(self.behind, top=TRUSTED + f"trusted_fields {said};")
                self.assert_told(self.seen(fields), *told)

    def test_a_proxy_that_tells_the_scheme_in_its_own_way(self):
        for name, value, scheme in (
            ("X-Forwarded-Ssl", "on", "https"),
            ("X-Forwarded-Ssl", "off", "http"),
            ("Front-End-Https", "On", "https"),
            ("X-Forwarded-Scheme", "https", "https"),
            ("X-Url-Scheme", "https", "https"),
            ("X-Scheme", "http", "http"),
            ("X-Forwarded-Protocol", "perhaps", "http"),
        ):
            with self.subTest(name=name, value=value):
                seen = self.seen([(name, value)])
                self.assert_told(seen, scheme=scheme)
                self.assertEqual(seen.fields.all(name.lower()), [value])
                seen = self.seen([(name, value), ("X-Forwarded-Proto", "https")])
                self.assert_told(seen, scheme="https")
                self.assertEqual(seen.fields.all(name.lower()), [value] if scheme == "https" or value == "perhaps" else [])

    def test_scheme_and_host_alone_are_believed_too(self):
        seen = self.seen([("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.test:8443")])
        self.assert_told(seen, scheme="https", host="shop.test:8443")
        self.assertIn('host="shop.test:8443"', seen["forwarded"])
        seen = self.seen([("Forwarded", 'proto=https;host="[2001:db8::1]:8443"')])
        self.assert_told(seen, scheme="https", host="[2001:db8::1]:8443")

    def test_of_several_schemes_and_hosts_the_clients_own_counts(self):
        seen = self.seen(
            [
                ("X-Forwarded-For", "6.6.6.6, 203.0.113.7, 10.0.0.1"),
                ("X-Forwarded-Proto", "http, https, http"),
                ("X-Forwarded-Host", "evil.test, shop.test, inner.test"),
            ]
        )
        self.assert_told(seen, "203.0.113.7", "https", "shop.test")
        seen = self.seen([("Forwarded", "for=6.6.6.6, for=203.0.113.7;proto=https;host=a.test, for=10.0.0.1;proto=http")])
        self.assert_told(seen, "203.0.113.7", "https", "a.test")

    def test_what_is_neither_scheme_nor_host_is_not_told(self):
        for proto, host in (
            ("gopher", "a b"),
            ("https:", "shop.test/x"),
            ('"https', 'shop.test"'),
            ("https;x", "user@shop.test"),
            ("", ""),
            ("httpss", "a.test:99999"),
            ("x" * 200, "x" * 300),
        ):
            with self.subTest(proto=proto, host=host):
                self.assert_told(self.seen([("X-Forwarded-Proto", proto), ("X-Forwarded-Host", host)]))

    def test_an_untrusted_client_says_nothing_in_either_family(self):
        front = self.simple(self.behind)
        fields = [("Forwarded", "for=6.6.6.6;proto=https;host=evil.test"), ("X-Forwarded-Proto", "https")]
        with RawClient(front.plain) as client:
            client.request("GET", "/", "acme.test", fields)
        self.assert_told(self.behind.next_request())

    # --- ports and targets that are left empty

    def test_an_empty_port_is_none(self):
        for host in ("acme.test:", "ACME.test.:"):
            with self.subTest(host=host):
                self.assertEqual(self.seen([], host=host)["host"], host)

    def test_an_absolute_target_without_a_path(self):
        for method, target, wanted in (
            ("GET", "http://acme.test", "/"),
            ("GET", "http://acme.test?a=b/c", "/?a=b/c"),
            ("GET", "http://acme.test?", "/?"),
            ("GET", "https://acme.test?x", "/?x"),
            ("OPTIONS", "http://acme.test", "*"),
            ("OPTIONS", "http://acme.test/", "/"),
            ("OPTIONS", "http://acme.test?a", "/?a"),
        ):
            with self.subTest(method=method, target=target), RawClient(self.front.plain) as client:
                self.assertEqual(client.request(method, target, "acme.test").status, 200)
                self.assertEqual(self.behind.next_request().target, wanted)
