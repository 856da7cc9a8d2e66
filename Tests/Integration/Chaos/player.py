"""What the processes of a run have in common: a plan they are given, and lines in which they report."""

import asyncio
import collections
import json
import socket
import struct
import sys

counts = collections.Counter()

# What is no wonder when the gateway itself has ended.
UNANSWERED = "ended without an answer"
BROKEN_OFF = "broke off"


def plan():
    return json.loads(sys.argv[1])


def _say(**line):
    print(json.dumps(line), flush=True)


def wrong(what):
    """Something that must not be."""
    _say(wrong=what[:1500])


async def report(every=0.5):
    while True:
        _say(counts=counts)
        await asyncio.sleep(every)


def last_report():
    _say(counts=counts)


def reset(writer):
    """Ends a connection with a TCP reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None:  # the other side has not ended it before
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
