"""The messages of the parser's own tests: `name | status or ok | reason | bytes`, a case a line."""

import os
import re

from .gateway import REPOSITORY

FOLDER = os.path.join(REPOSITORY, "Tests", "HTTPTests", "Corpus")
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([rnt0\\{}|]))|\{([0-9]+)\*((?:\\.|[^}])*)\}", re.DOTALL)
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b"{": b"{", b"}": b"}", b"|": b"|"}


class Case:
    def __init__(self, name, expected, reason, data, method):
        self.name, self.expected, self.reason, self.data, self.method = name, expected, reason, data, method
        self.status = int(expected) if expected.isdigit() else None

    def __repr__(self):
        return f"{self.name} ({self.reason})"


def unescape(text):
    def one(found):
        if found.group(1):
            return bytes([int(found.group(1), 16)])
        if found.group(2):
            return PLAIN[found.group(2)]
        return unescape(found.group(4)) * int(found.group(3))

    return ESCAPE.sub(one, text)


def read(name):
    """The cases of a file. Answers have one column more: the method that they answer."""
    answers = name == "responses.txt"
    cases = []
    with open(os.path.join(FOLDER, name), "rb") as file:
        for line in file.read().split(b"\n"):
            if not line.strip() or line.startswith(b"#"):
                continue
            name, expected, reason, *method, data = line.split(b"|", 4 if answers else 3)
            words = [word.strip().decode() for word in (name, expected, reason)]
            cases.append(
                Case(*words, unescape(data.removeprefix(b" ")), method[0].strip().decode() if method else None)
            )
    return cases
