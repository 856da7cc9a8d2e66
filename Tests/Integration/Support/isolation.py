"""The isolation matrix: what carries a tenant's identity, requests that carry two, and what the contract says."""

from dataclasses import dataclass, field

from . import h2
from .client import RawClient

SHARED = "api.test"
PUBLIC = "/public/"


@dataclass(frozen=True)
class Tenant:
    """`is_open`: its host is enough. `knows` is false for one that the gateway was never told of."""

    id: str
    host: str
    key: str = field(repr=False)
    token: str = field(repr=False)
    certificate: tuple = field(repr=False)
    wants_certificate: bool = False
    is_open: bool = False
    knows: bool = True

    namespace = property(lambda self: "ns-" + self.id)


@dataclass
class Plan:
    """A request with its connection, and what went over that connection before, or goes over it beside the request."""

    hosts: list = field(default_factory=list)
    keys: list = field(default_factory=list)
    tokens: list = field(default_factory=list)
    fields: list = field(default_factory=list)
    sni: Tenant = None
    certificate: Tenant = None
    session: Tenant = None
    version: str = ""
    prior: list = field(default_factory=list)
    pipelined: bool = False
    tunnel: Tenant = None
    beside: list = field(default_factory=list)
    protocol: str = ""
    asks_upgrade: bool = False
    trusted: bool = False
    absolute: bool = False
    path: str = "/"

    def complete(self, tenant):
        """Adds what this tenant's own request would carry too, where there is room for it."""
        if not self.hosts:
            self.hosts.append((tenant.host, tenant))
        if not tenant.is_open and tenant not in self.keys + self.tokens and len(self.keys) + bool(self.tokens) < 2:
            self.keys.append(tenant)
        if tenant.wants_certificate and not self.certificate:
            self.certificate = tenant
        if self.session and not self.sni:
            self.sni = tenant

    @property
    def host(self):
        return self.hosts[0][0] if self.hosts else SHARED

    def text(self, upgrade=False):
        """The request as it is sent."""
        hosts = [name for name, _ in self.hosts] or [SHARED]
        target, names = self.path, hosts
        if self.absolute and len(hosts) > 1:
            target, names = f"http://{hosts[0]}{self.path}", hosts[1:]
        lines = [f"GET {target} HTTP/1.1", *(f"Host: {name}" for name in names)]
        if self.keys:
            lines.append("X-API-Key: " + self.keys[0].key)
        lines += ["Authorization: Bearer " + tenant.key for tenant in self.keys[1:]]
        lines += ["Authorization: Bearer " + tenant.token for tenant in self.tokens]
        lines += [f"{name}: {value}" for name, value in self.fields]
        if upgrade or self.asks_upgrade:
            lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def streamed(self, upgrade=False):
        """The same as the fields of a stream (RFC 9113 section 8.3); an upgrade is an extended CONNECT (RFC 8441)."""
        hosts = [name for name, _ in self.hosts] or [SHARED]
        upgrade = upgrade or self.asks_upgrade
        fields = [(":method", "CONNECT"), (":protocol", "websocket")] if upgrade else [(":method", "GET")]
        fields += [(":scheme", "https" if self.is_secure else "http"), (":path", self.path)]
        if self.absolute or upgrade or len(hosts) == 1:
            fields.append((":authority", hosts.pop(0)))
        lines = [line.partition(": ") for line in self.text().decode("latin-1").split("\r\n")[1:]]
        fields += [("host", name) for name in hosts]
        return fields + [(name.lower(), value) for name, _, value in lines if name and name.lower() not in OF_HTTP1]

    @property
    def is_secure(self):
        return bool(self.sni or self.certificate or self.protocol == "h2")

    def named(self, certificate):
        """Every tenant that this request names, its connection included."""
        owners = [owner for _, owner in self.hosts if owner] + self.keys + self.tokens + [self.sni, certificate]
        return {tenant.id for tenant in owners if tenant and tenant.knows}


def own(tenant):
    """A tenant's ordinary request."""
    return Plan(hosts=[(tenant.host, tenant)], keys=[] if tenant.is_open else [tenant])


OF_HTTP1 = ("host", "connection", "upgrade", "sec-websocket-key")


class Line(RawClient):
    """A connection of HTTP/1.1 by which plans are sent, answered in their order."""

    switched = 101

    def ask(self, *plans, upgrade=False):
        self.send(b"".join(plan.text(upgrade) for plan in plans))


class Streams(h2.Client):
    """The same over HTTP/2, a stream for each."""

    switched = 200

    def __init__(self, port, **options):
        super().__init__(port, **options)
        self.asked = []
        self.until(lambda: self.settings)

    def ask(self, *plans, upgrade=False):
        out = b""
        for plan in plans:
            tunnel = upgrade or plan.asks_upgrade
            stream = self.open()
            flags = h2.END_HEADERS | (0 if tunnel else h2.END_STREAM)
            out += h2.frame(h2.HEADERS, flags, stream, self.encoder.encode(plan.streamed(upgrade)))
            self.asked.append((stream, tunnel))
        self.send(out)

    def read_response(self):
        stream, tunnel = self.asked.pop(0)
        told = Told(stream, self.answers[stream])
        if tunnel:
            self.until(lambda: told.answer.fields or told.answer.reset is not None)
        if not tunnel or told.status != self.switched:
            self.answer(stream)
        return told

    def say(self, stream, data):
        """Through a tunnel; the same must come back behind what has come."""
        answer = self.answers[stream]
        expected = bytes(answer.body) + data
        self.data(stream, data)
        self.until(lambda: len(answer.body) >= len(expected))
        return bytes(answer.body[-len(data) :])


class Told:
    """An answer of HTTP/2, looked at as one of HTTP/1.1 is."""

    keeps_alive = True

    def __init__(self, stream, answer):
        self.stream, self.answer = stream, answer

    @property
    def status(self):
        return self.answer.status

    @property
    def fields(self):
        return [(name, value) for name, value in self.answer.fields if name != ":status"]

    @property
    def body(self):
        return bytes(self.answer.body)

    def __getitem__(self, name):
        return self.answer.get(name)

    def __repr__(self):
        return f"{self.answer.fields} {self.body[:200]!r} reset={self.answer.reset}"


@dataclass
class Verdict:
    """`kinds` are the problem types that are right; a tenant is there when the request is to be forwarded."""

    status: int
    kinds: tuple = ()
    tenant: Tenant = None


def judge(plan, sni, certificate):
    """The contract: all identities that a request carries must name the same tenant, and it must show a credential."""
    if len({name for name, _ in plan.hosts}) > 1:
        return Verdict(400, ("bad-request",))
    server = sni if sni and sni.knows else None
    owner = plan.hosts[0][1] if plan.hosts else None
    if owner and (not owner.knows or server and server is not owner):
        return Verdict(421, ("misdirected",))
    if owner and owner.is_open and not certificate:
        return Verdict(200, (), owner)
    if len(plan.keys[1:]) + len(plan.tokens) > 1:
        return Verdict(400, ("bad-request",))
    named = [tenant for tenant in [owner, server, *plan.keys, *plan.tokens, certificate] if tenant and tenant.knows]
    if any(tenant is not named[0] for tenant in named):
        return Verdict(403, ("tenant-mismatch",))
    wrong = [tenant for tenant in plan.keys + plan.tokens if not tenant.knows]
    proven = [tenant for tenant in plan.keys + plan.tokens if tenant.knows]
    if plan.path == PUBLIC and (owner or certificate in named and not wrong):
        # No credential is asked for here; one that names another tenant was refused all the same.
        if not named[0].wants_certificate or certificate in named:
            return Verdict(200, (), named[0])
    kinds = []
    if wrong or certificate and not certificate.knows and owner and owner.wants_certificate:
        kinds.append("credentials-invalid")
    if not proven or named[0].wants_certificate and not certificate:
        kinds.append("credentials-required")
    elif named[0].wants_certificate and not certificate.knows:
        kinds.append("credentials-invalid")
    return Verdict(401, tuple(kinds)) if kinds else Verdict(200, (), named[0])


# --- the carriers


@dataclass(frozen=True)
class Carrier:
    """`kind`: "identity" names a tenant; "past" is what a connection has served before; "hearsay" names nobody."""

    name: str
    short: str
    kind: str
    apply: callable = field(repr=False, compare=False)


def _add(items, item):
    if item not in items:
        items.append(item)


def _host(prefix):
    return lambda plan, tenant: _add(plan.hosts, (prefix + tenant.host, tenant))


def _shared(plan, tenant):
    _add(plan.hosts, (SHARED, None))
    _add(plan.keys, tenant)


def _key(plan, tenant):
    _add(plan.keys, tenant)


def _token(plan, tenant):
    _add(plan.tokens, tenant)


def _set(**values):
    """Each value is a function of the tenant."""

    def apply(plan, tenant):
        for name, value in values.items():
            setattr(plan, name, value(tenant))

    return apply


def _prior(pipelined):
    def apply(plan, tenant):
        _add(plan.prior, tenant)
        plan.pipelined = plan.pipelined or pipelined

    return apply


FORWARDING = ("X-Forwarded-Host", "X-Original-Host", "X-Host", "X-Forwarded-Server")


def _proxied(plan, tenant):
    plan.trusted = True
    plan.fields += [(name, tenant.host) for name in FORWARDING]
    plan.fields += [("Forwarded", f"for=203.0.113.9;host={tenant.host};proto=https"), ("X-Forwarded-Proto", "https")]


def _spoofed(plan, tenant):
    plan.fields += [("X-Tenant-Id", tenant.id), ("X_Tenant_Id", tenant.id), ("x-tenant-namespace", tenant.namespace)]
    plan.fields += [("X-Tenant-Plan", tenant.id), ("X-Tenant-Features", tenant.id), ("X-Tenant-Anything", tenant.id)]


def _tunnel(plan, tenant):
    plan.tunnel = tenant


def _streams(protocol):
    """Its request and the other one are sent as one."""

    def apply(plan, tenant):
        plan.protocol = protocol
        _prior(True)(plan, tenant)

    return apply


def _connect(plan, tenant):
    plan.protocol = plan.protocol or "h2"
    _add(plan.beside, tenant)


CARRIERS = (
    Carrier("exact host", "host", "identity", _host("")),
    Carrier("wildcard host", "wildcard", "identity", _host("deep.")),
    Carrier("SNI", "SNI", "identity", _set(sni=lambda tenant: tenant)),
    Carrier("shared host + API key", "shared", "identity", _shared),
    Carrier("API key", "key", "identity", _key),
    Carrier("JWT", "JWT", "identity", _token),
    Carrier("client certificate", "cert", "identity", _set(certificate=lambda tenant: tenant)),
    Carrier("keep-alive reuse", "reuse", "past", _prior(False)),
    Carrier("pipelined requests", "pipeline", "past", _prior(True)),
    Carrier("resumption, TLS 1.2", "1.2", "past", _set(session=lambda tenant: tenant, version=lambda _: "TLSv1_2")),
    Carrier("resumption, TLS 1.3", "1.3", "past", _set(session=lambda tenant: tenant, version=lambda _: "TLSv1_3")),
    Carrier("upgraded connection", "upgrade", "past", _tunnel),
    Carrier("streams of HTTP/2", "h2", "past", _streams("h2")),
    Carrier("streams of HTTP/2 in plain text", "h2c", "past", _streams("h2c")),
    Carrier("extended CONNECT", "CONNECT", "past", _connect),
    Carrier("trusted proxy's headers", "proxy", "hearsay", _proxied),
    Carrier("spoofed X-Tenant-*", "spoof", "hearsay", _spoofed),
)


def meaningless(row, column):
    """Why no connection can carry these two of different tenants; None when one can."""
    names = {row.short, column.short}
    if names == {"SNI"}:
        return "a ClientHello has one server name"
    if names == {"cert"}:
        return "a handshake shows one client certificate"
    if names <= {"1.2", "1.3"}:
        return "a connection resumes one session"
    return impossible(row, column)


def impossible(row, column):
    """Why no connection can carry these two, be they of one tenant; None when one can."""
    names = {row.short, column.short}
    if "h2c" in names and names & {"SNI", "cert", "1.2", "1.3", "h2"}:
        return "a connection in plain text has no handshake"
    if "upgrade" in names and names & {"h2", "h2c", "CONNECT"}:
        return "a connection of HTTP/2 is not upgraded, a stream is"
    return None


def attempts(row, column, a, b):
    """[(what it is, plan)]: both carriers alone, then filled up with what else either tenant's own request carries.

    Each where credentials are asked for and where they are not.
    """
    made = []

    def add(label, whole, path, **changes):
        plan = Plan(path=path)
        row.apply(plan, a)
        column.apply(plan, b)
        for name, value in changes.items():
            setattr(plan, name, value)
        if whole:
            plan.complete(whole)
        if plan not in [other for _, other in made]:
            made.append((label, plan))
        return plan

    for path in ("/", PUBLIC):
        for label, whole in (("alone", None), ("with the row's credentials", a), ("with the column's credentials", b)):
            plan = add(label, whole, path)
            if len(plan.hosts) > 1:
                add(label + ", one host in the target", whole, path, absolute=True)
            if plan.tunnel and whole is plan.tunnel:
                add("the request for the upgrade carries both", whole, path, tunnel=None, asks_upgrade=True)
            if whole in plan.beside:
                add("the extended CONNECT carries both", whole, path, beside=[], asks_upgrade=True)
    return made
