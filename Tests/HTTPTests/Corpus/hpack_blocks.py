"""Writes hpack.txt: blocks as another implementation encodes them (hpack 4.0 of PyPI), and what they say. Run it here."""
import random

import hpack

NAMES = [":method", ":path", ":status", "accept", "cookie", "content-length", "x-a", "x-request-id", "set-cookie", "etag", "x-" + "n" * 40]
VALUES = ["GET", "/", "/index.html", "200", "404", "", "a", "\t~", "x=1; y=2", "0123456789", "\xe9\xff\x80", "v" * 130, "W/\"%s\"" % ("é" * 9)]


def connection(chance):
    encoder = hpack.Encoder()
    for _ in range(chance.randrange(3, 12)):
        if chance.random() < 0.3:
            encoder.header_table_size = chance.choice([0, 40, 100, 256, 1000, 4096])
        fields = []
        for _ in range(chance.randrange(0, 9)):
            value = chance.choice(VALUES) if chance.random() < 0.7 else str(chance.randrange(10**9))
            name, value = chance.choice(NAMES).encode("latin-1"), value.encode("latin-1")
            never = chance.random() < 0.1
            fields.append(hpack.NeverIndexedHeaderTuple(name, value) if never else (name, value))
        block = encoder.encode(fields, huffman=chance.random() < 0.6)
        said = ",".join(part.hex() for field in fields for part in field)
        print(block.hex() or "-", said or "-", file=out)
    print(file=out)


with open("hpack.txt", "w") as out:
    print("# Blocks of one connection after the other, and their names and values, all in hex. Written by hpack_blocks.py.", file=out)
    for seed in range(25):
        connection(random.Random(seed))
