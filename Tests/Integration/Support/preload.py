"""Parts of the C library that a test takes the place of in a gateway of its own: the names' resolver, the clock."""

import os
import struct
import subprocess
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))


def compiled(name, folder):
    """The library made of NAME.c, to be preloaded."""
    library = os.path.join(folder, name + ".so")
    source = os.path.join(HERE, name + ".c")
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return library


def environment(*parts):
    """What a process needs in its environment to live with these."""
    together = {"LD_PRELOAD": ":".join(part.library for part in parts)}
    for part in parts:
        together.update(part.variables)
    return together


class Names:
    """How look-ups go: after `tell("*.test 200 300 10 127.0.0.1")` each lasts 200 to 300 ms, and 10 % of them fail."""

    def __init__(self, folder, *lines, seed=0):
        self.library = compiled("slow_names", folder)
        self.file = os.path.join(folder, "names")
        self.variables = {"NAMES": self.file, "NAMES_SEED": str(seed)}
        self.tell(*lines)

    def tell(self, *lines):
        """From the next look-up on. The file changes all at once: no look-up reads half of it."""
        with open(self.file + ".new", "w") as out:
            out.writelines(line + "\n" for line in lines)
        os.rename(self.file + ".new", self.file)


class Clock:
    """Moves the monotonic clock on. Its file tells how far, and when that was last: nanoseconds, by the true clock."""

    def __init__(self, folder):
        self.library = compiled("later_clock", folder)
        self.file = os.path.join(folder, "later")
        self.variables = {"LATER": self.file}
        self.later = 0
        with open(self.file, "wb") as out:
            out.write(bytes(16))

    def move(self, seconds):
        self.later += seconds
        with open(self.file, "r+b") as out:
            out.write(struct.pack("qq", self.later, time.monotonic_ns()))


class WallClock:
    """Sets the wall clock forward or back, all at once; the monotonic clock goes on."""

    def __init__(self, folder, seconds=0):
        self.library = compiled("set_clock", folder)
        self.file = os.path.join(folder, "set")
        self.variables = {"SET": self.file}
        with open(self.file, "wb") as out:
            out.write(bytes(8))
        self.set(seconds)

    def set(self, seconds):
        """So many seconds from the true time."""
        self.seconds = seconds
        with open(self.file, "r+b") as out:
            out.write(struct.pack("q", round(seconds * 1_000_000_000)))

    def time(self):
        return time.time() + self.seconds


class Machine:
    """A machine with both clocks in the test's hands, that boots when it is told to, and whose disk stalls."""

    def __init__(self, folder, at):
        """`at`: the time of day, in seconds since 1970."""
        self.library = compiled("machine", folder)
        self.file = os.path.join(folder, "machine")
        self.boot_id = os.path.join(folder, "boot")
        self.stall = os.path.join(folder, "stall")
        self.variables = {"MACHINE": self.file, "BOOT": self.boot_id, "STALL": self.stall}
        with open(self.file, "wb") as out:
            out.write(bytes(16))
        self.added, self.later = at - time.time(), 0
        self.tell()
        self.boot()

    def tell(self):
        with open(self.file, "r+b") as out:
            out.write(struct.pack("qq", round(self.added * 1_000_000_000), self.later))

    def boot(self):
        """The gateway must not run. Its monotonic clock goes on, which tells a boot from nothing else."""
        with open(self.boot_id, "w") as out:
            out.write(str(uuid.uuid4()) + "\n")

    def set(self, seconds):
        """The wall clock, forward or back."""
        self.added += seconds
        self.tell()

    def go_on(self, seconds):
        """So much time goes by, by both clocks."""
        self.added, self.later = self.added + seconds, self.later + seconds
        self.tell()

    def time(self):
        return time.time() + self.added
