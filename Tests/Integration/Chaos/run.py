"""One run: the gateway amid upstreams and clients, its configuration, names and clock changing; books at the end."""

import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

from Support import books, preload
from Support.case import SANITIZED
from Support.client import RawClient, until
from Support.gateway import Gateway, end_with_parent
from Support.ports import free_port

from . import cast, story
from .player import BROKEN_OFF, UNANSWERED

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLIENTS = 2
# Seconds. Nobody may wait longer for the beginning of an answer: a look-up (5), a queue and a connection (1 each at
# most), an answer (0.5), and the latter two once more at another server; and what a machine under this load takes.
PATIENCE = 15
HOUR = 3600
# More that the two listeners may have than at the start: where sockets don't divide among the workers, some get another one.
SOCKETS = 2 * 4 * cast.WORKERS


class Player:
    """A process of the run: its counts, and what it found wrong."""

    def __init__(self, module, **plan):
        self.counts, self.wrong = None, []
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", f"Chaos.{module}", json.dumps(plan)],
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for line in self.process.stdout:
            told = json.loads(line)
            self.counts = told.get("counts", self.counts)
            if "wrong" in told and len(self.wrong) < 20:
                self.wrong.append(told["wrong"])

    @property
    def is_done(self):
        return self.process.poll() is not None

    def end(self):
        if not self.is_done:
            self.process.kill()
        self.process.wait()
        self._thread.join(5)


class Run:
    def __init__(self, folder, authority, seed, seconds, plain_limits=False, say=print):
        self.seed, self.seconds, self.say = seed, seconds, say
        self.rng = random.Random(seed)
        self.wrong, self.reloads, self.hours = [], 0, 0
        self.configuration = cast.Configuration(self.rng, plain_limits)
        certificate, key = authority.leaf(*cast.hosts())
        upstreams, streams, policy = free_port(), free_port(), free_port()
        self.gateway = Gateway(
            folder,
            self.configuration.next(),
            preamble=False,
            upstreams=upstreams,
            streams=streams,
            policy=policy,
            certificate=certificate,
            certificate_key=key,
        )
        self.names = preload.Names(folder, *cast.names(), seed=seed)
        self.clock = preload.Clock(folder)
        self.plan = {
            "seed": seed,
            "seconds": seconds,
            "patience": PATIENCE * (3 if SANITIZED else 1) * cast.PACE,
            "upstreams": upstreams,
            "streams": streams,
            "policy": policy,
            "plain": self.gateway.plain,
            "tls": self.gateway.tls,
            "authority": authority.certificate,
            "clock": self.clock.file,
        }

    def play(self):
        """Everything; gives what was wrong, nothing if all was well."""
        self.upstreams = [Player(module, **self.plan) for module in ("upstreams", "stream_upstreams")]
        self.clients = []
        try:
            until(lambda: all(one.counts is not None for one in self.upstreams), "the upstreams", 20)
            self.gateway.start(within=60, environment=preload.environment(self.names, self.clock))
            self.descriptors = self.gateway.descriptors
            self.clients = [Player("clients", player=number, **self.plan) for number in range(CLIENTS)]
            self._disturb()
            self._collect()
            if not self.wrong:
                self._settle()
        except (AssertionError, OSError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            for player in self.players:
                player.end()
            self._stop()
        self._tell_all()
        return self.wrong

    @property
    def players(self):
        return (*self.clients, *self.upstreams)

    # --- while it lasts

    def _disturb(self):
        """Reloads, other fates of names, and now and then an hour that is gone at once."""
        began = told = time.monotonic()
        next_reload = next_world = next_hour = began + 0.5
        while not all(player.is_done for player in self.clients):
            time.sleep(0.05)
            now = time.monotonic()
            if self._is_broken():
                return
            if now > began + self.seconds + 3 * self.plan["patience"]:
                self.wrong.append("the clients do not come to an end")
                return
            if now > told + 10:
                told = now
                self._tell(now - began)
            if now > began + self.seconds:
                continue
            if now > next_reload:
                next_reload = now + self.rng.uniform(0.1, 2)
                self._reload()
            if now > next_world:
                next_world = now + self.rng.uniform(0.5, 3)
                self.names.tell(*cast.names(*self.rng.choice(cast.WORLDS)))
            if now > next_hour:
                next_hour = now + self.rng.uniform(2, 12)
                self.hours += 1
                self.clock.move(HOUR + 1)

    def _reload(self):
        self.gateway.write(self.configuration.next())
        log = os.path.join(self.gateway.folder, "access.log")
        if os.path.exists(log):
            os.truncate(log, 0)
        self.gateway.signal(signal.SIGHUP)
        self.reloads += 1

    def _is_broken(self):
        return self.gateway.process.poll() is not None or any(player.wrong for player in self.players)

    def _collect(self):
        found = [what for player in self.players for what in player.wrong]
        if found:
            time.sleep(0.3)  # what was found may be the first that is seen of the gateway's end
        if self.gateway.process.poll() is not None:
            self.wrong.append(f"the gateway ended with {self.gateway.process.returncode} amid the run")
            found = [what for what in found if UNANSWERED not in what and BROKEN_OFF not in what]
        self.wrong += [what + self._logged(what) for what in found]

    def _logged(self, what):
        """What the access log says of the request that this is about."""
        tokens = [part for part in what.split("/") if re.fullmatch(r"\d+-\d+-[0-9a-f]+", part)]
        lines = self.gateway.log_lines()
        return "".join(f"\n  logged: {line}" for line in lines if any(token in (line.get("path") or "") for token in tokens))

    # --- afterwards

    def _settle(self):
        """All clients have left: nothing may be left of them, and everybody is served."""
        gateway = self.gateway
        self.names.tell(*cast.names())
        metrics = gateway.metrics()
        if metrics.sum("gateway_config_reloads_total", result="failure"):
            self.wrong.append("a reload was rejected")
        until(lambda: gateway.metrics().sum("gateway_connections") == 0, "no connection of a client's left", 15)
        for tenant in cast.TENANTS:
            if tenant != cast.PASSING:
                until(lambda: books.live(gateway, tenant)["in_flight"] == 0, f"nothing of {tenant} in flight")
                self._serve(tenant)
        for one in self.upstreams:
            one.end()
        few = self.descriptors + 10 + SOCKETS
        until(lambda: gateway.descriptors <= few, f"no more than {few} descriptors", 15)

    def _serve(self, tenant):
        token = f"last-{tenant}"
        fields = [("X-Token", token), ("X-Size", "0")]
        if tenant in cast.BY_KEY:
            fields.append(("X-API-Key", cast.key(tenant)))
        target = story.target("plain", "length", tenant, token, 500)

        def answered():
            with RawClient(self.gateway.plain) as client:
                response = client.request("GET", target, cast.host(tenant), fields)
            # The upstreams fail one health check in five, two in a row now and then: until the next one nobody is served.
            return None if response.status == 503 and b"/no-healthy-upstream" in response.body else response

        response = until(answered, f"{tenant} is served", every=0.1)
        if response.status != 200 or response.body != story.said(tenant, token, 500):
            self.wrong.append(f"afterwards {tenant} is answered with {response}")

    def _stop(self):
        try:
            self.gateway.stop(within=60 if SANITIZED else 10)
        except AssertionError as error:
            self.wrong.append(str(error))

    # --- what is told

    @property
    def counts(self):
        together = collections.Counter()
        for player in self.players:
            together.update(player.counts or {})
        return together

    def _tell(self, seconds):
        counts = self.counts
        answers = " ".join(f"{status}: {counts[status]}" for status in sorted(counts) if status.isdigit())
        left = sum(count for what, count in counts.items() if what.startswith("left"))
        self.say(
            f"{seconds:5.0f} s: {counts['requests']} requests, answers {answers}, {left} clients left, "
            f"{counts['streams']} streams, {counts['tunnels']} tunnels, {self.reloads} reloads, {self.hours} hours lost"
        )

    def _tell_all(self):
        counts = self.counts
        self.say(f"seed {self.seed}: {self.reloads} reloads, {self.hours} hours lost")
        for what, count in sorted(counts.items()):
            self.say(f"{count:9} {what}")
