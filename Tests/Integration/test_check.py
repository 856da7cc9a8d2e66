"""The command line: `gateway check` on good and bad files, help, version, exit codes."""

import os
import re
import resource
import tempfile

from Support.case import Case
from Support.gateway import REPOSITORY, command
from Support.ports import free_port

GOOD = """workers 1;
state ./state;
listen 127.0.0.1:8080;
admin 127.0.0.1:9901;
upstream app { server 127.0.0.1:9101; }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Check(Case):
    def check(self, text, name="gateway.conf", files=(), within=20):
        folder = tempfile.mkdtemp(dir=self.folder)
        for path, content in [(name, text), *files]:
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(content.encode() if isinstance(content, str) else content)
        done = command("check", "-c", os.path.join(folder, name), cwd=folder, within=within)
        self.assertIn(done.returncode, (0, 1), done)
        self.assertEqual(os.path.exists(os.path.join(folder, "state")), False, "check made files")
        return done

    def errors(self, text, **options):
        """[(line, column, message)] of a file that must be refused."""
        done = self.check(text, **options)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        found = [
            (int(line), int(column), message)
            for line, column, message in re.findall(
                r"^(?:.*/)?[\w.-]+\.conf:(\d+):(\d+): error: (.*)$", said, re.MULTILINE
            )
        ]
        self.assertTrue(found, said)
        return found, said

    def assert_good(self, text, **options):
        done = self.check(text, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_good_file(self):
        self.assert_good(GOOD)
        self.assert_good("\ufeff" + GOOD)
        self.assert_good(GOOD.replace("\n", "\r\n"))
        self.assert_good("# a comment\n" + GOOD.replace(";", " ;  # why\n"))

    def test_every_directive_that_is_supported(self):
        certificate, key = self.leaf("acme.test")
        self.assert_good(f"""
            workers auto; state ./state; shutdown_timeout 30s; trusted_proxies 127.0.0.0/8 ::1 10.0.0.0/8;
            problem_base https://errors.example.test/; metrics_tenants 10;
            listen 127.0.0.1:8443 tls {{ certificate {certificate} {key}; protocols http/1.1; min_version 1.3; }}
            listen [::1]:8080; listen *:8081; admin 127.0.0.1:9901; access_log stdout query=on;
            limits {{ header_timeout 10s; body_timeout 30s; idle_timeout 75s; max_header_size 32k; max_headers 100;
                max_connections 20000; }}
            upstream app {{ server 127.0.0.1:9101 weight=2; server [::1]:9102; server app.internal:80;
                balance round_robin;
                connect_timeout 250ms; response_timeout 2m; max_connections 256;
                health_check /healthz interval=5s timeout=1s fall=3 rise=2; }}
            upstream spaces {{ server app.{{namespace}}.svc.cluster.local:80; server {{tenant}}.internal:80;
                balance least_requests; }}
            plan free {{ max_body 1m; weight 4; }}
            defaults {{ plan free; upstream spaces; set theme light; response_header Server off; }}
            tenant acme {{ host acme.test *.acme.test 192.0.2.1 [2001:db8::1]; upstream app; authenticate none;
                namespace team; max_body 1g; weight 2; suspended off; feature a on; feature b off; set theme dark;
                request_header X-Region eu;
                response_header X "a; b # c";
                route /reports/ {{ upstream app; response_timeout 120s; max_body 512; }} }}
            include more/*.conf;""")

    def test_the_contracts_example(self):
        shared = os.path.join(REPOSITORY, "Tests", "ConfigurationTests", "Cases", "contract.conf")
        if not os.path.exists(shared):
            self.skipTest("no contract.conf")
        with open(shared) as file:
            text = file.read()
        found, _ = self.errors(text)
        for _, _, message in found:
            self.assertRegex(message, r"(?i)no such file|certificate|key")

    def test_mistakes_and_where_they_are(self):
        for line, wanted in (
            ("lisen 127.0.0.1:81;", "listen"),
            ("listen 127.0.0.1:99999;", ""),
            ("listen 127.0.0.1:8080;", ""),
            ("listen nonsense;", ""),
            ("workers many;", ""),
            ("workers 0;", ""),
            ("shutdown_timeout 5;", ""),
            ("trusted_proxies 1.2.3.4/33;", ""),
            ("upstream other { }", ""),
            ("upstream app { server 127.0.0.1:1; }", ""),
            ("upstream o { server 127.0.0.1; }", ""),
            ("upstream o { server 127.0.0.1:1 weight=0; }", ""),
            ("upstream o { server 127.0.0.1:1; balance round_robbin; }", "round_robin"),
            ("upstream o { server {nothing}.x:1; }", ""),
            ("tenant acme { host b.test; authenticate none; upstream app; }", ""),
            ("tenant b { host acme.test; authenticate none; upstream app; }", ""),
            ("tenant b { host ACME.test.; authenticate none; upstream app; }", ""),
            ("tenant b { host b.test; authenticate none; upstream ap; }", "app"),
            ("tenant b { host b.test; authenticate none; }", ""),
            ("tenant b { authenticate none; upstream app; }", ""),
            ("tenant b { host b.test:80; authenticate none; upstream app; }", ""),
            ("tenant b { host a.*.test; authenticate none; upstream app; }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; plan gold; }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; max_body 1x; }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; max_body 99999999999999999999; }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; request_header Content-Length 5; }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; request_header X-Tenant-Id x; }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; route reports { } }", ""),
            ("tenant b { host b.test; authenticate none; upstream app; weight 0; }", ""),
            ("limits { max_headers none; }", ""),
            ("limits { max_header_size 100g; }", ""),
            ("include nothere.conf;", ""),
            ("listen 127.0.0.1:82 tls { }", ""),
            ("state;", ""),
            ("rate 5/s;", "rate"),
        ):
            with self.subTest(line=line):
                found, said = self.errors(GOOD + line + "\n")
                self.assertIn(7, [number for number, _, _ in found], said)
                self.assertIn(line.strip(), said, "the offending line is not shown")
                if wanted:
                    self.assertIn(wanted, said)
                self.assertEqual(len(found), 1, said)

    def test_what_lacks_a_semicolon_or_a_brace(self):
        found, said = self.errors(GOOD.replace("workers 1;", "workers 1"))
        self.assertLessEqual(found[0][0], 2, said)
        found, said = self.errors(GOOD.replace("upstream app; }", "upstream app;"))
        self.assertIn("6", said)
        self.errors(GOOD + "}\n")
        self.errors(GOOD + '"unterminated\n')

    def test_did_you_mean(self):
        for line, wanted in (
            ("tennant b { }", "tenant"),
            ("limits { header_timout 1s; }", "header_timeout"),
            ("upstream o { server 127.0.0.1:1 wieght=2; }", "weight"),
            ("acces_log off;", "access_log"),
        ):
            with self.subTest(line):
                _, said = self.errors(GOOD + line + "\n")
                self.assertIn("did you mean", said)
                self.assertIn(f"`{wanted}`", said)

    def test_all_errors_in_one_run(self):
        found, _ = self.errors(
            "workers x;\n" + GOOD.replace("workers 1;", "") + "lisen 1;\nupstream o { }\n"
            "tenant b { host acme.test; authenticate none; upstream nope; }\n"
        )
        self.assertGreaterEqual({line for line, _, _ in found}, {1, 8, 9, 10})
        self.assertEqual([line for line, _, _ in found], sorted(line for line, _, _ in found))

    def test_columns_count_from_one(self):
        found, _ = self.errors(GOOD + "   lisen 1;\n")
        self.assertEqual(found[0][:2], (7, 4))

    def test_what_is_not_supported_yet_says_so(self):
        for line in (
            "plan p { rate 10/s burst=20; }",
            "plan p { quota 100/month; }",
            "plan p { concurrency 10; }",
            "plan p { bandwidth 1m/s; }",
        ):
            with self.subTest(line):
                done = self.check(GOOD + line + "\n", files=[("keys.json", '{"keys":[]}')])
                if done.returncode == 0:
                    self.skipTest("supported by now")
                self.assertIn("not supported yet", done.stdout + done.stderr)

    def test_include(self):
        part = "tenant b { host b.test; authenticate none; upstream app; }\n"
        self.assert_good(GOOD + "include tenants/*.conf;\n", files=[("tenants/b.conf", part)])
        self.assert_good(GOOD + "include none/*.conf;\n")
        _, said = self.errors(
            GOOD + "include tenants/*.conf;\n", files=[("tenants/b.conf", part.replace("upstream", "upstrem"))]
        )
        self.assertRegex(said, r"tenants/b\.conf:1:\d+: error: ")
        _, said = self.errors(
            GOOD + "include tenants/*.conf;\n", files=[("tenants/b.conf", part.replace("b.test", "acme.test"))]
        )
        self.assertRegex(said, r"gateway\.conf:6")
        self.errors(GOOD + "include gateway.conf;\n")

    def test_relative_paths_start_at_their_own_file(self):
        certificate, key = self.leaf("acme.test")
        files = [
            ("edge/listen.conf", "listen 127.0.0.1:8443 tls { certificate certs/a.crt certs/a.key; }\n"),
            ("edge/certs/a.crt", open(certificate).read()),
            ("edge/certs/a.key", open(key).read()),
        ]
        self.assert_good(GOOD + "include edge/listen.conf;\n", files=files)

    def test_certificates_are_read(self):
        certificate, key = self.leaf("acme.test")
        other = self.leaf("other.test")[1]
        broken = os.path.join(self.folder, "broken.crt")
        with open(broken, "w") as out:
            out.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        empty = os.path.join(self.folder, "empty.crt")
        open(empty, "w").close()
        for chain, private in (
            ("/nonexistent/a.crt", key),
            (certificate, "/nonexistent/a.key"),
            (certificate, other),
            (broken, key),
            (empty, key),
            (certificate, certificate),
            (key, key),
            (self.folder, key),
        ):
            with self.subTest(chain=chain, private=private):
                found, said = self.errors(GOOD + f"listen 127.0.0.1:8443 tls {{\n certificate {chain} {private};\n}}\n")
                self.assertEqual([line for line, _, _ in found], [8], said)
                self.assertNotIn("PRIVATE", said)

    def test_hostile_files(self):
        for name, data in (
            ("nul", b"\0" * 1000),
            ("binary", bytes(range(256)) * 100),
            ("one long line", b"a" * 10_000_000),
            ("deep", b"a { " * 100_000),
            ("braces", b"}" * 100_000),
            ("quotes", b'"' * 99_999),
            ("latin", b"tenant \xff\xfe { }"),
            ("empty", b""),
            ("semicolons", b";" * 100_000),
        ):
            with self.subTest(name):
                self.assertEqual(self.check(data).returncode, 1)

    def test_files_that_cannot_be_read(self):
        for path in ("nothere.conf", "/", "/proc/self/mem"):
            done = command("check", "-c", path, cwd=self.folder)
            self.assertEqual(done.returncode, 1, done)
            self.assertTrue(done.stderr + done.stdout)

    def test_the_default_file_is_in_the_working_directory(self):
        with open(os.path.join(self.folder, "gateway.conf"), "w") as out:
            out.write(GOOD)
        self.assertEqual(command("check", cwd=self.folder).returncode, 0)

    def many(self, count, bound):
        text = GOOD + "".join(f"""tenant t{n} {{
    host          t{n}.example.test *.t{n}.example.test;
    upstream      app;
    authenticate  none;
    namespace     tenant-{n};
    feature       new-billing on;
    set           theme dark;
    request_header X-Region eu;
}}
""" for n in range(count))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assert_good(text, within=180)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.assert_bar(used, bound, f"{count} tenants took {used:.2f} s of CPU")

    def test_ten_thousand_tenants_in_under_a_second(self):
        self.many(10_000, 1.0)

    def test_a_hundred_thousand_tenants_in_under_ten_seconds(self):
        self.many(100_000, 10.0)


class CommandLine(Case):
    def test_help(self):
        for arguments in (
            ["--help"],
            ["help"],
            ["run", "--help"],
            ["check", "--help"],
            ["reload", "--help"],
            ["version", "--help"],
        ):
            with self.subTest(arguments=arguments):
                done = command(*arguments)
                if arguments == ["help"] and done.returncode:
                    continue  # only --help is promised
                self.assertEqual(done.returncode, 0, done)
                self.assertIn("gateway", done.stdout)
        said = command("--help").stdout
        for word in ("run", "check", "reload", "version", "-c"):
            self.assertIn(word, said)

    def test_version(self):
        for argument in ("version", "--version"):
            done = command(argument)
            self.assertEqual(done.returncode, 0, done)
            self.assertRegex(done.stdout, r"\d+\.\d+")

    def test_what_it_does_not_know(self):
        for arguments in (["nonsense"], ["check", "--nonsense"], ["run", "-x"], ["check", "-c"], ["chekc"]):
            with self.subTest(arguments=arguments):
                done = command(*arguments, cwd=self.folder)
                self.assertNotEqual(done.returncode, 0)
                self.assertGreater(done.returncode, 0, "ended by a signal")
                self.assertTrue(done.stderr.strip())
                self.assertEqual(done.stdout, "")

    def test_a_start_with_a_bad_file_says_why(self):
        gateway = self.gateway("nonsense;\n", start=False)
        gateway.start(wait=False)
        self.assertEqual(gateway.wait(), 1)
        self.assertRegex(gateway.stderr, r"gateway\.conf:\d+:\d+: error: ")
        gateway.process = None

    def test_a_start_on_a_taken_port_says_why(self):
        taken = self.upstream()
        gateway = self.gateway(
            GOOD.replace("8080", str(taken.port)).replace("9901", str(free_port())), preamble=False, start=False
        )
        gateway.start(wait=False)
        self.assertEqual(gateway.wait(), 1)
        self.assertIn(str(taken.port), gateway.stderr)
        gateway.process = None

    def test_run_is_the_default_command(self):
        gateway = self.simple(self.upstream(), start=False)
        gateway.start(arguments=["-c", gateway.file])
        self.assertEqual(self.get(gateway).status, 200)
        gateway.stop()
        gateway.start(arguments=[])
        self.assertEqual(self.get(gateway).status, 200)
