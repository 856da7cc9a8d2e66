"""What a request tells of itself, so that everybody who sees it or its answer can say whose it is."""

import hashlib


def said(tenant, token, size):
    """The bytes that only this request's answer has: no part of them looks like another's, or like another part."""
    head = f"{tenant} {token} ".encode()
    return (head + hashlib.shake_128(head).digest(size))[:size]


# Bytes of tunnels whose size no request names.
FLOOD, OVERRUN = 300_000, 1_600_000


def told_in_tunnel(tenant, token, fate, size):
    """What the upstream says in a tunnel, beside what it echoes."""
    return said(tenant, token, {"flood": FLOOD, "overruns": OVERRUN}.get(fate, size))


def asked(tenant, token, size):
    """The same for its body."""
    return said(f"{tenant} asks", token, size)


def is_denied(token):
    """Whether the service that decides says no to it."""
    return token.endswith(("7", "a")) and not token.startswith("last-")


def denied(tenant, token):
    """What it says then."""
    return f"not {tenant}'s {token}".encode()


def target(route, fate, tenant, token, size):
    return f"/{route}/{fate}/{tenant}/{token}/{size}"


def told(target):
    """(route, fate, tenant, token, size) of a target; ValueError when it is none of ours."""
    empty, route, fate, tenant, token, size = target.split("/")
    if empty:
        raise ValueError(target)
    return route, fate, tenant, token, int(size)


# How an upstream answers: well, ...
GOOD = ("length", "chunked_whole", "close", "slow", "drip", "interim")
# ... without a body, ...
EMPTY = ("no_content", "not_modified")
# ... with what is no answer, or not the whole of it, ...
BAD = (
    "close_at_once", "reset_at_once", "close_amid_request", "no_answer", "reset_instead", "half_head", "half_body",
    "half_body_reset", "half_chunks", "garbage", "bad_chunks", "two_lengths", "two_framings", "storm", "unasked_switch",
)  # fmt: skip
# ... with more than that, which is nobody's (at once, or when the connection may carry the next request by now), ...
MORE = ("extra",)
LOOSE = ("late_extra",)
# ... before it has heard everything, ...
EARLY = ("early", "early_close", "early_reset")
# ... not at all, or not to the end, ...
SILENT = ("silent", "stalled")
# ... with the end of a connection that many share, ...
STORMS = (
    "refuses_to_go_on", "goes_with_an_error", "says_goodbye_and_is_gone", "cut", "torn", "nonsense", "too_large_a_frame", "bad_block",
    "more_behind_the_end", "another_stream", "endless_windows", "overruns", "deaf",
)  # fmt: skip
# ... or with a tunnel.
TUNNELS = ("echo", "flood", "switch_and_close", "switch_and_reset", "switch_and_half_close", "no_switch")
