"""Keys with a passphrase: read with it, and an error at once without, where somebody sits at a terminal too."""

import os
import pty
import subprocess
import time

from Support.case import Case
from Support.client import RawClient
from Support.gateway import BINARY


class EncryptedKeys(Case):
    def setUp(self):
        super().setUp()
        self.chain, self.key = self.leaf("acme.test")
        self.encrypted = {}
        for form, arguments in (("pkcs8", ["pkcs8", "-topk8"]), ("traditional", ["rsa", "-aes256", "-traditional"])):
            path = os.path.join(self.folder, form + ".key")
            key = self.key
            if form == "traditional":
                key = os.path.join(self.folder, "rsa.key")
                subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
            subprocess.run(
                ["openssl", *arguments, "-in", key, "-out", path, "-passout", "pass:open sesame"], check=True, capture_output=True
            )
            self.encrypted[form] = path
        self.secret("right", "open sesame\n")
        self.secret("wrong", "close sesame\n")
        self.secret("long", "x" * 5000)
        self.secret("empty", "")

    def secret(self, name, text):
        with open(os.path.join(self.folder, name), "w") as out:
            out.write(text)

    def configuration(self, key, more=""):
        return (
            f"listen 127.0.0.1:$tls tls {{ certificate {self.chain} {key} {more}; }}\n"
            "upstream app { server 127.0.0.1:$app; }\n"
            "tenant acme { host acme.test; authenticate none; upstream app; }"
        )

    def at_a_terminal(self, *arguments):
        """Runs a command with a terminal of its own; what it said, and its status. Nobody types."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(BINARY, [BINARY, *arguments])
        said = b""
        try:
            while part := os.read(terminal, 4096):
                said += part
        except OSError:
            pass
        os.close(terminal)
        return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_without_its_passphrase_it_is_an_error_at_once(self):
        for form, path in self.encrypted.items():
            for more, reason in (
                ("", "has a passphrase: add `passphrase=file:PATH`"),
                (f"passphrase=file:{self.folder}/wrong", "the passphrase does not open the private key"),
                (f"passphrase=file:{self.folder}/long", "the passphrase does not open the private key"),
                (f"passphrase=file:{self.folder}/empty", "is empty"),
                (f"passphrase=file:{self.folder}/none", "can't be read"),
                ("passphrase=sesame", "a passphrase is read from a file"),
            ):
                with self.subTest(form=form, more=more):
                    gateway = self.gateway(self.configuration(path, more), start=False, app=1)
                    began = time.monotonic()
                    said, status = self.at_a_terminal("check", "-c", gateway.file)
                    self.assertLess(time.monotonic() - began, 5)
                    self.assertEqual(status, 1, said)
                    self.assertIn(reason, said)
                    self.assertNotIn("sesame", said.replace("passphrase=sesame", ""))

    def test_with_its_passphrase_it_serves(self):
        path = self.encrypted["pkcs8"]
        upstream = self.upstream()
        gateway = self.gateway(self.configuration(path, f"passphrase=file:{self.folder}/right"), app=upstream)
        with RawClient(gateway.tls, tls=self.authority.context(), sni="acme.test") as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)

    def test_a_reload_does_not_wait_for_a_terminal(self):
        upstream = self.upstream()
        gateway = self.gateway(self.configuration(self.key), app=upstream)
        gateway.write(self.configuration(self.encrypted["pkcs8"]))
        run = self.command("reload", "-c", gateway.file)
        self.assertEqual(run.returncode, 1, run)
        self.assertIn("has a passphrase", run.stdout + run.stderr)
        gateway.write(self.configuration(self.encrypted["pkcs8"], f"passphrase=file:{self.folder}/right"))
        self.assertEqual(self.command("reload", "-c", gateway.file).returncode, 0)
