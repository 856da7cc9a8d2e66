"""Light, steady traffic from threads: how many requests failed, and how long they took."""

import threading
import time

from .client import RawClient


class Load:
    """Sends GETs over `connections` kept connections (each over a new one when `fresh`) until stopped.

    A connection that the gateway closed in the orderly way, saying so in the answer before, is opened again; everything
    else that is not a 200 is a failure.
    """

    def __init__(
        self, port, host="acme.test", connections=4, target="/", pause=0.0, expect=200, fresh=False, **options
    ):
        self.port, self.host, self.target, self.pause, self.expect = port, host, target, pause, expect
        self.options, self.fresh = options, fresh
        self.failures, self.latencies = [], []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]

    @property
    def count(self):
        return len(self.latencies)

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _run(self):
        client = None
        while not self._stop.is_set():
            try:
                if client is None:
                    client = RawClient(self.port, **self.options)
                began = time.monotonic()
                response = client.request("GET", self.target, self.host)
                took = time.monotonic() - began
                with self._lock:
                    self.latencies.append(took)
                    if response.status != self.expect:
                        self.failures.append(repr(response))
                if self.fresh or not response.keeps_alive:
                    client.close()
                    client = None
            except Exception as error:
                with self._lock:
                    self.failures.append(repr(error))
                if client:
                    client.close()
                client = None
                if len(self.failures) > 50:
                    return
            if self.pause:
                self._stop.wait(self.pause)
        if client:
            client.close()

    def percentile(self, share):
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
