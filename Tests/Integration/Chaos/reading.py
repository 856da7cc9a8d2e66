"""HTTP/1 read strictly from an asyncio stream, as both sides of a gateway need it."""

FRAMING = ("content-length", "transfer-encoding")


class Malformed(Exception):
    """Bytes that are not HTTP/1 as it should be written."""


async def head(reader):
    """(start line, fields by lower-case name)"""
    block = await reader.readuntil(b"\r\n\r\n")
    start, *lines = block[:-4].decode("latin-1").split("\r\n")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name in fields and name in (*FRAMING, "x-token", "x-tenant", "x-tenant-id"):
            raise Malformed(f"{line!r} in {block[:500]!r}")
        fields[name] = value.strip()
    if all(name in fields for name in FRAMING):
        raise Malformed(f"two framings in {block[:500]!r}")
    return start, fields


async def body(reader, fields, to_end=False):
    """The body that the fields announce; without any, none, or what comes until the end."""
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    return await reader.read() if to_end else b""


async def _chunks(reader):
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("a chunk without an end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)


def chunks(data, sizes):
    """The data as a chunked body, without the last chunk."""
    out, at = [], 0
    while at < len(data):
        part = data[at : at + next(sizes)]
        out.append(b"%x\r\n%b\r\n" % (len(part), part))
        at += len(part)
    return b"".join(out)
