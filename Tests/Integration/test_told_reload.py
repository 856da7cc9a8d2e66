"""What an operator is told of a reload: everything that changed, where the running gateway is, and why one was rejected."""

import os
import signal

from Support.case import Case
from Support.gateway import command
from Support.ports import free_port
from Support.tokens import Key, jwks, token

# So few that the descriptors of any machine are enough for them.
FEW = "limits { max_connections 100; }\n"
REST = FEW + """upstream app { server 127.0.0.1:$app; $block }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Reload(Case):
    def changes(self, gateway, before, after):
        """What a reload prints of the change from one to the other, without what it says of tenants."""
        gateway.write(before)
        gateway.reload()
        gateway.write(after)
        said = gateway.reload().splitlines()
        self.assertEqual(said[:3], ["added: 0", "removed: 0", "changed: 0"])
        again = gateway.reload().splitlines()
        self.assertEqual(again, ["added: 0", "removed: 0", "changed: 0"], "nothing has changed any more")
        return said[3:]

    def test_it_says_what_changed_beside_tenants(self):
        certificate, key = self.leaf("acme.test")
        other = self.leaf("other.test", "acme.test")
        gateway = self.gateway(REST, app=self.upstream(), block="", extra=free_port())
        tls = f"listen 127.0.0.1:$tls tls {{ certificate {certificate} {key}; }}\n"
        listener = f"listener 127.0.0.1:{gateway.tls}: "
        for before, after, said in (
            (REST, REST + "listen 127.0.0.1:$extra;", f"listener 127.0.0.1:{gateway.values['extra']}: added"),
            (REST + "listen 127.0.0.1:$extra;", REST, f"listener 127.0.0.1:{gateway.values['extra']}: removed"),
            (REST + tls, REST + tls.replace("; }", "; min_version 1.3; }"), listener + "changed (min_version)"),
            (REST + tls, REST + tls.replace(f"{certificate} {key}", " ".join(other)), listener + "changed (certificates)"),
            (REST, REST.replace("$block", "response_timeout 7s; balance round_robin;"), "upstream app: changed (balance, response_timeout)"),
            (REST, REST.replace("127.0.0.1:$app", "127.0.0.1:$app weight=3"), "upstream app: changed (server)"),
            (REST, REST.replace(FEW, FEW.replace("}", "max_headers 50; idle_timeout 7s; }")), "limits: changed (idle_timeout, max_headers)"),
            (REST, REST + "trusted_proxies 10.0.0.0/8;", "trusted_proxies: changed"),
            (REST, REST + "metrics_tenants 7;", "metrics_tenants: changed"),
            (REST, REST + "shared_host shared.test;", "shared_host: changed"),
            (REST, REST + "via off;", "via: changed"),
            (REST, REST + "pass_fields X-Client-IP;", "pass_fields: changed"),
            (REST, REST.replace("upstream app {", "\n\nupstream app {").replace("$block", "max_connections 9;"), "upstream app: changed (max_connections)"),
        ):
            with self.subTest(said):
                self.assertEqual(self.changes(gateway, before, after), [said])
        gateway.write(REST)
        gateway.reload()
        gateway.write(REST.replace(FEW, FEW.replace("}", "max_headers 51; }")))
        self.assertEqual(gateway.json("/v1/reload", method="POST")["settings"], ["limits: changed (max_headers)"])
        self.assertRegex(gateway.stderr, r"Z reloaded: 0 tenants added, 0 removed, 0 changed\n\S+Z reloaded: limits: changed")

    def test_every_directive_of_a_tenant_counts_as_its_change(self):
        key = "key sha256:" + "a" * 64
        base = FEW + """upstream app { server 127.0.0.1:$app; } upstream other { server 127.0.0.1:$app; }
        plan p { $plan }
        tenant acme { host acme.test; authenticate api_key; %s; upstream app; currency EUR; plan p; $tenant route /r { $route } }""" % key
        gateway = self.gateway(base, app=self.upstream(), plan="", tenant="", route="")
        for place, text in [
            (place, text)
            for texts, places in (
                (("price 5.00/month;", "price 0.20 per 1000 requests;", "currency USD;"), ("plan",)),
                (("price 5.00/month;", "price 0.20 per 1000 requests over 10;", "host b.test;", "namespace n;", "suspended on;",
                  "key sha256:%s name=b;" % ("b" * 64)), ("tenant",)),
                (("max_body 7;", "rate 5/s;", "quota 7/day;", "concurrency 7;", "bandwidth 7m/s;", "cost 7;", "cost_header X-Cost;",
                  "charge admitted;", "request_header X-A b;",
                  "response_header X-A b;"), ("plan", "tenant", "route")),
                (("ratelimit_headers legacy;", "quota_reset_day 7;", "weight 7;", "feature f on;", "set a b;"), ("plan", "tenant")),
                (("upstream other;", "authenticate none;", "response_timeout 7s;"), ("route",)),
            ) for text in texts for place in places if (place, text) != ("plan", "currency USD;")
        ]:  # fmt: skip
            with self.subTest(place=place, text=text):
                gateway.write(base, plan="", tenant="", route="")
                gateway.reload()
                gateway.write(base, **{place: text})
                self.assertEqual(gateway.reload().splitlines()[:3], ["added: 0", "removed: 0", "changed: 1  acme"])

    def test_limits_are_compared_as_they_are_written(self):
        """What the machine makes of them, with more listeners or workers, is no change of them."""
        gateway = self.gateway(REST.replace(FEW, ""), app=self.upstream(), block="", extra=free_port())
        before = REST.replace(FEW, "limits { max_connections 4000000; }\n")
        said = f"listener 127.0.0.1:{gateway.values['extra']}: added"
        for text in (before, REST.replace(FEW, "")):
            self.assertEqual(self.changes(gateway, text, text + "listen 127.0.0.1:$extra;"), [said])
        self.assertEqual(self.changes(gateway, before, before.replace("4000000", "4000001")), ["limits: changed (max_connections)"])

    def test_it_says_that_a_certificate_was_replaced_in_place(self):
        folder = os.path.join(self.folder, "certificates")
        os.mkdir(folder)
        paths = [os.path.join(folder, name) for name in ("a.crt", "a.key")]

        def place(leaf):
            for source, target in zip(leaf, paths):
                with open(source) as file, open(target + ".new", "w") as out:
                    out.write(file.read())
                os.replace(target + ".new", target)

        place(self.leaf("acme.test"))
        gateway = self.gateway(
            "listen 127.0.0.1:$tls tls { certificate %s %s; }\n" % tuple(paths) + REST, app=self.upstream(), block="")
        place(self.leaf("new.test", "acme.test"))
        self.assertIn(f"listener 127.0.0.1:{gateway.tls}: changed (certificates)\n", gateway.reload())

    def test_it_says_that_a_key_set_was_replaced_in_place(self):
        file, keys = os.path.join(self.folder, "keys.json"), [Key("ES256", "one"), Key("ES256", "two")]
        text = (
            "jwt idp { issuer https://id.test; audience api.test; keys $keys; algorithms ES256; tenant_claim tenant; }\n" + FEW
            + """upstream app { server 127.0.0.1:$app; }
            tenant acme { host acme.test; authenticate jwt; jwt idp; upstream app; }"""
        )  # fmt: skip
        with open(file, "w") as out:
            out.write(jwks(keys[0]))
        gateway = self.gateway(text, app=self.upstream(), keys=file)
        with open(file, "w") as out:
            out.write(jwks(keys[1]))
        self.assertIn("jwt idp: changed (keys)\n", gateway.reload())
        self.assertNotIn("jwt", gateway.reload())
        for key, status in zip(keys, (401, 200)):
            fields = [("Authorization", "Bearer " + token(key))]
            self.assertEqual(self.get(gateway, fields=fields).status, status)

    def test_it_finds_the_running_gateway_when_admin_has_moved(self):
        gateway = self.gateway(REST, app=self.upstream(), block="")
        old = gateway.admin
        gateway.write(REST, admin=free_port())
        self.assertIn("admin: changed\n", gateway.reload())
        self.assertEqual(gateway.get("/healthz")[0], 200)
        self.assertNotEqual(old, gateway.admin)

    def test_it_says_what_to_do_when_state_has_moved(self):
        gateway = self.gateway(REST, app=self.upstream(), block="")
        gateway.preamble = False
        with open(gateway.file) as file:
            text = file.read()
        gateway.write(text.replace("./state", "./elsewhere"))
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1)
        self.assertIn(os.path.join(gateway.folder, "elsewhere"), done.stderr)
        self.assertIn("HUP", done.stderr)

    def test_a_rejected_hup_reaches_systemd(self):
        server = self.systemd(timeout=10)
        gateway = self.gateway(REST, app=self.upstream(), block="", start=False)
        gateway.start(environment={"NOTIFY_SOCKET": server.getsockname()})
        gateway.write("nonsense;\n")
        gateway.signal(signal.SIGHUP)
        while not (said := server.recv(4096).decode()).startswith("READY=1\nSTATUS=reload rejected"):
            pass
        self.assertRegex(said, r"^READY=1\nSTATUS=reload rejected: .*gateway\.conf:7:1: error: .*nonsense.*\nERRNO=22$")
        gateway.write(REST)
        gateway.signal(signal.SIGHUP)
        while "STATUS=1 tenant on " not in server.recv(4096).decode():
            pass

    def test_one_tenant_is_no_plural(self):
        gateway = self.gateway(REST, app=self.upstream(), block="")
        self.assertRegex(gateway.stderr, r"serves 1 tenant on .* \(2 workers\)")
        done = command("check", "-c", gateway.file)
        self.assertRegex(done.stdout, r"ok \(1 tenant, 1 upstream, 1 listener\)")
