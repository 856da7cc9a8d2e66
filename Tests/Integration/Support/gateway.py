"""The gateway as a process of its own: configured, started, watched, reloaded, stopped."""

import ctypes
import http.client
import json
import os
import re
import signal
import string
import subprocess
import time

from . import exposition
from .client import until
from .ports import free_port

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BINARY = os.path.abspath(os.environ.get("GATEWAY") or os.path.join(REPOSITORY, ".build", "release", "gateway"))

CRASH = re.compile(
    r"fatal error|crash|segmentation|illegal instruction|precondition|assertion failed|sanitizer|"
    r"backtrace|uncaught|double free|corrupt",
    re.IGNORECASE,
)

PREAMBLE = """\
workers $workers;
state ./state;
shutdown_timeout 3s;
listen 127.0.0.1:$plain;
admin 127.0.0.1:$admin;
access_log ./access.log;
"""

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    """In a child: die when the process that started us dies, whatever the reason."""
    _libc.prctl(1, signal.SIGKILL)


class Gateway:
    """`configuration` is gateway.conf with `$name` for the values given; `$plain`, `$tls`, `$admin` are free ports."""

    def __init__(self, folder, configuration, preamble=True, workers=2, **values):
        self.folder = folder
        self.values = {
            "workers": workers,
            "plain": free_port(),
            "tls": free_port(),
            "admin": free_port(),
            "folder": folder,
            **values,
        }
        self.preamble = preamble
        self.file = os.path.join(folder, "gateway.conf")
        self.process = None
        self.write(configuration)

    plain = property(lambda self: self.values["plain"])
    tls = property(lambda self: self.values["tls"])
    admin = property(lambda self: self.values["admin"])
    pid = property(lambda self: self.process.pid)

    def write(self, configuration, **values):
        """Writes gateway.conf, as one that edits a running gateway's file."""
        self.values.update(values)
        text = string.Template((PREAMBLE if self.preamble else "") + configuration).substitute(self.values)
        # All at once: a reload that is under way reads the file whole, before or after.
        with open(self.file + ".new", "w") as out:
            out.write(text)
        os.replace(self.file + ".new", self.file)

    # --- the process

    def start(self, wait=True, within=10, arguments=None, environment=None, program=BINARY, stdout=None):
        self._out = open(os.path.join(self.folder, "stdout"), "ab")
        self._err = open(os.path.join(self.folder, "stderr"), "ab")
        self.process = subprocess.Popen(
            [program] + (arguments or ["run", "-c", self.file]),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._out if stdout is None else stdout,
            stderr=self._err,
            start_new_session=True,
            preexec_fn=end_with_parent,
            env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **(environment or {})},
        )
        if wait:
            self.wait_ready(within)
        return self

    def wait_ready(self, within=10):
        deadline = time.monotonic() + within
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.stderr}{self.stdout}")
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"the gateway was not ready within {within} s:\n{self.stderr}{self.stdout}")
            time.sleep(0.005)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait(self, within=10):
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the gateway did not end within {within} s") from None

    def stop(self, within=10):
        """TERM; it must end by itself, with 0, and have said nothing that looks like a crash."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            status = self.wait(within)
        finally:
            self.kill()
        self.assert_sound(status)

    def assert_sound(self, status=0):
        if status != 0:
            raise AssertionError(f"the gateway ended with {status}:\n{self.stderr}")
        if found := CRASH.search(self.stderr):
            raise AssertionError(f"{found.group()!r} on stderr:\n{self.stderr}")

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(10)
            self._out.close()
            self._err.close()

    def _read(self, name):
        try:
            with open(os.path.join(self.folder, name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    stdout = property(lambda self: self._read("stdout"))
    stderr = property(lambda self: self._read("stderr"))

    # --- the command line

    def command(self, *arguments, within=20, environment=None):
        """Runs `gateway ARGUMENTS` in the folder of the configuration."""
        return command(*arguments, cwd=self.folder, within=within, environment=environment)

    def reload(self):
        """`gateway reload`; fails when it was rejected. Gives what it printed."""
        done = self.command("reload", "-c", self.file)
        if done.returncode != 0:
            raise AssertionError(f"reload was rejected ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done.stdout

    def reload_by_signal(self, within=10):
        """HUP, then waits until the reload was counted."""
        count = self.reloads()
        self.signal(signal.SIGHUP)
        until(lambda: self.reloads() > count, "a reload after HUP", within)

    def reloads(self):
        return sum(value for _, value in self.metrics().samples("gateway_config_reloads_total"))

    # --- the admin listener

    def call(self, method, path, headers=None, token=True, body=None):
        """(status, headers, body) from the admin listener; /v1 is asked with the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=20)
        try:
            headers = dict(headers or {})
            if token and path.startswith("/v1"):
                headers["Authorization"] = "Bearer " + self.token
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path, **options):
        status, _, body = self.call("GET", path, **options)
        return status, body

    def json(self, path, method="GET", expect=200):
        status, _, body = self.call(method, path)
        if status != expect:
            raise AssertionError(f"{method} {path}: {status} {body!r}")
        return json.loads(body)

    @property
    def token(self):
        with open(os.path.join(self.folder, "state", "admin.token")) as file:
            return file.read().strip()

    def metrics(self):
        """The figures of now, read strictly."""
        status, body = self.get("/metrics")
        if status != 200:
            raise AssertionError(f"/metrics: {status}")
        return exposition.parse(body.decode())

    # --- the access log

    def log_lines(self, name="access.log"):
        """Every whole line of the access log, as objects."""
        text = self._read(name)
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def log_line(self, matches, within=5, name="access.log"):
        """Waits for a line that matches."""
        return until(
            lambda: next((line for line in self.log_lines(name) if matches(line)), None),
            "a line in the access log",
            within,
        )

    # --- what it uses

    @property
    def resident(self):
        """Resident memory in bytes, without file pages that are merely mapped."""
        return self._memory("RssAnon")

    @property
    def peak(self):
        """The most memory in bytes that was ever resident, with file pages."""
        return self._memory("VmHWM")

    def _memory(self, name):
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")

    @property
    def cpu(self):
        """Seconds of CPU used so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def command(*arguments, cwd=None, within=20, environment=None):
    """Runs the gateway's command line and gives the finished process with its output as text."""
    return subprocess.run(
        [BINARY, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=within,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **(environment or {})},
    )
