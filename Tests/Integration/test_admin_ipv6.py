"""The commands find an admin listener at an IPv6 address, and health checks a server."""

from Support.case import Case


class IPv6(Case):
    def test_commands_and_health_checks_name_an_address_as_a_host_does(self):
        upstream = self.upstream(host="::1")
        gateway = self.gateway(
            """workers 1; state ./state; listen 127.0.0.1:$plain; admin [::1]:$admin; shutdown_timeout 3s;
            upstream app { server [::1]:$app; health_check /healthz interval=100ms timeout=90ms; }
            tenant acme { host acme.test; authenticate none; upstream app; }""",
            app=upstream,
            preamble=False,
            start=False,
        )
        gateway.start(wait=False)
        self.until(lambda: self.command("status", "-c", gateway.file).returncode == 0, "the status")
        run = self.command("reload", "-c", gateway.file)
        self.assertEqual(run.returncode, 0, run)
        self.assertEqual(upstream.next_request()["host"], f"[::1]:{upstream.port}")
