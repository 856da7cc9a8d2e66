"""What is named as a file and is none: an error in words at its place, at once, in `check`, a start and a reload."""

import os
import re
import socket
import subprocess

from Support.case import Case
from Support.gateway import BINARY, command
from Support.ports import free_port
from Support.tokens import Key, jwks

REST = """upstream app { server 127.0.0.1:9; }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Files(Case):
    def setUp(self):
        super().setUp()
        self.pipe, self.socket = os.path.join(self.folder, "pipe"), os.path.join(self.folder, "socket")
        os.mkfifo(self.pipe)
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(self.socket)

    @property
    def others(self):
        kinds = ((self.pipe, "pipe"), ("/dev/zero", "device"), (self.socket, "socket"))
        return [(path, f"it is a {kind}, not a file") for path, kind in kinds]

    def lines(self):
        """(text of a line, column of PATH in it), everywhere a file is named."""
        certificate, key = self.leaf("acme.test")
        for line in (
            f"listen 127.0.0.1:$port tls {{ certificate PATH {key}; }}",
            f"listen 127.0.0.1:$port tls {{ certificate {certificate} PATH; }}",
            f"listen 127.0.0.1:$port tls {{ certificate {certificate} {key} passphrase=file:PATH; }}",
            f"listen 127.0.0.1:$port tls {{ certificate {certificate} {key}; client_ca PATH; }}",
            "jwt idp { issuer https://id.test; audience a; keys PATH; algorithms ES256; }",
            "jwt idp { issuer https://id.test; audience a; keys file:PATH; algorithms HS256; }",
            "tenant b { host b.test; authenticate none; upstream app; request_header X-Secret file:PATH; }",
            "tenant b { host b.test; upstream app; client_certificate subject=CN=x ca=PATH; }",
            "include PATH;",
        ):
            yield line.replace("$port", str(free_port()))

    def test_a_check_says_so_at_once(self):
        for path, words in self.others:
            for line in self.lines():
                with self.subTest(path=path, line=line):
                    text = line.replace("PATH", path)
                    if "ca=" in line:
                        pair, authorities = " ".join(self.leaf("acme.test")), self.authority.certificate
                        text = f"listen 127.0.0.1:{free_port()} tls {{ certificate {pair}; client_ca {authorities}; }} " + text
                    done = self.checked(f"listen 127.0.0.1:{free_port()};\n" + REST + text + "\n")
                    self.assertEqual(done.returncode, 1, done)
                    found = re.findall(r"gateway\.conf:4:(\d+): error: (.*)", done.stderr)
                    self.assertEqual(len(found), 1, done.stderr)
                    self.assertIn(words, found[0][1])
                    self.assertIn(path, found[0][1])
                    word = re.search(r"\S*" + re.escape(path), text).start() + 1
                    self.assertEqual(int(found[0][0]), text.index("client_certificate") + 1 if "ca=" in line else word, done.stderr)

    def test_a_reload_is_rejected_and_the_next_one_works(self):
        certificate, key = self.leaf("acme.test")
        private = os.path.join(self.folder, "private.key")
        with open(private, "w") as out:
            out.write(open(key).read())
        text = f"listen 127.0.0.1:$tls tls {{ certificate {certificate} {private}; }}\n" + REST.replace(":9;", ":$app;")
        gateway = self.gateway(text, app=self.upstream())
        os.rename(private, private + ".old")
        os.mkfifo(private)
        done = gateway.command("reload", "-c", gateway.file)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("it is a pipe, not a file", done.stderr)
        os.rename(private + ".old", private)
        gateway.reload_by_signal()
        self.assertEqual(self.get(gateway).status, 200)

    def test_a_state_of_pipes(self):
        state = os.path.join(self.folder, "state")
        os.mkdir(state)
        for name in ("admin.token", "meters", "ledger", "running"):
            with self.subTest(name):
                path = os.path.join(state, name)
                os.mkfifo(path)
                done = self.checked(f"listen 127.0.0.1:{free_port()};\nstate {state};\n" + REST)
                if name != "running":
                    self.assertEqual(re.findall(r"conf:(\d+:\d+: error: \S+)", done.stderr), [f"2:7: error: {path}"], done)
                done = command("status", "-c", os.path.join(self.folder, "gateway.conf"), cwd=self.folder)
                self.assertNotEqual(done.returncode, 0)
                os.unlink(path)

    def test_an_access_log_that_nobody_reads(self):
        gateway = self.simple(self.upstream(), start=False)
        os.mkfifo(os.path.join(gateway.folder, "access.log"))
        gateway.start()
        self.until(lambda: "can't open the access log" in gateway.stderr, "that nobody reads it")
        with open(os.path.join(gateway.folder, "access.log")) as reader:
            self.get(gateway)
            self.assertIn('"status":200', reader.readline())

    def test_the_configuration_itself_may_come_through_a_pipe(self):
        for text, status, words in (
            (f"listen 127.0.0.1:{free_port()};\n" + REST, 0, "/dev/fd/0: ok"),
            ("nonsense;", 1, "/dev/fd/0:1:1: error: "),
        ):
            done = subprocess.run(
                [BINARY, "check", "-c", "/dev/fd/0"], input=text, cwd=self.folder, capture_output=True, text=True, timeout=20
            )
            self.assertEqual(done.returncode, status, done)
            self.assertIn(words, done.stdout + done.stderr)
