"""Free loopback ports, below the range that outgoing connections take theirs from."""

import random
import socket
import threading

_lock = threading.Lock()
_next = random.Random().randrange(12000, 30000)


def free_port():
    """A port that nobody listens on now, and that no outgoing connection will be given."""
    global _next
    with _lock:
        for _ in range(2000):
            _next = _next + 1 if _next < 31000 else 12000
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", _next))
                except OSError:
                    continue
                return _next
    raise RuntimeError("no free port")
