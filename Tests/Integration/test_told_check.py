"""What `check` says of a configuration that reads well and can't be used, or isn't meant: each at its place."""

import os
import re
import socket
import subprocess

from Support.case import Case
from Support.client import RawClient
from Support.gateway import BINARY, command
from Support.ports import free_port

REST = """upstream app { server 127.0.0.1:9; }
tenant acme { host acme.test; authenticate none; upstream app; }
"""


class Check(Case):
    def check(self, text):
        done = self.checked(text)
        found = re.findall(r"gateway\.conf:(\d+:\d+): (\w+): (.*)$", done.stderr, re.MULTILINE)
        return done.returncode, [one for one in found if "max_connections" not in one[2]], done

    def assert_error(self, text, place, message):
        status, found, done = self.check(text)
        self.assertEqual(status, 1, done)
        self.assertEqual([(one[0], one[1]) for one in found], [(place, "error")], done.stderr)
        self.assertRegex(found[0][2], message)

    def assert_warning(self, text, place, message):
        status, found, done = self.check(text)
        self.assertEqual(status, 0, done)
        self.assertEqual([(one[0], one[1]) for one in found], [(place, "warning")], done.stderr)
        self.assertRegex(found[0][2], message)

    def top(self, more=""):
        return f"listen 127.0.0.1:{free_port()};\n{more}\n"

    def test_an_access_log_that_loses_every_line(self):
        os.mkdir(os.path.join(self.folder, "folder"))
        self.assert_error(self.top("access_log folder;") + REST, "2:12", r"access log .*folder is a folder")
        self.assert_error(self.top("access_log none/a.log;") + REST, "2:12", r"none: No such file or directory")
        for good in ("access_log a.log;", "access_log state/a.log;", "access_log off;"):
            self.assertEqual(self.check(self.top(good) + REST)[0:2], (0, []))

    def test_a_state_that_cannot_be_used(self):
        with open(os.path.join(self.folder, "file"), "w"):
            pass
        self.assert_error(self.top("state ./file;") + REST, "2:7", "is no folder")
        self.assert_error(self.top("state ./none/state;") + REST, "2:7", "No such file or directory")

    def test_ports_that_others_have(self):
        for own, theirs in (("127.0.0.1", "127.0.0.1"), ("127.0.0.1", ""), ("*", "127.0.0.1"), ("[::1]", "::")):
            with self.subTest(own=own, theirs=theirs):
                family = socket.AF_INET6 if ":" in theirs else socket.AF_INET
                with socket.socket(family) as other:
                    other.bind((theirs, 0))
                    other.listen()
                    port = other.getsockname()[1]
                    self.assert_error(f"workers 1;\nlisten {own}:{port};\n" + REST, "2:8", f"{port} is in use: another process listens on ")
                    self.assert_error(self.top(f"admin 127.0.0.1:{port};") + REST, "2:7", "is in use") if own == "127.0.0.1" else None
        self.assert_error("listen 192.0.2.1:80;\n" + REST, "1:8", "Cannot assign requested address")

    def test_an_address_that_can_be_had_beside_another(self):
        """Who listens on every IPv6 address alone has none of IPv4; nor has who only bound an address."""
        with socket.socket(socket.AF_INET6) as other, socket.socket() as bound:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            other.bind(("::", 0))
            other.listen()
            port = other.getsockname()[1]
            self.assertEqual(self.check(f"listen 127.0.0.1:{port};\n" + REST)[0:2], (0, []))
            self.assert_error(f"listen *:{port};\n" + REST, "1:8", "in use: another process listens on .*python")
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", 0))
            self.assertEqual(self.check(f"listen 127.0.0.1:{bound.getsockname()[1]};\n" + REST)[0:2], (0, []))

    def test_sockets_that_are_handed_over_are_its_own(self):
        with socket.socket() as given:
            given.bind(("127.0.0.1", 0))
            given.listen()
            self.checked(f"listen 127.0.0.1:{given.getsockname()[1]};\n" + REST)

            def hand_over():
                os.dup2(given.fileno(), 3)
                os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")

            done = subprocess.run(
                [BINARY, "check", "-c", os.path.join(self.folder, "gateway.conf")],
                capture_output=True, text=True, timeout=20, preexec_fn=hand_over, pass_fds=(3,), cwd=self.folder, env=None,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done)

    def test_what_systemd_keeps_is_a_warning(self):
        def call_me(name):
            with open("/proc/self/comm", "w") as file:
                file.write(name)

        with open("/proc/self/comm") as file:
            self.addCleanup(call_me, file.read().strip())
        with socket.socket() as kept:
            kept.bind(("127.0.0.1", 0))
            kept.listen()
            call_me("systemd")
            self.assert_warning(f"listen 127.0.0.1:{kept.getsockname()[1]};\n" + REST, "1:8", "systemd listens on it")

    def test_a_gateway_of_another_state_is_a_warning(self):
        gateway = self.simple(self.upstream())
        with open(gateway.file) as file:
            text = file.read()
        gateway.preamble = False
        gateway.write(text.replace("./state", "./elsewhere"))
        done = gateway.command("check", "-c", gateway.file)
        self.assertEqual(done.returncode, 0, done)
        for line, port in ((4, gateway.plain), (5, gateway.admin)):
            self.assertRegex(done.stderr, rf"conf:{line}:\d+: warning: 127.0.0.1:{port} is in use: a gateway that runs with another state")

    def test_what_a_reload_cannot_take_from_the_running_gateway(self):
        text = "upstream app { server 127.0.0.1:$app; }\ntenant acme { host acme.test; authenticate none; upstream app; }\n"
        gateway = self.gateway("listen 127.0.0.1:$tls;\n" + text, app=self.upstream())
        old = gateway.admin
        for values, words in (
            ({"admin": gateway.tls}, f"6:7: warning: the running gateway has 127.0.0.1:{gateway.tls}: a reload can't"),
            ({"plain": old, "admin": free_port()}, f"4:8: warning: the running gateway's admin listener has 127.0.0.1:{old}: a"),
        ):
            values = {"plain": gateway.plain, "admin": old, **values}
            with self.subTest(words):
                gateway.write(text.replace("upstream app", "\nupstream app", 1), **values)
                with open(gateway.file) as file:
                    changed = file.read().replace("admin ", "\nadmin ")
                path = os.path.join(gateway.folder, "changed.conf")
                with open(path, "w") as out:
                    out.write(changed)
                done = gateway.command("check", "-c", path)
                self.assertEqual(done.returncode, 0, done)
                self.assertIn("changed.conf:" + words, done.stderr)
                self.assertEqual(gateway.command("reload", "-c", gateway.file).returncode, 1)

    def test_a_process_id_that_is_left_over_is_nobodys(self):
        """Not even where a process has it by now, which may have our ports."""
        state = os.path.join(self.folder, "state")
        os.mkdir(state)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with open(os.path.join(state, "running"), "w") as out:
                out.write(f"{os.getpid()} 127.0.0.1:{free_port()}\n")
            self.assert_error(f"listen 127.0.0.1:{port};\n" + REST, "1:8", "another process listens on")

    def test_what_is_not_what_it_is_called(self):
        state = os.path.join(self.folder, "state")
        os.mkdir(state)
        for name, make in (
            ("meters", os.mkdir),
            ("meters", lambda path: self.fill(path, b"garbage")),
            ("meters", lambda path: self.fill(path, b"")),
            ("meters", lambda path: self.fill(path, b"x" * 100_000)),
            ("meters", lambda path: os.symlink("nowhere", path)),
            ("admin.token", os.mkdir),
        ):
            path = os.path.join(state, name)
            make(path)
            with self.subTest(name=name, kind=oct(os.lstat(path).st_mode)):
                self.assert_error(self.top(f"state {state};") + REST, "2:7", re.escape(path))
                gateway = self.gateway(f"state {state};\nlisten 127.0.0.1:{free_port()};\n" + REST, start=False)
                gateway.preamble = False
                gateway.write(f"state {state};\nlisten 127.0.0.1:{free_port()};\n" + REST)
                gateway.start(wait=False)
                self.assertEqual(gateway.wait(), 1)
                gateway.process = None
            os.rename(path, os.path.join(self.folder, os.urandom(4).hex()))

    def test_a_ledger_that_a_start_serves_without(self):
        """What is counted meanwhile waits in the meter table; nobody should begin like that."""
        state = os.path.join(self.folder, "state")
        os.mkdir(state)
        self.fill(os.path.join(state, "ledger"), b"")
        self.assert_error(self.top(f"state {state};") + REST, "2:7", "ledger can't be used: it is no folder")

    def fill(self, path, content):
        with open(path, "wb") as out:
            out.write(content)

    def test_links_to_nothing(self):
        os.symlink("none/a.log", os.path.join(self.folder, "a.log"))
        os.symlink("fresh.log", os.path.join(self.folder, "b.log"))
        os.symlink("nowhere", os.path.join(self.folder, "s"))
        self.fill(os.path.join(self.folder, "plain"), b"")
        self.assert_error(self.top("access_log a.log;") + REST, "2:12", r"none: No such file or directory")
        self.assert_error(self.top("access_log plain/a.log;") + REST, "2:12", r"plain: Not a directory")
        self.assertEqual(self.check(self.top("access_log b.log;") + REST)[0:2], (0, []))
        self.assert_error(self.top("state ./s;") + REST, "2:7", "is a link to .*nowhere, which is not there")

    def test_ports_of_the_running_gateway_are_its_own(self):
        gateway = self.simple(self.upstream())
        done = gateway.command("check", "-c", gateway.file)
        self.assertEqual(done.returncode, 0, done)
        state = os.path.join(gateway.folder, "state", "running")
        with open(state) as file:
            self.assertEqual(file.read(), f"{gateway.pid} 127.0.0.1:{gateway.admin}\n")
        gateway.stop()
        self.assertFalse(os.path.exists(state))

    def test_addresses_that_hold_each_other(self):
        """Both can listen, at a start and after a reload; the admin listener can't."""
        port = free_port()
        for first, second in (("*", "127.0.0.1"), ("127.0.0.1", "*")):
            text = f"listen {first}:{port};\nlisten {second}:{port};\n" + REST
            gateway = self.gateway(text)
            with RawClient(port) as client:
                self.assertEqual(client.request("GET", "/", "acme.test").status, 502)
            gateway.stop()
        gateway = self.gateway(f"listen *:{port};\n" + REST)
        gateway.write(f"listen *:{port}; listen 127.0.0.1:{port};\n" + REST)
        gateway.reload()
        gateway.stop()
        text = f"listen *:{port};\nadmin 127.0.0.1:{port};\n" + REST
        self.assert_error(text, "2:7", "admin listener can't have `127.0.0.1:.*gateway.conf:1")

    def test_a_key_that_has_expired(self):
        key = "key sha256:" + "a" * 64
        text = self.top() + REST.replace("authenticate none;", "authenticate api_key;\n%s expires=2020-01-01;" % key)
        self.assert_warning(text, "5:%d" % (len(key) + 2), "this key has expired")
        self.assertEqual(self.check(text.replace("2020", "2090"))[0:2], (0, []))

    def test_a_host_that_no_certificate_covers(self):
        certificate, key = self.leaf("acme.test", "*.acme.test")
        tls = f"listen 127.0.0.1:{free_port()} tls {{ certificate {certificate} {key}; }}\n"
        hosts = "acme.test x.acme.test *.acme.test 192.0.2.1 [2001:db8::1]"
        self.assertEqual(self.check(tls + REST.replace("acme.test", hosts))[0:2], (0, []))
        for host in ("other.test", "a.b.acme.test", "*.other.test"):
            self.assert_warning(tls + REST.replace("acme.test", "acme.test " + host), "3:30", f"no certificate covers `{re.escape(host)}`")
        # One that is shared, and one that only one of two listeners has.
        self.assert_warning(tls + "shared_host api.test;\n" + REST, "2:13", "no certificate covers `api.test`")
        port = free_port()
        other = f"listen 127.0.0.1:{port} tls {{ certificate %s %s; }}\n" % self.leaf("other.test")
        self.assert_warning(tls + other + REST, "4:20", f"no certificate of 127.0.0.1:{port} covers `acme.test`")

    def test_an_upstream_that_is_the_gateway(self):
        port, own = free_port(), socket.gethostname()
        for listen, server in (
            ("127.0.0.1", "127.0.0.1"), ("*", "127.0.0.1"), ("*", "[::1]"), ("127.0.0.1", "localhost"), ("127.0.0.1", "0.0.0.0"),
            ("*", "0.0.0.0"), ("*", "[::]"), ("*", "[::ffff:127.0.0.1]"), ("*", own), ("[::]", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"),
            ("*", self.own_address()), ("[::1]", "localhost"),
        ):  # fmt: skip
            with self.subTest(listen=listen, server=server):
                text = f"listen {listen}:{port};\n" + REST.replace("127.0.0.1:9", f"{server}:{port}")
                self.assert_warning(text, "2:23", "this server is the gateway itself.*gateway.conf:1")
        for listen, server in (
            ("127.0.0.2", "localhost"), ("127.0.0.1", "127.0.0.2"), ("0.0.0.0", "[::1]"), ("*", "192.0.2.99"), ("127.0.0.1", "[::]"),
        ):  # fmt: skip
            with self.subTest(listen=listen, server=server):
                text = f"listen {listen}:{port};\n" + REST.replace("127.0.0.1:9", f"{server}:{port}")
                self.assertEqual(self.check(text)[0:2], (0, []))
        # Another port is another server's.
        self.assertEqual(self.check(f"listen *:{port};\n" + REST.replace("127.0.0.1:9", f"{own}:{free_port()}"))[0:2], (0, []))

    def own_address(self):
        """One of this machine that is no loopback's; loopback's where there is none."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            try:
                # Nothing is sent.
                route.connect(("192.0.2.1", 9))
            except OSError:
                return "127.0.0.1"
            return route.getsockname()[0]

    def test_an_upstream_that_nobody_uses(self):
        self.assert_warning(self.top("upstream spare { server 127.0.0.1:8; }") + REST, "2:10", "`spare` is used by no tenant")

    def test_a_health_check_that_takes_longer_than_its_interval(self):
        text = self.top() + REST.replace("9; }", "9;\nhealth_check / interval=1s timeout=2s; }")
        self.assert_warning(text, "4:28", "may take 2s .* after 1s")

    def test_a_start_goes_on_without_a_log_and_says_so_at_its_place(self):
        gateway = self.simple(self.upstream(), start=False)
        gateway.preamble = False
        with open(gateway.file) as file:
            text = file.read()
        gateway.write(text.replace("./access.log", "./none/access.log"))
        gateway.start()
        self.assertRegex(gateway.stderr, r"gateway\.conf:6:12: warning: .*none/access.log can't be made")
        with RawClient(gateway.plain) as client:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
