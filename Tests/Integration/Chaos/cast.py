"""Who takes part: the tenants, their upstreams, the names of their servers, and gateway.conf as it changes."""

import hashlib
import os

SHARED_HOST = "shared.test"

# Tenant by tenant: what else its block says. Those with a key share a host.
BY_HOST = {
    "acme": "",
    "globex": "",
    "initech": "rate 200/s burst=50;",
    "umbrella": "concurrency 4;",
    "wayne": "quota 100000000/hour; weight 3;",
    "passing": "",
}
BY_KEY = {
    "hooli": "bandwidth 4m/s;",
    "stark": "max_body 20k; concurrency 20;",
}
TENANTS = (*BY_HOST, *BY_KEY)
# It comes and goes with the reloads.
PASSING = "passing"

# By what way a request goes to which upstream. `own` and `loose` have a server for each tenant, by a template; those of
# `loose` send answers that nobody has asked for, which only their own tenant may ever see.
ROUTES = ("own", "shared", "several", "plain")
LOOSE = "loose"
# To servers of HTTP/2, whose connections many requests share; those of `stormy` are ended under them.
STREAMS, STORMY = "streams", "stormy"

# How many times slower than a quiet machine this one is: the gateway's patience is to cover its clients' and upstreams' own
# delays, or what it ends in time looks like what it lost.
PACE = int(os.environ.get("PACE", "1"))
# What an upstream may take for its next bytes; its own processes share the machine with a slow gateway's.
RESPONSE = f"{(2000 if os.environ.get('SANITIZER') else 500) * PACE}ms"

# At most, in any of the configurations.
WORKERS = 4

HERE, REFUSES, STUCK = "127.0.0.1", "127.0.0.2", "127.0.0.3"
OWN = {tenant: f"127.0.1.{number}" for number, tenant in enumerate(TENANTS, 1)}


# Worlds of names: milliseconds that a look-up takes at least and at most, failures in percent, and who is lost.
WORLDS = (
    (0, 0),
    (0, 100, 10),
    (0, 250, 20),
    (200, 200),
    (50, 400, 60),
    (0, 50, 0, ("*.shared.test", "*.acme.own.test")),
)


def key(tenant):
    return f"key-of-{tenant}"


def host(tenant):
    return SHARED_HOST if tenant in BY_KEY else f"{tenant}.test"


def hosts():
    return (*(host(tenant) for tenant in BY_HOST), SHARED_HOST)


class Configuration:
    """gateway.conf, another one each time that it is asked for. With `plain_limits` connections are not few, nor is the
    time for them and for clients."""

    def __init__(self, rng, plain_limits=False):
        self.rng, self.plain_limits = rng, plain_limits
        self.generations = dict.fromkeys((*ROUTES, LOOSE), 0)
        # As many as there ever are, so that a count of descriptors holds to the end.
        self.workers = WORKERS

    def next(self):
        # A server that gets another name is a server that nobody has looked up yet.
        for route in self.generations:
            self.generations[route] += self.rng.random() < 0.5
        text = "\n".join((self._top(), *self._upstreams(), *self._tenants())) + "\n"
        self.workers = self.rng.randint(1, WORKERS)
        return text

    def _top(self):
        limits = "" if self.plain_limits else f"limits {{ header_timeout {2 * PACE}s; body_timeout {2 * PACE}s; idle_timeout {3 * PACE}s; }}"
        return f"""
            workers {self.workers};
            state ./state;
            shutdown_timeout 3s;
            access_log {self.rng.choice(("off", "./access.log"))};
            listen 127.0.0.1:$plain;
            listen 127.0.0.1:$tls tls {{ certificate $certificate $certificate_key; }}
            admin 127.0.0.1:$admin;
            shared_host {SHARED_HOST};
            {limits}"""

    def _upstreams(self):
        own, shared, several, _, loose = self.generations.values()
        few, many = (1, 1, 2), (4, 40, 200)
        yield self._upstream("own", f"server app{own}.{{tenant}}.own.test:$upstreams;", few)
        yield self._upstream(LOOSE, f"server loose{loose}.{{tenant}}.own.test:$upstreams;", few)
        yield self._upstream("shared", f"server app{shared}.shared.test:$upstreams;", few)
        kinds = ("app", "other", "refuses", "stuck")
        servers = "".join(f"server {kind}{several}.several.test:$upstreams;" for kind in kinds)
        yield self._upstream("several", servers + f"balance {self.rng.choice(('round_robin', 'least_requests'))};", few)
        check = self.rng.choice(("", "health_check /healthz interval=300ms timeout=200ms fall=2 rise=1;"))
        for name in (STREAMS, STORMY):
            yield self._upstream(name, "server 127.0.0.1:$streams; protocols h2;", (1, 4, 40))
        yield self._upstream("plain", "server 127.0.0.1:$upstreams;" + check, many)

    def _upstream(self, name, servers, connections):
        limits = f"max_connections {self.rng.choice(connections)}; connect_timeout 300ms;"
        return f"upstream {name} {{ {servers} response_timeout {RESPONSE}; {'' if self.plain_limits else limits} }}"

    def _routes(self, *more):
        """A tenant's routes, with what leaves a request where it goes; `more` is of that kind too."""
        for route in (*ROUTES, LOOSE, STREAMS, STORMY):
            how = self.rng.choice(("", "", f"rewrite /{route}/;", "delay 20ms 20%;", *more))
            what = self.rng.choice(("", "", " header=X-Token", " method=GET,HEAD"))
            yield f"route /{route}/{what} {{ upstream {route}; {how} {self._others(route)} }}"
            if what:
                yield f"route /{route} {{ upstream {route}; }}"
        # Servers of both answer alike.
        yield f"route /several/ header=X-Size {{ upstream several; split own {self.rng.randint(1, 60)}% by=header:X-Token; }}"

    def _others(self, route):
        """Who else hears of a route's requests: by a way of its own, copies go to a server of each tenant's."""
        where = LOOSE if route == LOOSE else "own"
        mirror = f"mirror {where} {self.rng.choice((5, 30))}%; mirror_body {self.rng.choice(('0', '1k', '64k'))};"
        # The last requests of a run want an answer whether or not the service is there.
        otherwise = "allow" if route == "plain" else self.rng.choice(("deny", "allow"))
        policy = (
            f"authorize http://127.0.0.1:$policy/ timeout={self.rng.choice((50, 300))}ms cache={self.rng.choice(('off', '1s', '1m'))}"
            f" on_error={otherwise} {{ request_header X-Verdict; }}"
        )
        return self.rng.choice(("", "", mirror, policy, mirror + policy))

    def _tenants(self):
        yield "defaults { upstream plain; }"
        for tenant, more in BY_HOST.items():
            if tenant != PASSING or self.rng.random() < 0.5:
                yield f"tenant {tenant} {{ host {host(tenant)}; {' '.join(self._routes())} {more} }}"
        for tenant, more in BY_KEY.items():
            digest = hashlib.sha256(key(tenant).encode()).hexdigest()
            routes = " ".join(self._routes("require role=member;"))
            yield f"tenant {tenant} {{ authenticate api_key; key sha256:{digest} roles=member; {routes} {more} }}"


def names(least=0, most=0, failures=0, lost=()):
    """What the servers' names are, for `preload.Names`; look-ups of the lost ones take longer than anybody waits."""
    fate = f"{least} {most} {failures}"
    return (
        *(f"{pattern} 7000 7000 100" for pattern in lost),
        *(f"*.{tenant}.own.test {fate} {address}" for tenant, address in OWN.items()),
        f"*.shared.test {fate} {HERE}",
        f"other*.several.test {fate} {REFUSES} {HERE}",
        f"refuses*.several.test {fate} {REFUSES}",
        f"stuck*.several.test {fate} {STUCK}",
        f"*.several.test {fate} {HERE}",
    )
