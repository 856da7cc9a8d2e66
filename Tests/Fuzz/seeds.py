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
elif name == "token":
    header, claims = b'{"alg":"ES256","kid":"k","typ":"at+jwt"}', b'{"iss":"i","aud":["a"],"exp":1.5e9,"sub":"\\u00e9"}'
    seeds = [b"\1" + bytes([(len(header) - 256) % (len(header + claims) + 1)]) + header + claims, b"\0\0eyJhbGciOiJFUzI1NiJ9.e30.AAAA"]
elif name == "configuration":
    cases = corpora.parent.parent / "ConfigurationTests" / "Cases"
    seeds = [b"\0\0" + path.read_bytes()[:4000] for path in sorted(cases.iterdir())]
    seeds += [b"\0\0" + part.encode() + b"}" for part in (cases / "contract.conf").read_text().split("\n}")]
else:
    lines = (corpora / f"{file}.txt").read_text(encoding="utf-8").splitlines()
    # The first two bytes choose where the input is cut.
    seeds = [b"\0\x08" + unescape(line.split(" | ", column)[column]) for line in lines if line and line[0] != "#"]
for number, seed in enumerate(seeds):
    (folder / f"seed-{number}").write_bytes(seed)
