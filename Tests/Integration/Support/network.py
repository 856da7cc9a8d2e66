"""A network between the gateway and a server that can be cut: a pair of virtual interfaces, the far one in a namespace of its own.

While it is cut nothing arrives and nobody is told: each side sends to a neighbour that is not there."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = "02:00:00:00:00:99"

SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from Support.upstream import ScriptedUpstream, answer, text
server = ScriptedUpstream(answer(text(sys.argv[3])), host=sys.argv[2], record=False)
print(server.port, flush=True)
sys.stdin.read()
"""


def run(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True).stdout


class Network:
    """Raises `OSError` where this machine has no such thing."""

    def __init__(self):
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise OSError("needs root and `ip`")
        mark = os.getpid() % 60000
        self.name, self.near, self.far = f"gw{mark}", f"gwn{mark}", f"gwf{mark}"
        # Of a block for tests between networks (RFC 2544).
        block = f"198.18.{mark % 250}"
        self.here, self.there = f"{block}.1", f"{block}.2"
        self._children = []
        try:
            run("ip", "netns", "add", self.name)
            run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
            run("ip", "addr", "add", f"{self.here}/30", "dev", self.near)
            run("ip", "link", "set", self.near, "up")
            self._inside("ip", "addr", "add", f"{self.there}/30", "dev", self.far)
            self._inside("ip", "link", "set", self.far, "up")
        except subprocess.CalledProcessError as error:
            self.close()
            raise OSError(error.stderr.strip()) from error

    def _inside(self, *words):
        return run("ip", "netns", "exec", self.name, *words)

    def server(self, body):
        """A server on the other side that answers so: its port."""
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.name, sys.executable, "-c", SERVER, os.path.dirname(HERE), self.there, body],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        self._children.append(child)
        return int(child.stdout.readline())

    def cut(self):
        run("ip", "neigh", "replace", self.there, "lladdr", NOBODY, "dev", self.near, "nud", "permanent")
        self._inside("ip", "neigh", "replace", self.here, "lladdr", NOBODY, "dev", self.far, "nud", "permanent")

    def mend(self):
        run("ip", "neigh", "del", self.there, "dev", self.near)
        self._inside("ip", "neigh", "del", self.here, "dev", self.far)

    def close(self):
        for child in self._children:
            child.stdin.close()
            child.stdout.close()
            child.kill()
            child.wait()
        run("ip", "link", "del", self.near, check=False)
        run("ip", "netns", "del", self.name, check=False)
