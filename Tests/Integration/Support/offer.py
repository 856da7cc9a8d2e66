"""Requests at a steady rate over many connections, from processes of their own: what is offered does not wait for what
is answered, but on the connection that it came over."""

import json
import os
import selectors
import socket
import sys
import time
from subprocess import PIPE, Popen


class Offer:
    """`plan` is a list of (host, requests a second, connections). Runs for `seconds` in `processes` processes."""

    def __init__(self, port, plan, seconds, processes=2):
        self.seconds, self.began = seconds, time.monotonic()
        self._children = []
        for number in range(processes):
            mine = [[host, rate / connections, connections // processes] for host, rate, connections in plan]
            child = Popen([sys.executable, os.path.abspath(__file__)], stdin=PIPE, stdout=PIPE, text=True)
            json.dump({"port": port, "plan": mine, "seconds": seconds}, child.stdin)
            child.stdin.close()
            self._children.append(child)

    def stop(self):
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.stdout.close()
            child.wait()

    def wait(self):
        """By host: sent, statuses, and on this machine's monotonic clock when the first was sent and was answered."""
        hosts = {}
        for child in self._children:
            for host, one in json.load(child.stdout).items():
                known = hosts.setdefault(host, {"sent": 0, "statuses": {}, "first_sent": 1e99, "first_answer": 1e99})
                known["sent"] += one["sent"]
                for status, count in one["statuses"].items():
                    known["statuses"][int(status)] = known["statuses"].get(int(status), 0) + count
                for name in ("first_sent", "first_answer"):
                    known[name] = min(known[name], one[name])
            child.wait()
        return hosts


class Connection:
    def __init__(self, port, host, pause, tally):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.pause, self.tally = pause, tally
        self.due, self.waits = 0.0, False

    def send(self, now):
        if not self.tally["sent"]:
            self.tally["first_sent"] = time.monotonic()
        self.tally["sent"] += 1
        self.socket.sendall(self.request)
        self.waits = True
        # A late one does not make those after it come faster than they should.
        self.due = max(self.due + self.pause, now)

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the gateway ended the connection")
        # Answers here are small: each comes whole.
        if self.tally["first_answer"] > 1e98:
            self.tally["first_answer"] = time.monotonic()
        status = data[9:12].decode()
        self.tally["statuses"][status] = self.tally["statuses"].get(status, 0) + 1
        self.waits = False


def main():
    order = json.load(sys.stdin)
    poll, hosts, all_of_them = selectors.EpollSelector(), {}, []
    for host, rate, count in order["plan"]:
        tally = hosts[host] = {"sent": 0, "statuses": {}, "first_sent": 1e99, "first_answer": 1e99}
        all_of_them += [Connection(order["port"], host, 1 / rate, tally) for _ in range(count)]
    for one in all_of_them:
        poll.register(one.socket, selectors.EVENT_READ, one)
    began = time.monotonic()
    for number, one in enumerate(all_of_them):
        one.due = began + one.pause * number / len(all_of_them)
    end = began + order["seconds"]
    while (now := time.monotonic()) < end:
        for one in all_of_them:
            if one.due <= now and not one.waits:
                one.send(now)
        for key, _ in poll.select(0.001):
            key.data.receive()
    json.dump(hosts, sys.stdout)


if __name__ == "__main__":
    main()
