"""What the figures say: whose they are, how fine they are, and which listeners and circles they know of."""

import re

from Support.case import Case
from Support.ports import free_port
from Support.upstream import answer, text

REST = """upstream app { server 127.0.0.1:$app; }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Figures(Case):
    def test_what_is_nobodys_is_named_so(self):
        gateway = self.simple(self.upstream())
        self.assertEqual(self.get(gateway, host="nobody.test").status, 421)
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_requests_total", tenant="_none", code="421"), 1)
        self.assertEqual(metrics.samples("gateway_requests_total", tenant=""), [])
        gateway.write("tenant _none { host none.test; authenticate none; upstream app; }" + REST, app=free_port())
        done = gateway.command("check", "-c", gateway.file)
        self.assertIn("`_none` can't be a tenant's id: metrics use it", done.stderr)

    def test_requests_are_told_apart_from_half_a_millisecond_on(self):
        gateway = self.simple(self.upstream(answer(text("ok"))))
        self.assertEqual(self.get(gateway).status, 200)
        bounds = [labels["le"] for labels, _ in gateway.metrics().samples("gateway_request_duration_seconds_bucket", tenant="acme")]
        self.assertEqual(bounds[:3], ["0.0005", "0.001", "0.0025"])
        self.assertEqual(bounds[-2:], ["10", "+Inf"])

    def test_help_says_whether_refusals_are_in_it(self):
        gateway = self.simple(self.upstream())
        said = gateway.get("/metrics")[1].decode()
        for name in ("request", "response"):
            self.assertRegex(said, rf"# HELP gateway_{name}_bytes_total .*refus.*usage leaves these out")
        self.assertRegex(self.command("usage", "--help").stdout, r"(?s)of admitted requests alone: the metrics count those of refusals too")

    def test_a_removed_listener_leaves(self):
        gateway = self.gateway(REST + "listen 127.0.0.1:$extra;\n", app=self.upstream(answer(text("ok"))), extra=free_port())
        extra = f"127.0.0.1:{gateway.values['extra']}"
        kept = self.connect(gateway.values["extra"])
        self.assertEqual(kept.request("GET", "/", "acme.test").status, 200)
        gateway.write(REST)
        gateway.reload()
        self.assertEqual(gateway.metrics().sum("gateway_connections", listener=extra), 1, "its last connection is there")
        kept.close()
        self.until(lambda: gateway.metrics().samples("gateway_connections", listener=extra) == [], "it leaves the metrics")
        self.assertNotIn(extra, gateway.command("status", "-c", gateway.file).stdout)

    def test_a_circle_is_found_at_the_first_turn_and_charged_once(self):
        gateway = self.gateway(
            """upstream self { server 127.0.0.1:$plain; }
            tenant acme { host acme.test; authenticate none; upstream self; quota 100/day; }""")
        self.assertEqual(self.get(gateway).status, 502)
        # The outer one is recorded once its client has the answer.
        self.until(lambda: gateway.metrics().sum("gateway_requests_total", tenant="acme") == 2, "both are counted")
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("gateway_quota_used", tenant="acme"), 1)
        self.assertEqual(metrics.sum("gateway_refused_total", tenant="acme", reason="bad-upstream"), 1)

    def test_another_gateway_that_is_trusted_is_no_circle(self):
        gateway = self.simple(self.upstream(answer(text("ok"))), top="trusted_proxies 127.0.0.1;")
        self.assertEqual(self.get(gateway, fields=[("Via", "1.1 gateway")]).status, 200)
