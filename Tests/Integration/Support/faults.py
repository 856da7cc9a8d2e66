"""Failures of system calls on demand: what `faults.c` is told, and what it tells."""

import errno
import mmap
import os
import re
import shutil
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "faults.c")

SHORT = 1000
ALWAYS = 1 << 30

# What each call plausibly fails with. Short ones move fewer bytes than they were given.
ERRORS = {
    "accept4": "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EINTR EPERM",
    "access": "EACCES EIO ENOMEM",
    "bind": "EADDRINUSE EACCES ENOMEM",
    "close": "EIO EINTR ENOSPC EDQUOT",
    "connect": "ECONNREFUSED ENETUNREACH EADDRNOTAVAIL EAGAIN ENOBUFS EPERM",
    "epoll_create1": "EMFILE ENFILE ENOMEM",
    "epoll_ctl": "ENOSPC ENOMEM",
    "epoll_wait": "EINTR",
    "eventfd": "EMFILE ENFILE ENODEV ENOMEM",
    "fchmod": "EPERM EIO EROFS",
    "fcntl": "ENOLCK EINTR EMFILE EIO",
    "fdatasync": "EIO ENOSPC EDQUOT EINTR",
    "flock": "ENOLCK EINTR EWOULDBLOCK",
    "fopen": "EMFILE EIO ENOMEM EACCES",
    "fopen64": "EMFILE EIO ENOMEM EACCES",
    "fstat": "EIO ENOMEM EOVERFLOW",
    "fsync": "EIO ENOSPC EDQUOT",
    "ftruncate": "EIO EINTR EFBIG EROFS",
    "getcwd": "ENOENT EACCES ENOMEM",
    "gethostname": "ENAMETOOLONG",
    "getifaddrs": "EMFILE ENOBUFS ENOMEM",
    "getrlimit": "EFAULT",
    "getsockname": "ENOBUFS",
    "getsockopt": "ENOBUFS ENOMEM",
    "ioctl": "ENOTTY EIO",
    "link": "ENOSPC EDQUOT EIO EROFS EPERM",
    "listen": "EADDRINUSE EOPNOTSUPP",
    "lstat": "EACCES EIO ENOMEM",
    "mkdir": "ENOSPC EDQUOT EACCES EROFS",
    "mmap": "ENOMEM EAGAIN ENODEV",
    "msync": "EIO ENOMEM",
    "munmap": "EINVAL ENOMEM",
    "open": "EMFILE ENFILE ENOSPC EDQUOT EACCES EIO EROFS EINTR ENOMEM",
    "opendir": "EMFILE ENFILE EACCES ENOMEM",
    "pipe2": "EMFILE ENFILE",
    "poll": "EINTR ENOMEM EINVAL",
    "posix_fallocate": "ENOSPC EFBIG EIO EINTR EDQUOT",
    "posix_spawn": "EAGAIN ENOMEM ENOENT",
    "posix_spawnp": "EAGAIN ENOMEM ENOENT",
    "prctl": "EINVAL",
    "pread": "EIO EINTR SHORT",
    "pthread_create": "EAGAIN EPERM",
    "pthread_sigmask": "EINVAL",
    "pwrite": "ENOSPC EDQUOT EIO EFBIG EINTR SHORT",
    "read": "EIO EINTR EAGAIN SHORT",
    "readdir": "EIO ENOENT",
    "readlink": "EACCES EIO",
    "recv": "ECONNRESET EAGAIN EINTR ENOMEM ETIMEDOUT SHORT",
    "recvmsg": "ECONNRESET EAGAIN EINTR ENOMEM",
    "rename": "ENOSPC EDQUOT EIO EACCES",
    "say": "EPIPE EAGAIN ENOSPC EIO EINTR SHORT",
    "send": "ECONNRESET EPIPE EAGAIN ENOBUFS ENOMEM EINTR SHORT",
    "sendmsg": "EPIPE EAGAIN ENOBUFS ENOMEM EINTR",
    "sendto": "ECONNREFUSED ENOENT EAGAIN",
    "setpriority": "EACCES EPERM",
    "setrlimit": "EPERM",
    "setsockopt": "ENOBUFS ENOMEM EINVAL ENOPROTOOPT",
    "shutdown": "ENOTCONN ENOBUFS",
    "sigaction": "EINVAL",
    "signalfd": "EMFILE ENFILE ENOMEM ENODEV",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM EAFNOSUPPORT EACCES",
    "socketpair": "EMFILE ENFILE ENOBUFS ENOMEM",
    "stat": "EACCES EIO ENOMEM",
    "sysconf": "EINVAL",
    "unlink": "EACCES EIO EROFS",
    "waitid": "EINTR ECHILD",
    "waitpid": "EINTR ECHILD",
    "write": "ENOSPC EDQUOT EIO EFBIG EAGAIN EINTR SHORT",
}
# Codes of their own: EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_NONAME; GLOB_NOSPACE, GLOB_ABORTED.
CODES = {"getaddrinfo": [-3, -4, -10, -2], "glob": [1, 2]}


def errors(call):
    """The codes that the call may fail with."""
    if call in CODES:
        return CODES[call]
    return [SHORT if name == "SHORT" else getattr(errno, name) for name in ERRORS[call].split()]


def name(code):
    return "SHORT" if code == SHORT else errno.errorcode.get(code, str(code))


with open(SOURCE) as source:
    CALLS = re.findall(r"X\((\w+)\)", source.read().replace("#define X(name)", ""))
CALLS = [call for call in CALLS if call != "X"]


def imported(binary):
    """What an ELF file wants of others: the undefined names of its dynamic symbols."""
    with open(binary, "rb") as file:
        data = file.read()
    (offset,), (size, count) = struct.unpack_from("<Q", data, 0x28), struct.unpack_from("<HH", data, 0x3A)
    # Of each section: type, offset, size and the section of its names.
    sections = [struct.unpack_from("<4xI16xQQI", data, offset + size * number) for number in range(count)]
    kind, start, length, names = next(section for section in sections if section[0] == 11)
    found = set()
    for at in range(start, start + length, 24):
        name, _, section = struct.unpack_from("<IHH", data, at)
        if section == 0:
            begin = sections[names][1] + name
            found.add(data[begin : data.index(b"\0", begin)].decode())
    return found


def library(folder):
    """Compiles what stands in between. Every Swift toolchain brings a C compiler along."""
    made = os.path.join(folder, "faults.so")
    if not os.path.exists(made):
        compiler = shutil.which("cc") or shutil.which("clang")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl"], check=True, timeout=60)
    return made


class Faults:
    """What one gateway's calls are to fail with. Start the gateway with its `environment`."""

    HEADER, RULE, SIZE = struct.Struct("QQq40x"), struct.Struct("QQIiiI8i"), 64

    def __init__(self, folder, made):
        self.path = os.path.join(folder, "faults")
        with open(self.path, "wb") as out:
            out.truncate(self.SIZE + len(CALLS) * self.RULE.size)
        with open(self.path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.environment = {"LD_PRELOAD": made, "FAULTS": self.path}
        self._wall = 0

    def _at(self, call):
        return self.SIZE + CALLS.index(call) * self.RULE.size

    def _rule(self, call):
        return self.RULE.unpack_from(self._memory, self._at(call))

    def calls(self, call):
        return self._rule(call)[0]

    def failed(self, call):
        return self._rule(call)[1]

    def _arm(self, armed, seed=1):
        self.HEADER.pack_into(self._memory, 0, armed, seed, self._wall)

    def set(self, call, codes, chance=1.0, skip=0, limit=ALWAYS):
        calls, failed = self._rule(call)[:2]
        codes = (list(codes) + [0] * 8)[:8]
        count = sum(code != 0 for code in codes)
        self.RULE.pack_into(
            self._memory, self._at(call), calls, failed, round(chance * 65536), skip, limit, count, *codes
        )

    def arm(self, call, code, **options):
        """From now on the call fails."""
        self.disarm()
        self.set(call, [code], **options)
        self._arm(1)

    def arm_all(self, chance, seed):
        """From now on each call fails now and then, with any of its errors."""
        self.disarm()
        for call in CALLS:
            self.set(call, errors(call)[:8], chance)
        self._arm(1, seed)

    def disarm(self):
        self._arm(0)
        for call in CALLS:
            self.set(call, [])

    def move_clock(self, seconds):
        """The time of day is so many seconds later than it is."""
        self._wall = seconds
        self._arm(0)
