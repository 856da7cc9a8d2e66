"""The isolation matrix: every way to carry an identity of one tenant, together with every way to carry one of another.

`python3 Tests/Integration/test_isolation.py --table` runs it alone and prints what was tried and what became of it.
"""

import base64
import hashlib
import json
import os
import re
import ssl
import sys
import unittest
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from Support import tokens  # noqa: E402
from Support.case import Case, remove_root  # noqa: E402
from Support.certificates import openssl  # noqa: E402
from Support.gateway import REPOSITORY  # noqa: E402
from Support.isolation import CARRIERS, FORWARDING, PUBLIC, SHARED, Line, Plan, Streams, Tenant  # noqa: E402
from Support.isolation import attempts, impossible, judge, meaningless, own  # noqa: E402
from Support.upstream import text  # noqa: E402

ISSUER = tokens.Key("ES256", "one")
ENOUGH = 20  # failures, after which nothing new is learnt
TUNNELLED = b"the tunnel of "

CONFIGURATION = """
trusted_proxies 127.0.0.1/32;
shared_host api.test;
jwt idp { issuer https://id.test; audience api.test; keys $folder/jwks.json; algorithms ES256; tenant_claim tenant; }
defaults { authenticate api_key jwt; }
"""


def fingerprint(certificate):
    """SHA-256 of a certificate file's DER form, in hexadecimal."""
    said = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256").stdout.decode()
    return said.partition("=")[2].strip().replace(":", "").lower()


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def accept(key):
    """RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def serve(name, tunnelled):
    """An upstream that says who it is, and opens a tunnel when asked to: there it repeats what it gets."""

    def behaviour(peer):
        while request := peer.read_request():
            if request["upgrade"] is None:
                peer.send(text(name))
                continue
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
            peer.send(b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept(request["sec-websocket-key"]))
            peer.send(TUNNELLED + name.encode() + b"\n")
            while data := peer.socket.recv(65536):
                tunnelled.append((name, data))
                peer.send(data)
            return

    return behaviour


class Tenants(Case):
    """Three sorts of tenants: some want a key or a token, some a client certificate beside it, some nothing."""

    once = True
    seconds = 240

    def prepare(self, ids=("acme", "globex", "initech")):
        self.tunnelled, self.upstreams, self.tenants, self.address = [], {}, {}, 0
        with open(os.path.join(self.folder, "jwks.json"), "w") as out:
            out.write(tokens.jwks(ISSUER))
        for sort in ("", "-vault", "-open"):
            for name in (*ids, "nobody"):
                self.tenants[name + sort] = self.tenant(name + sort, name + sort + ".test", name != "nobody")
        known = [tenant for tenant in self.tenants.values() if tenant.knows]
        for tenant in known:
            self.upstreams[tenant.id] = self.upstream(serve(tenant.id, self.tunnelled))
        # All of them stand in one certificate: what it is good for says nothing of whose it is.
        names = [name for tenant in known for name in (tenant.host, "*." + tenant.host)]
        self.listener = self.tls_listener(self.leaf(*names), more=f"client_ca {self.authority.certificate};")
        self.edge = self.gateway(
            CONFIGURATION + self.listener + "".join(self.block(tenant) for tenant in known),
            folder=self.folder,
            **{"port_" + name.replace("-", "_"): upstream for name, upstream in self.upstreams.items()},
        )

    def tenant(self, name, host, knows):
        key = re.search(r"gw_\w+", self.command("key", "create", name).stdout).group()
        certificate = self.leaf(name, tag="client-")
        token = tokens.token(ISSUER, tokens.claims(name))
        return Tenant(name, host, key, token, certificate, name.endswith("-vault"), name.endswith("-open"), knows)

    def block(self, tenant, hosts=None, more=""):
        name = tenant.id
        wants = f"client_certificate fingerprint=sha256:{fingerprint(tenant.certificate[0])};"
        return f"""
            upstream {name} {{ server 127.0.0.1:$port_{name.replace("-", "_")}; }}
            tenant {name} {{
                host {hosts or f"{tenant.host} *.{tenant.host}"};
                upstream {name};
                jwt idp;
                namespace {tenant.namespace};
                key sha256:{digest(tenant.key)} name=key-of-{name};
                {wants if tenant.wants_certificate else ""}
                {"authenticate none;" if tenant.is_open else f"route {PUBLIC} {{ authenticate none; }}"}
                {more}
            }}"""

    def source(self):
        """Each connection comes from an address of its own, so that the damping of guesses has no part in this."""
        self.address += 1
        return f"127.1.{self.address // 250 % 250}.{self.address % 250 + 1}"

    def context(self, version=None, certificate=None):
        version = ssl.TLSVersion[version] if version else None
        context = self.authority.context(version, version, verify=False)
        if certificate:
            context.load_cert_chain(*certificate.certificate)
        return context

    def connection(
        self, secure=False, sni=None, certificate=None, context=None, session=None, trusted=False, protocol=None
    ):  # fmt: skip
        if secure:
            context = context or self.context(certificate=certificate)
            context.set_alpn_protocols(["h2" if protocol else "http/1.1"])
        return (Streams if protocol else Line)(
            self.edge.tls if secure else self.edge.plain,
            tls=context if secure else None,
            sni=sni,
            session=session,
            source="127.0.0.1" if trusted else self.source(),
        )

    def seen(self, upstream):
        """How much has arrived there."""
        return len(upstream.requests), sum(len(peer.stream.received) for peer in list(upstream.connections))


class Cell:
    """What became of a pair's attempts."""

    def __init__(self, row, column):
        self.row, self.column, self.results = row, column, []

    def note(self, result):
        if result not in self.results:
            self.results.append(result)

    def __str__(self):
        return " ".join(sorted(self.results, key=lambda result: (not result.isdigit(), result)))


class Caches(Tenants):
    """What one tenant's request leaves behind is of no use to another's."""

    def setUp(self):
        super().setUp()
        self.prepare(("acme", "globex"))
        self.acme, self.globex = self.tenants["acme"], self.tenants["globex"]

    def ask(self, client, host, *, key=None, token=None, target="/"):
        fields = [("X-API-Key", key.key)] if key else []
        fields += [("Authorization", "Bearer " + token.token)] if token else []
        return client.request("GET", target, host, fields=fields)

    def served(self, client, tenant, host=None, **credentials):
        """The tenant's upstream answers, and sees its own name."""
        answer = self.ask(client, host or tenant.host, **credentials)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.body.decode(), tenant.id)
        self.assertEqual(self.upstreams[tenant.id].requests[-1]["x-tenant-id"], tenant.id)

    def refused(self, client, status, kind, host, **credentials):
        before = {name: self.seen(upstream) for name, upstream in self.upstreams.items()}
        self.assert_problem(self.ask(client, host, **credentials), status, kind)
        self.assertEqual({name: self.seen(upstream) for name, upstream in self.upstreams.items()}, before)

    def test_a_remembered_token_is_good_for_its_own_tenant_alone(self):
        for _ in range(4):
            with self.connection() as client:
                for _ in range(3):
                    self.served(client, self.acme, token=self.acme)
                    self.refused(client, 403, "tenant-mismatch", self.globex.host, token=self.acme)
                    self.served(client, self.acme, SHARED, token=self.acme)
                    self.refused(client, 403, "tenant-mismatch", self.globex.host, token=self.acme, key=self.globex)

    def test_a_refused_token_is_not_remembered_as_good_and_the_other_way_round(self):
        nobody = self.tenants["nobody"]
        with self.connection() as client:
            for _ in range(2):
                self.refused(client, 401, "credentials-invalid", SHARED, token=nobody)
                self.served(client, self.acme, token=self.acme)
                self.refused(client, 401, "credentials-invalid", self.acme.host, token=nobody)

    def test_a_session_is_resumed_under_another_name(self):
        for version in ("TLSv1_2", "TLSv1_3"):
            with self.subTest(version):
                context = self.context(version)
                with self.connection(True, self.acme.host, context=context) as client:
                    self.served(client, self.acme, key=self.acme)
                    session = client.socket.session
                for name in (self.globex.host, None, SHARED):
                    with self.connection(True, name, context=context, session=session) as client:
                        host = SHARED if name == SHARED else self.globex.host
                        self.refused(client, 401, "credentials-required", host)
                        self.served(client, self.globex, self.globex.host, key=self.globex)
                        status = (421, "misdirected") if name == self.globex.host else (401, "credentials-required")
                        self.refused(client, *status, self.acme.host)

    # --- reload: who owns a name or a credential changes hands between two requests

    def reload(self, acme, globex):
        """Both blocks anew, given as the options of `block`."""
        self.replace(self.block(self.acme, **acme), self.block(self.globex, **globex))

    def replace(self, *blocks):
        self.edge.write(CONFIGURATION + self.listener + "".join(blocks))
        self.edge.reload()

    def hosts(self, tenant, *more):
        return " ".join((tenant.host, *more))

    def test_a_host_that_moves(self):
        for secure, name in ((False, None), (True, None), (True, "moved.test"), (True, self.acme.host)):
            with self.subTest(secure=secure, name=name):
                self.reload({"hosts": self.hosts(self.acme, "moved.test")}, {"hosts": self.hosts(self.globex)})
                with self.connection(secure, name) as client:
                    self.served(client, self.acme, "moved.test", key=self.acme)
                    self.reload({"hosts": self.hosts(self.acme)}, {"hosts": self.hosts(self.globex, "moved.test")})
                    if name == self.acme.host:
                        self.refused(client, 421, "misdirected", "moved.test", key=self.globex)
                        continue
                    self.refused(client, 403, "tenant-mismatch", "moved.test", key=self.acme)
                    self.served(client, self.globex, "moved.test", key=self.globex)

    def test_the_server_name_of_an_open_connection_moves_too(self):
        """SNI names whoever owns the name now, not who did at the handshake."""
        self.reload({"hosts": self.hosts(self.acme, "moved.test")}, {"hosts": self.hosts(self.globex)})
        with self.connection(True, "moved.test") as client:
            self.served(client, self.acme, key=self.acme)
            self.reload({"hosts": self.hosts(self.acme)}, {"hosts": self.hosts(self.globex, "moved.test")})
            self.refused(client, 421, "misdirected", self.acme.host, key=self.acme)
            self.refused(client, 403, "tenant-mismatch", SHARED, key=self.acme)
            self.served(client, self.globex, key=self.globex)

    def test_a_server_name_that_was_nobodys_at_the_handshake(self):
        self.reload({"hosts": self.hosts(self.acme)}, {"hosts": self.hosts(self.globex)})
        with self.connection(True, "moved.test") as client:
            self.served(client, self.acme, key=self.acme)
            self.reload({"hosts": self.hosts(self.acme)}, {"hosts": self.hosts(self.globex, "moved.test")})
            self.refused(client, 421, "misdirected", self.acme.host, key=self.acme)
            self.served(client, self.globex, "moved.test", key=self.globex)

    def test_an_exact_host_out_of_anothers_wildcard(self):
        name = "shop." + self.acme.host
        self.reload({"hosts": f"{self.acme.host} *.{self.acme.host}"}, {"hosts": self.hosts(self.globex)})
        with self.connection() as client:
            self.served(client, self.acme, name, key=self.acme)
            self.reload({"hosts": f"{self.acme.host} *.{self.acme.host}"}, {"hosts": self.hosts(self.globex, name)})
            self.refused(client, 403, "tenant-mismatch", name, key=self.acme)
            self.served(client, self.globex, name, key=self.globex)
            self.served(client, self.acme, "other." + self.acme.host, key=self.acme)

    def test_a_key_that_moves(self):
        key = self.tenant("wanderer", "wanderer.test", False)
        line = f"key sha256:{digest(key.key)} name=wanderer;"
        self.reload({"more": line}, {})
        with self.connection() as client:
            self.served(client, self.acme, SHARED, key=key)
            self.reload({}, {"more": line})
            self.served(client, self.globex, SHARED, key=key)
            self.refused(client, 403, "tenant-mismatch", self.acme.host, key=key)
            self.reload({}, {})
            self.refused(client, 401, "credentials-invalid", SHARED, key=key)

    def test_an_issuer_that_a_tenant_no_longer_names(self):
        with self.connection() as client:
            self.served(client, self.acme, token=self.acme)
            self.replace(
                self.block(self.acme).replace("jwt idp;", "authenticate api_key;"),
                self.block(self.globex),
            )
            self.refused(client, 401, "credentials-invalid", SHARED, token=self.acme)
            self.refused(client, 401, "credentials-required", self.acme.host, token=self.acme)
            self.served(client, self.globex, token=self.globex)

    def test_a_certificate_that_moves(self):
        acme, globex = self.tenants["acme-vault"], self.tenants["globex-vault"]
        wants = [f"fingerprint=sha256:{fingerprint(tenant.certificate[0])}" for tenant in (acme, globex)]
        with self.connection(True, None, acme) as client:
            self.served(client, acme, key=acme)
            self.replace(self.block(acme).replace(*wants), self.block(globex).replace(*reversed(wants)))
            self.refused(client, 403, "tenant-mismatch", acme.host, key=acme)
            self.served(client, globex, key=globex)
            self.refused(client, 403, "tenant-mismatch", SHARED, key=acme)


class Matrix(Tenants):
    def setUp(self):
        super().setUp()
        self.prepare()
        self.sessions, self.resumed = {}, Counter()

    # --- one attempt

    def open(self, plan):
        """(connection, the certificate that counts)."""
        if plan.session:
            context, session = self.session(plan.session, plan.version)
            if plan.certificate:
                context.load_cert_chain(*plan.certificate.certificate)
            client = self.connection(True, plan.sni and plan.sni.host, None, context, session, plan.trusted, plan.protocol)
            resumed = client.socket.session_reused
            self.resumed[plan.sni is plan.session, resumed] += 1
            if plan.sni is plan.session:
                self.assertTrue(resumed, "the session is not resumed under its own name")
            holder = plan.session if plan.session.wants_certificate else None
            return client, holder if resumed else plan.certificate
        client = self.connection(
            plan.is_secure, plan.sni and plan.sni.host, plan.certificate, trusted=plan.trusted, protocol=plan.protocol
        )  # fmt: skip
        return client, plan.certificate

    def session(self, tenant, version):
        """(context, session) of that tenant's own connection."""
        if (tenant, version) not in self.sessions or tenant.wants_certificate:
            context = self.context(version, tenant if tenant.wants_certificate else None)
            with self.connection(True, tenant.host, context=context) as client:
                client.ask(own(tenant))
                self.expect(own(tenant), tenant, tenant if tenant.wants_certificate else None, client)
                self.sessions[tenant, version] = context, client.socket.session
        return self.sessions[tenant, version]

    def attempt(self, plan):
        """Sends it and checks what comes back. (result for the table, the answer, the verdict)."""
        client, certificate = self.open(plan)
        with client:
            before = list(plan.prior)
            # The connection's own tenant comes first: what it is given must not be of use to the next.
            if before:
                before = [t for t in (plan.sni, certificate) if t and t.knows and t not in before][:1] + before
            first = [own(tenant) for tenant in before]
            tunnels = [self.tunnel_beside(client, plan, tenant, certificate) for tenant in plan.beside]
            if plan.pipelined:
                client.ask(*first, *([] if plan.tunnel else [plan]))
            for one in first:
                if not plan.pipelined:
                    client.ask(one)
                self.expect(one, plan.sni, certificate, client)
            if plan.tunnel:
                asked = own(plan.tunnel)
                client.ask(asked, upgrade=True)
                if self.expect(asked, plan.sni, certificate, client, upgrade=True)[0].tenant:
                    return self.through_tunnel(client, plan), None, None
                client.ask(plan)
            elif not plan.pipelined:
                client.ask(plan)
            verdict, answer = self.expect(plan, plan.sni, certificate, client, upgrade=plan.asks_upgrade)
            if verdict.tenant is None and plan.asks_upgrade and answer.keeps_alive:
                # No tunnel is open: what follows is judged as a request.
                client.ask(Plan(hosts=[("nowhere.test", None)]))
                self.answered(client, 421, "misdirected", (None,))
            for stream, tenant in tunnels:
                self.still_its_own(client, stream, tenant)
        result = verdict.tenant.id if verdict.tenant else str(answer.status)
        if len(plan.named(certificate)) > 1:
            self.assertGreaterEqual(answer.status, 400, "a request with two identities was forwarded")
            self.mixtures += 1
        return result, answer, verdict

    def through_tunnel(self, client, plan):
        """Every byte, whatever it looks like, belongs to the tenant that opened it."""
        greeting = TUNNELLED + plan.tunnel.id.encode() + b"\n"
        self.assertEqual(client.stream.exactly(len(greeting)), greeting)
        client.send(plan.text())
        self.assertEqual(client.stream.exactly(len(plan.text())), plan.text())
        self.assertEqual(self.tunnelled[-1][0], plan.tunnel.id)
        return "tunnel"

    def tunnel_beside(self, client, plan, tenant, certificate):
        """A tunnel on a stream of the connection, where the tenant may have one: (stream, tenant), or (None, tenant)."""
        client.ask(own(tenant), upgrade=True)
        verdict, answer = self.expect(own(tenant), plan.sni, certificate, client, upgrade=True)
        if verdict.tenant is None:
            return None, tenant
        self.still_its_own(client, answer.stream, tenant)
        return answer.stream, tenant

    def still_its_own(self, client, stream, tenant):
        """What goes through the tunnel goes to the tenant's upstream and comes from there, before and after other requests."""
        if stream is None:
            return
        greeting, said = TUNNELLED + tenant.id.encode() + b"\n", b"said in the tunnel of " + tenant.id.encode()
        body = client.answers[stream].body
        client.until(lambda: len(body) >= len(greeting))
        self.assertEqual(client.say(stream, said), said)
        self.assertEqual(bytes(body), greeting + said * ((len(body) - len(greeting)) // len(said)))
        self.assertEqual(self.tunnelled[-1], (tenant.id, said))

    def expect(self, plan, sni, certificate, client, upgrade=False):
        """Reads the answer to one request and holds it against the contract."""
        verdict = judge(plan, sni, certificate)
        if verdict.tenant is None:
            # It counts for the tenant of the host, or for the one that all its identities name.
            owners = {None, *(owner.id for _, owner in plan.hosts if owner and owner.knows)}
            if verdict.status == 401:
                owners |= plan.named(certificate)
            return verdict, self.answered(client, verdict.status, verdict.kinds, owners)
        answer = client.read_response()
        self.assertEqual(answer.status, client.switched if upgrade else 200, answer)
        if not upgrade:
            self.assertEqual(answer.body.decode(), verdict.tenant.id, "another tenant's upstream answered")
        self.forwarded[verdict.tenant.id] += 1
        self.arrived(verdict.tenant, answer["x-request-id"], plan)
        return verdict, answer

    def answered(self, client, status, kinds, owners):
        answer = client.read_response()
        problem = self.assert_problem(answer, status)
        kind = problem["type"].rpartition("/")[2]
        self.assertIn(kind, kinds, answer)
        self.refusals.append((answer["x-request-id"], status, kind, owners))
        return answer

    def arrived(self, tenant, request_id, plan):
        """The tenant's upstream saw this request as its own and nothing of anybody else."""
        upstream = self.upstreams[tenant.id]
        self.assertIsNotNone(request_id)
        seen = next((request for request in reversed(upstream.requests) if request["x-request-id"] == request_id), None)
        self.assertIsNotNone(seen, "the answer's request is not among those that the upstream saw")
        names = [name.lower() for name, _ in seen.fields if name.lower().replace("_", "-").startswith("x-tenant-")]
        identity = {name: seen[name] for name in names}
        self.assertEqual(identity["x-tenant-id"], tenant.id)
        self.assertEqual(identity["x-tenant-namespace"], tenant.namespace)
        own = {"x-tenant-id", "x-tenant-namespace", "x-tenant-plan", "x-tenant-features", "x-tenant-consumer"}
        self.assertLessEqual(set(identity), own)
        self.assertEqual(seen["host"], plan.host)
        for other in self.tenants.values():
            if other.id == tenant.id:
                continue
            for name, value in seen.fields:
                # A trusted proxy is believed about the host it was asked for, and about nothing else.
                if plan.trusted and name.lower() in [one.lower() for one in (*FORWARDING, "Forwarded")]:
                    continue
                self.assertNotRegex(value, rf"\b(ns-)?{other.id}(?![\w-])", f"{name} tells of another tenant")

    # --- the whole

    def totals(self):
        """How many refusals were counted, by reason."""
        sums = Counter()
        for labels, value in self.edge.metrics().samples("gateway_refused_total"):
            sums[labels["reason"]] += value
        return sums

    def settle(self, before):
        """Everything so far was counted once, logged once, and reached no one else."""
        expected = Counter(kind for _, _, kind, _ in self.refusals)
        self.until(lambda: self.totals() - before == expected or None, f"{dict(expected)} more refusals counted")
        lines = {}

        def logged():
            for line in self.edge.log_lines()[self.read_lines:]:
                lines[line["request_id"]] = line
            return all(request_id in lines for request_id, *_ in self.refusals)

        self.until(logged, "every refusal in the access log", within=10)
        self.read_lines = len(self.edge.log_lines())
        for request_id, status, kind, owners in self.refusals:
            line = lines[request_id]
            self.assertEqual((line["status"], line["refused"]), (status, kind))
            self.assertIn(line["tenant"], owners, line)
            self.assertEqual(line["attempts"], 0, line)
        for name, upstream in self.upstreams.items():
            self.assertEqual(len(upstream.requests), self.forwarded[name], f"requests at the upstream of {name}")

    def tenants_of(self, row, column, names):
        sort = "-vault" if "cert" in (row.short, column.short) else ""
        return [self.tenants[name + sort] for name in names]

    def shape(self, answer, plan, tenant):
        """An answer without what differs each time: its id, the time, and the host that the client itself named."""
        varying = ("date", "x-request-id", "content-length")
        fields = [
            (name, value.replace("deep." + tenant.host, "HOST").replace(tenant.host, "HOST"))
            for name, value in answer.fields
            if name.lower() not in varying
        ]
        problem = json.loads(answer.body)
        problem.pop("instance")
        return answer.status, fields, problem

    def begin(self):
        self.read_lines, self.mixtures, self.failed = len(self.edge.log_lines()), 0, 0
        self.refusals, self.forwarded = [], Counter()

    def run_cell(self, cell, a, b, controls=()):
        if self.failed >= ENOUGH:
            self.fail("too much has failed to go on")
        results = []
        for label, plan in attempts(cell.row, cell.column, a, b):
            with self.subTest(row=cell.row.name, of=a.id, column=cell.column.name, by=b.id, attempt=label):
                before = {t.id: self.seen(self.upstreams[t.id]) for t in (a, b)}
                try:
                    result, answer, verdict = self.attempt(plan)
                except Exception as failure:
                    cell.note("FAILED")
                    self.failed += 1 if isinstance(failure, AssertionError) else ENOUGH
                    raise
                results.append((label, plan, answer))
                cell.note({a.id: "A", b.id: "B"}.get(result, result))
                if verdict and verdict.tenant is None and not (plan.prior or plan.session or plan.tunnel or plan.beside):
                    for t in (a, b):
                        self.assertEqual(self.seen(self.upstreams[t.id]), before[t.id], f"bytes reached {t.id}")
                if answer is not None and verdict.tenant is None:
                    said = repr(self.shape(answer, plan, b)).replace(a.host, "HOST")
                    for other in self.tenants.values():
                        self.assertNotIn(other.id, said)
        for other in controls:
            if not other.knows and cell.column.kind != "identity":
                continue
            for (label, plan, answer), (_, twin) in zip(results, attempts(cell.row, cell.column, a, other)):
                with self.subTest(row=cell.row.name, of=a.id, column=cell.column.name, by=other.id, attempt=label):
                    _, same, verdict = self.attempt(twin)
                    if answer is None or same is None or answer.status < 400 or same.status < 400:
                        continue
                    # Of a tenant that is there and of one that is not: the same words where the status is the same.
                    if other.knows or answer.status == same.status == 421:
                        self.assertEqual(self.shape(same, twin, other), self.shape(answer, plan, b))

    def test_the_matrix(self):
        self.begin()
        table, reasons, tried = {}, [], 0
        for row in CARRIERS:
            self.refusals, before = [], self.totals()
            for column in CARRIERS:
                cell = table[row.short, column.short] = Cell(row, column)
                why = meaningless(row, column)
                if why:
                    cell.note("–")
                    reasons.append((row, column, why))
                    continue
                a, b, c, nobody = self.tenants_of(row, column, ("acme", "globex", "initech", "nobody"))
                self.run_cell(cell, a, b, controls=(c, nobody))
                self.run_cell(Cell(row, column), b, a)
            tried += len(self.refusals)
            with self.subTest(row=row.name, settled=True):
                self.settle(before)
        print(render(table) + "\n\n" + explain(reasons))
        print(f"\nRefused: {self.mixtures} requests with identities of two tenants, {tried} requests in all.")
        self.assertGreater(self.mixtures, 1000)
        with open(os.path.join(REPOSITORY, "Tests", "Integration", "isolation.md")) as shown:
            self.assertIn(render(table), shown.read(), "isolation.md shows another table")
        secrets = [tenant.key for tenant in self.tenants.values()] + [tenant.token for tenant in self.tenants.values()]
        said = self.edge._read("access.log") + self.edge.stdout + self.edge.stderr
        for secret in secrets:
            self.assertNotIn(secret, said)

    def test_tenants_whose_host_is_enough(self):
        """The same without credentials, which would hide what a host alone lets through."""
        self.begin()
        before = self.totals()
        carriers = [carrier for carrier in CARRIERS if carrier.short not in ("shared", "key", "JWT", "cert")]
        a, b, c, nobody = (self.tenants[name + "-open"] for name in ("acme", "globex", "initech", "nobody"))
        for row in carriers:
            for column in carriers:
                if not meaningless(row, column):
                    self.run_cell(Cell(row, column), a, b, controls=(c, nobody))
                    self.run_cell(Cell(row, column), b, a)
        self.settle(before)
        self.assertGreater(self.mixtures, 20)

    def test_one_tenant_by_every_two_ways(self):
        """The positive cells: both identities of the same tenant."""
        self.begin()
        before = self.totals()
        for row in CARRIERS:
            for column in CARRIERS:
                for name in () if impossible(row, column) else ("acme", "globex"):
                    (tenant,) = self.tenants_of(row, column, (name,))
                    for label, plan in attempts(row, column, tenant, tenant):
                        with self.subTest(row=row.name, column=column.name, tenant=tenant.id, attempt=label):
                            result, _, _ = self.attempt(plan)
                            good = [tenant.id, "tunnel"]
                            # Two names of one tenant in one request are still two ways to read it.
                            if len({name for name, _ in plan.hosts}) > 1:
                                good = ["400", "tunnel"]
                            if label.startswith("alone"):
                                good.append("401")
                            self.assertIn(result, good)
        self.settle(before)


def render(table):
    """The table in Markdown."""
    columns = [carrier.short for carrier in CARRIERS]
    lines = ["| A by ↓, B by → | " + " | ".join(columns) + " |", "|" + " --- |" * (len(columns) + 1)]
    for row in CARRIERS:
        cells = [str(table[row.short, column]) for column in columns]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def explain(reasons):
    """Why the pairs that were not tried can't be."""
    lines = []
    for why in dict.fromkeys(why for _, _, why in reasons):
        pairs = ", ".join(f"{row.short} × {column.short}" for row, column, other in reasons if other == why)
        lines.append(f"– {pairs}: {why}.")
    return "\n".join(lines)


def main():
    if sys.argv[1:] != ["--table"]:
        print(f"usage: {sys.argv[0]} --table", file=sys.stderr)
        return 2
    result = unittest.TestResult()
    Matrix("test_the_matrix").run(result)
    remove_root()
    for test, error in result.failures + result.errors:
        print(f"=== {test}\n{error}", file=sys.stderr)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
