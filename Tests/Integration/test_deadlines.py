"""Whatever the gateway asks of others is over by its deadline, however they answer: a byte now and then is no answer."""

import os
import time

from Support.case import Case
from Support.gateway import command


def dribble(data, every=0.5):
    """Says what `data` says, a byte at a time, and never comes to an end of it."""

    def behaviour(peer):
        for byte in data + b"x" * 10_000:
            peer.send(bytes([byte]))
            time.sleep(every)

    return behaviour


# A ServerHello that is said to be 16 KiB long.
HELLO = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"


class Deadlines(Case):
    seconds = 60

    def timed(self, *arguments, folder):
        began = time.monotonic()
        done = command(*arguments, cwd=folder, within=40)
        return done, time.monotonic() - began

    def configured(self, text):
        with open(os.path.join(self.folder, "gateway.conf"), "w") as out:
            out.write(text)
        return self.folder

    def issuer(self, port):
        return self.configured(
            "listen 127.0.0.1:1;\nupstream app { server 127.0.0.1:2; }\n"
            f"jwt idp {{ issuer https://id.test; audience a; keys https://127.0.0.1:{port}/keys; algorithms ES256; "
            "tenant_claim tenant; }\ntenant acme { host acme.test; upstream app; authenticate jwt; jwt idp; }\n"
        )

    def test_a_key_set_fetch_in_its_handshake(self):
        server = self.upstream(dribble(HELLO))
        done, taken = self.timed("check", folder=self.issuer(server.port))
        self.assertIn("no answer in time", done.stderr)
        self.assertLess(taken, 12)

    def test_a_command_that_asks_the_running_gateway(self):
        server = self.upstream(dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", every=0.2))
        folder = self.configured(
            f"state ./state;\nadmin 127.0.0.1:{server.port};\nlisten 127.0.0.1:1;\nupstream app {{ server 127.0.0.1:2; }}\n"
            "tenant acme { host acme.test; upstream app; }\n"
        )
        os.mkdir(os.path.join(folder, "state"))
        with open(os.path.join(folder, "state", "admin.token"), "w") as out:
            out.write("0123456789abcdef0123456789abcdef\n")
        os.chmod(out.name, 0o600)
        done, taken = self.timed("status", folder=folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no answer in time", done.stderr)
        self.assertLess(taken, 12)
