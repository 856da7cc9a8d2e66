"""One row a directive of a route: what it does, what it says of bad arguments, that a reload changes it on an open connection,
and where it stands in the order in which a request is looked at."""

import hashlib
import time

from Support.case import Case
from Support.client import RawClient
from Support.upstream import answer, text

ORIGIN = "https://page.test"
PAGE = [("Origin", ORIGIN)]
KEY = [("X-API-Key", "a-key-of-the-test")]
KEY_LINE = f"key sha256:{hashlib.sha256(KEY[0][1].encode()).hexdigest()} name=reader roles=reader;"


class Row:
    """`before` and `after` are what the route says before and after a reload; `asked` gives what is seen of each."""

    def __init__(self, name, before, after, asked, seen, bad):
        self.name, self.before, self.after, self.asked, self.seen, self.bad = name, before, after, asked, seen, bad


def status(test, client):
    return client.request("GET", "/r/x?q=1", "acme.test").status


def keyed(test, client):
    return client.request("GET", "/r/x", "acme.test", KEY).status


def field(name, fields=()):
    return lambda test, client: client.request("GET", "/r/x?q=1", "acme.test", list(fields))[name]


def body(test, client):
    return client.request("GET", "/r/x?q=1", "acme.test").body


def forwarded(part):
    """What the upstream has seen of the request."""

    def look(test, client):
        client.request("GET", "/r/x?q=1", "acme.test")
        return part(test.servers["app"].requests[-1])

    return look


def took(test, client):
    began = time.monotonic()
    client.request("GET", "/r/x", "acme.test")
    return time.monotonic() - began >= 0.3


def upload(test, client):
    with RawClient(client.port) as own:
        return own.request("POST", "/r/x", "acme.test", body=b"x" * 2000).status


def slow(test, client):
    return client.request("GET", "/r/slow", "acme.test").status


def consecutive(test, client):
    return [client.request("GET", "/r/x", "acme.test").status for _ in range(3)]


ROWS = [
    Row("upstream", "upstream app;", "upstream other;", body, [b"app", b"other"], [
        ("upstream;", "`upstream` needs NAME"),
        ("upstream nobody;", "is no upstream"),
        ("upstream app; upstream other;", "a second `upstream`"),
    ]),
    Row("split", "split other 100%;", "split app 100%;", body, [b"other", b"app"], [
        ("split other;", "`split` needs"),
        ("split other 101%;", "is not between"),
        ("split nobody 5%;", "is no upstream"),
        ("split other 60%; split app 50%;", "more than all is split away"),
        ("split other 5% by=moon;", "is not known here"),
    ]),
    Row("rewrite", "rewrite /new/;", "rewrite /newer/;", forwarded(lambda r: r.target), ["/new/x?q=1", "/newer/x?q=1"], [
        ("rewrite;", "`rewrite` needs"),
        ("rewrite new;", "`new`"),
        ("rewrite /a/../b;", "`/a/../b`"),
        ('rewrite "/a b";', "`/a b`"),
        ("rewrite /a?b;", "`/a?b`"),
        ('rewrite "/a\\r\\nX: y";', "percent-encoded only"),
        ("rewrite /a; rewrite /b;", "a second `rewrite`"),
    ]),
    Row("rewrite_host", "rewrite_host one.test;", "rewrite_host two.test;",
        forwarded(lambda r: r["host"]), ["one.test", "two.test"], [
        ("rewrite_host;", "`rewrite_host` needs"),
        ("rewrite_host a@b.test;", "`a@b.test`"),
        ("rewrite_host a.test:99999;", "`99999` is not a port"),
        ("rewrite_host a.test/x;", "`a.test/x`"),
    ]),
    Row("redirect", "redirect /new 307;", "redirect https://b.test{path} 302;", field("location"), ["/new", "https://b.test/r/x"], [
        ("redirect;", "`redirect` needs"),
        ("redirect there;", "is neither a URL nor a path"),
        ("redirect //b.test/;", "leads to another host"),
        ("redirect /a 200;", "is not known here"),
        ("redirect /{nothing};", "is not known here"),
        ("redirect /a; upstream app;", "is never used"),
    ]),
    Row("respond", 'respond 200 text/plain "one";', 'respond 201 text/plain "two";', body, [b"one", b"two"], [
        ("respond;", "`respond` needs STATUS"),
        ("respond 199;", "is not between 200 and 599"),
        ("respond 200 text/plain;", "a type a text"),
        ('respond 204 text/plain "x";', "has no text"),
        ('respond 200 text "x";', "is not a media type"),
        ("respond 200; redirect /a;", "a route answers once"),
    ]),
    Row("require", "authenticate api_key; require role=editor;", "authenticate api_key; require role=reader;", keyed, [403, 200], [
        ("require;", "`require` says nothing by itself"),
        ("require role=;", "an empty name"),
        ("require rolle=editor;", "has no option `rolle`"),
        ('require role="a b";', "`a b`"),
    ]),
    Row("allow", "allow 192.0.2.0/24; deny all;", "allow 127.0.0.0/8; deny all;", status, [403, 200], [
        ("allow;", "`allow` needs"),
        ("allow 10.0.0.1/8; deny all;", "has bits behind its prefix"),
        ("allow everybody;", "is not an address"),
    ]),
    Row("deny", "deny 127.0.0.1;", "deny 192.0.2.1;", status, [403, 200], [
        ("deny;", "`deny` needs"),
        ("deny 127.0.0.1/33;", "a prefix of `127.0.0.1` is 0 to 32"),
        ("deny everybody;", "is not an address"),
    ]),
    Row("cors", f"cors origins={ORIGIN};", "cors origins=https://else.test;",
        field("access-control-allow-origin", PAGE), [ORIGIN, None], [
        ("cors;", "`cors` needs origins="),
        ("cors origins=* credentials=on;", "can't stand beside credentials=on"),
        ("cors origins=page.test;", "is not an origin"),
        ("cors origins=null;", "is the origin of whoever hides his"),
        ("cors origins=https://a.test max_age=0s;", "a time of nothing"),
    ]),
    Row("delay", "delay 300ms;", "delay 1ms;", took, [True, False], [
        ("delay;", "`delay` needs"),
        ("delay 0s;", "a time of nothing"),
        ("delay 2m;", "is more than 1m"),
        ("delay 1s 0%;", "is not between 1% and 100%"),
    ]),
    Row("abort", "abort 503;", "abort 418;", status, [503, 418], [
        ("abort;", "`abort` needs"),
        ("abort 302;", "is not between 400 and 599"),
        ("abort 503 101%;", "is not between 1% and 100%"),
        ("abort 503; abort 500;", "a second `abort`"),
    ]),
    Row("response_timeout", "response_timeout 200ms;", "response_timeout 20s;", slow, [504, 200], [
        ("response_timeout;", "`response_timeout` needs"),
        ("response_timeout 0s;", "a time of nothing"),
        ("response_timeout soon;", "`soon`"),
    ]),
    Row("max_body", "max_body 1k;", "max_body 4k;", upload, [413, 200], [
        ("max_body;", "`max_body` needs"),
        ("max_body much;", "`much`"),
    ]),
    Row("request_header", "request_header X-Own one;", "request_header X-Own two;",
        forwarded(lambda r: r["x-own"]), ["one", "two"], [
        ("request_header;", "`request_header` needs"),
        ('request_header "X Own" 1;', "`X Own`"),
        ('request_header X-Own "a\\r\\nb: c";', "control character"),
        ("request_header Content-Length 5;", "is set by the gateway itself"),
    ]),
    Row("response_header", "response_header X-Own one;", "response_header X-Own two;", field("x-own"), ["one", "two"], [
        ("response_header;", "`response_header` needs"),
        ("response_header Transfer-Encoding chunked;", "is set by the gateway itself"),
        ('response_header X-Own "a\\nb";', "control character"),
    ]),
    Row("rate", "rate 2/h;", "rate 1000/s;", consecutive, [[200, 200, 429], [200, 200, 200]], [
        ("rate;", "`rate` needs"),
        ("rate 5;", "`5`"),
        ("rate 0/s;", "0"),
    ]),
]


class RouteTable(Case):
    seconds = 120

    def configuration(self, said):
        return (
            "upstream app { server 127.0.0.1:$app; }\nupstream other { server 127.0.0.1:$other; }\n"
            f"tenant acme {{ host acme.test; authenticate none; upstream app; {KEY_LINE}\nroute /r {{ {said} }} }}\n"
        )

    def servers_of(self, row):
        def app(peer):
            while (request := peer.read_request()):
                if request.target.endswith("/slow"):
                    time.sleep(0.6)
                peer.send(text("app"))

        self.servers = {"app": self.upstream(app), "other": self.upstream(answer(text("other")))}
        return self.servers

    def test_what_each_does_and_a_reload_changes(self):
        for row in ROWS:
            with self.subTest(row.name):
                gateway = self.gateway(self.configuration(row.before), **self.servers_of(row))
                with RawClient(gateway.plain) as client:
                    client.port = gateway.plain
                    first = row.asked(self, client)
                    gateway.write(self.configuration(row.after))
                    gateway.reload()
                    self.assertEqual([first, row.asked(self, client)], row.seen)
                gateway.stop()

    def test_what_is_said_of_bad_arguments(self):
        """Each with the file, the line and the column, and nothing else is complained of."""
        for row in ROWS:
            for bad, said in row.bad:
                with self.subTest(f"{row.name}: {bad}"):
                    text = self.configuration(bad).replace("$app", "9").replace("$other", "9")
                    told = self.checked("listen 8080;\n" + text)
                    self.assertEqual(told.returncode, 1 if "error" in told.stderr + told.stdout else 0)
                    lines = [line for line in (told.stdout + told.stderr).splitlines() if ": error: " in line]
                    self.assertTrue(lines, told)
                    self.assertTrue(lines[0].split(": error: ")[0].split("gateway.conf:")[1].startswith("5:"), lines)
                    self.assertIn(said, lines[0])

    def test_what_is_looked_at_first(self):
        """A route that has everything; each obstacle that is taken away, or met with a key, shows the next one."""
        whole = {
            "addresses": ("deny all;", 403, "address-denied"),
            "credentials": ("", 401, "credentials-required"),
            "roles": ("require role=editor;", 403, "forbidden"),
            "limits": ("rate 1/h;", 429, "rate-limited"),
            "faults": ("abort 500;", 500, "fault-injected"),
        }
        gateway = None
        for count in range(len(whole) + 1):
            standing = list(whole.values())[count:]
            said = " ".join(line for line, _, _ in standing) + f" authenticate api_key; cors origins={ORIGIN};"
            configuration = self.configuration(said)
            if gateway is None:
                gateway = self.gateway(configuration, **self.servers_of(None))
            else:
                gateway.write(configuration)
                gateway.reload()
            with RawClient(gateway.plain) as client:
                fields = PAGE if count < 2 else PAGE + KEY
                if standing and standing[0][2] == "rate-limited":
                    client.request("GET", "/r/x", "acme.test", fields)
                response = client.request("GET", "/r/x", "acme.test", fields)
                if standing:
                    self.assert_problem(response, *standing[0][1:])
                else:
                    self.assertEqual(response.body, b"app")
                # A page may read why it was refused; behind the addresses its preflight is answered whatever comes after.
                self.assertEqual(response["access-control-allow-origin"], ORIGIN)
                ask = [*PAGE, ("Access-Control-Request-Method", "GET")]
                preflight = client.request("OPTIONS", "/r/x", "acme.test", ask)
                self.assertEqual(preflight.status, 403 if count == 0 else 204)
