"""Writes what a fuzzer begins with as seed files, mostly from the corpora of other tests: seeds.py NAME FOLDER."""
import pathlib
import re
import sys

name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
corpora = pathlib.Path(__file__).parent.parent / "HTTPTests" / "Corpus"
SINGLE = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def unescape(text):
    text = re.sub(r"\{(\d+)\*([^}]*)\}", lambda m: m[2] * min(int(m[1]), 200), text)
    one = lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else SINGLE[m[1]]
    return re.sub(r"\\(x..|.)", one, text).encode("latin-1")


file, column = {"request": ("requests", 3), "response": ("responses", 4), "chunked": ("chunked", 3)}.get(name, (None, 0))
if name == "path":
    seeds = [b"/a/b", b"/a/../b", b"/%2e%2E/x", b"/a//b", b"/a%2fb/..", b"/a\\..\\b", b"/..;/a", b"/%7Euser/.", b"*"]
elif name == "json":
    seeds = [b'{"a":[1,-2.5e1,true,false,null,{}],"\\ud83d\\ude00":"\xc3\xa9"}', b"[[[0]]]", b'"x"', b"-0.0e+7"]
elif name == "proxy":
    first = [b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", b"PROXY UNKNOWN\r\n"]
    second = lambda command, family, body: b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + len(body).to_bytes(2, "big") + body
    seeds = first + [second(0x21, 0x11, bytes(12)), second(0x21, 0x21, bytes(36) + b"\4\0\1x"), second(0x20, 0, b"")]
elif name == "token":
    header, claims = b'{"alg":"ES256","kid":"k","typ":"at+jwt"}', b'{"iss":"i","aud":["a"],"exp":1.5e9,"sub":"\\u00e9"}'
    seeds = [b"\1" + bytes([(len(header) - 256) % (len(header + claims) + 1)]) + header + claims, b"\0\0eyJhbGciOiJFUzI1NiJ9.e30.AAAA"]
elif name == "configuration":
    cases = corpora.parent.parent / "ConfigurationTests" / "Cases"
    seeds = [b"\0\0" + path.read_bytes()[:4000] for path in sorted(cases.iterdir())]
    seeds += [b"\0\0" + part.encode() + b"}" for part in (cases / "contract.conf").read_text().split("\n}")]
elif name in ("h2", "hpack"):
    # Field blocks: of a request and an answer, with tables, Huffman's code and lies. And frames with them, on both sides.
    literal = lambda *pairs: b"".join(b"\x40" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in pairs)
    request = b"\x82\x87\x84" + literal((b":authority", b"a.test"), (b"cookie", b"a=1"), (b"content-length", b"5"))
    answer = b"\x88" + literal((b"content-length", b"5"), (b"x-y", b"z"))
    blocks = [request, request + b"\xbe\xbf\xc0", answer, b"\x20" + answer, b"\x3f\xe1\x1f\x48\x82\x64\x02",
              b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", literal((b":status", b"103"), (b"link", b"x")),
              b"\x87\x84" + literal((b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":authority", b"a.test"))]
    frame = lambda kind, flags, stream, payload=b"": len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    start = frame(4, 0, 0, b"\0\4\0\0\0\x0a") + frame(4, 1, 0)
    others = [frame(0, 1, 1, b"hello"), frame(0, 9, 1, b"\3hello\0\0\0"), frame(2, 0, 3, bytes(5)), frame(3, 0, 1, bytes(4)), frame(6, 0, 0, b"gateway "),
              frame(7, 0, 0, bytes(8)), frame(8, 0, 0, b"\0\0\1\0"), frame(8, 0, 1, b"\0\0\1\0"), frame(0x10, 0, 0, b"\0\0\0\1u=1, i"),
              frame(1, 5, 1, literal((b"x-sum", b"1"))), frame(5, 4, 1, b"\0\0\0\2\x82")]
    heads = [frame(1, flags, stream, block) for block in blocks for flags, stream in ((4, 1), (5, 3))]
    split = frame(1, 0, 1, request[:5]) + frame(9, 0, 1, request[5:9]) + frame(9, 4, 1, request[9:])
    flows = [head + other + others[(place + 3) % len(others)] for place, head in enumerate(heads + [split]) for other in others]
    seeds = [bytes([side, 9]) + start + flow for side in (0, 0x40, 0x80) for flow in flows] if name == "h2" else [b"\0\x05" + b for b in blocks]
else:
    lines = (corpora / f"{file}.txt").read_text(encoding="utf-8").splitlines()
    # The first two bytes choose where the input is cut.
    seeds = [b"\0\x08" + unescape(line.split(" | ", column)[column]) for line in lines if line and line[0] != "#"]
for number, seed in enumerate(seeds):
    (folder / f"seed-{number}").write_bytes(seed)
