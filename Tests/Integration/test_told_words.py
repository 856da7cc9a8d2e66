"""What mistakes are answered with: in words, at their place, with the hint that a person needs."""

import os
import re
import subprocess

from Support.case import Case
from Support.gateway import command
from Support.ports import free_port

REST = """upstream app { server 127.0.0.1:9; }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Words(Case):
    def test_hints(self):
        for line, hint in (
            ("upstream http://127.0.0.1:9;", "write `upstream NAME { server 127.0.0.1:9; }`"),
            ("upstream https://app.test/x;", "write `upstream NAME { server app.test:443; }`"),
            ("plan p { rate 1000/s burst 2000; }", "write `burst=2000`"),
            ("upstream b { server 127.0.0.1:9 weight = 2; }", "write `weight=2`"),
            ("tenant b { host b.test; upstream app; weight = 2; }", "leave out the `=`"),
            ("tenant b { host b.test; upstream app; weight=2; }", "write `weight 2;`"),
            ("access_log = off;", "leave out the `=`"),
            ("tenant b { host b.test; upstream app; route ~ ^/api { } }", "a route is a path, not a pattern"),
            ("tenant b { host *; upstream app; }", "name the hosts"),
            ("listen ${PORT};", "variables are not filled in"),
            ("upstream 127.0.0.1:9;", "write `upstream NAME { server 127.0.0.1:9; }`"),
            ("upstream http://[::1];", "write `upstream NAME { server [::1]:80; }`"),
            ("tenant b { host b.test; upstream http://127.0.0.1:91; }", "and `upstream NAME { server 127.0.0.1:91; }` at the top level"),
            ("tenant b { host b.test; upstream app.test:80; }", "write `upstream NAME;` here, and `upstream NAME { server app.test:80; }`"),
            ("upstream b { server 127.0.0.1; }", "write it as 127.0.0.1:80"),
            ("upstream b { server app.test; }", "write it as app.test:80"),
            ("upstream b { server [::1]; }", "write it as [::1]:80"),
            ("upstream b { server ::1; }", "write it as [::1]:80"),
            ("upstream b { server https://app.test/x?y=1; }", "write it as app.test:443"),
            ("listen 192.0.2.1;", "write it as 192.0.2.1:8080"),
            ("listen ::1:80;", "write it as [::1]:80"),
            ("tenant b { host b.test; upstream app; location /api { } }", "write `route /PATH { ... }` in a tenant"),
            ("location /api { proxy_pass http://127.0.0.1:9; }", "write `route /PATH { ... }` in a tenant"),
            ("tenant b { server_name b.test; upstream app; }", "write `host NAME;` in a tenant"),
            ("frobnicate 7;", "`gateway directives` lists them"),
        ):
            with self.subTest(line):
                done = self.checked(f"listen 127.0.0.1:{free_port()};\n" + REST + line + "\n")
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(hint, done.stderr)
                self.assertRegex(done.stderr, r"gateway\.conf:4:\d+: error: ")
        done = self.checked(f"listen 127.0.0.1:{free_port()};\n" + REST.replace("acme.test;", "acme.test; set a ${HOME};"))
        self.assertRegex(done.stderr, r"gateway\.conf:3:\d+: warning: no variable is filled in")

    def test_certificates_and_keys(self):
        certificate, key = self.leaf("acme.test")
        other = self.leaf("other.test")[1]
        garbage = os.path.join(self.folder, "garbage.pem")
        with open(garbage, "wb") as out:
            out.write(os.urandom(1000))
        locked = os.path.join(self.folder, "locked.key")
        subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked], check=True)
        for chain, private, place, words in (
            (self.folder, key, 0, "is a folder"),
            (certificate, self.folder, 1, "is a folder"),
            (garbage, key, 0, "holds no certificate in PEM"),
            (certificate, garbage, 1, "holds no private key in PEM"),
            (key, certificate, 0, "is a private key: the chain stands first"),
            (certificate, certificate, 1, "is a certificate: the chain stands first"),
            (certificate, locked, 1, "has a passphrase"),
            (certificate, other, 1, "does not belong to the certificate"),
            (certificate, self.leaf("acme.test", rsa=True)[1], 1, "does not belong to the certificate"),
            (self.leaf("acme.test", rsa=True)[0], key, 1, "does not belong to the certificate"),
            ("/none.crt", key, 0, "No such file or directory"),
            (certificate, "/none.key", 1, "No such file or directory"),
        ):
            with self.subTest(words, place=place):
                start = "certificate "
                column = len(start) + 1 + (place and len(chain) + 1)
                done = self.checked(f"listen 127.0.0.1:{free_port()} tls {{\n{start}{chain} {private};\n}}\n" + REST)
                self.assertEqual(done.returncode, 1, done)
                found = re.findall(r"gateway\.conf:(\d+:\d+): error: (.*)", done.stderr)
                self.assertEqual([one[0] for one in found], [f"2:{column}"], done.stderr)
                self.assertIn(words, found[0][1])
                self.assertIn(private if place else chain, found[0][1])
                self.assertNotRegex(found[0][1], r"error:[0-9A-F]{8}|routines|no start line|bad base64|no certificate assigned")

    def test_unknown_commands(self):
        for word, hint in (
            ("chekc", "did you mean `check`?"), ("stats", "did you mean `status`?"), ("start", "gateway run"), ("stop", "TERM"),
            ("validate", "gateway check"), ("gateway.conf", "gateway run -c gateway.conf"), ("xyzzy", "there are run, demo, check"),
        ):
            done = command(word, cwd=self.folder)
            self.assertEqual(done.returncode, 2)
            self.assertIn(hint, done.stderr)

    def test_directives_explains_places_blocks_and_options(self):
        said = command("directives").stdout
        for place in ("at the top level:", "in `limits`:", "in `upstream`:", "in `tenant`:", "in `route`:"):
            self.assertIn(place, said)
        self.assertRegex(said, r"(?s)in `upstream`:\n.*  server +A server")
        said = command("directives", "upstream").stdout
        self.assertIn("holds: server, balance, eject, slow_start, connect_timeout", said)
        self.assertIn("needs: server HOST:PORT", said)
        self.assertIn("interval=5s timeout=1s fall=3 rise=2", command("directives", "health_check").stdout)
        done = command("directives", "tennant")
        self.assertEqual(done.returncode, 1)
        self.assertIn("did you mean `tenant`?", done.stderr)
