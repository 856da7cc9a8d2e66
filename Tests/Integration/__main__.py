"""Runs the suite: `python3 Tests/Integration [--only NAME]... [--list]`. Ends with `N passed, N failed`."""

import argparse
import faulthandler
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from Support import case, gateway  # noqa: E402

# More failures than these are no accident of a busy machine.
MOST_REPEATED = 5


class Result(unittest.TestResult):
    """A line a test, and what went wrong at the end."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.skips = []
        self.notes = []
        self.broken = set()

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def _say(self, verdict, test):
        print(f"{verdict:4} {time.monotonic() - self.began:6.2f} s  {name_of(test)}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skip", test)
        self.skips.append((test, reason))

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._broke(test)

    def addError(self, test, error):
        super().addError(test, error)
        self._broke(test)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._broke(test)

    def _broke(self, test):
        if name_of(test) not in self.broken:
            self.broken.add(name_of(test))
            self._say("FAIL", test)

    def explain(self, test, gateway):
        """Keeps what a gateway said, next to the failure of its test."""
        self.notes.append((name_of(test), gateway.stderr[-3000:]))


def name_of(test):
    return test.id().removeprefix("test_")


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def repeat_alone(tests, result):
    """Runs once more what failed, for the sake of bars of time on a machine that others use; names what passed then.

    Never a test that says `once`: another tenant's answer is wrong however seldom it comes. Both results are printed.
    """
    failed = [test for test in tests if name_of(test) in result.broken]
    if len(failed) > MOST_REPEATED:
        return []
    passed = []
    for test in failed:
        if getattr(test, "once", False):
            continue
        print(f"again: {name_of(test)}", flush=True)
        again = Result()
        type(test)(test._testMethodName).run(again)
        if again.broken:
            result.failures += again.failures + again.errors
        else:
            result.passed += again.passed
            passed.append(name_of(test))
    return passed


def main():
    parser = argparse.ArgumentParser(prog="Tests/Integration")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only tests whose name contains NAME; may be given again",
    )
    parser.add_argument("--patience", type=int, default=75 * 60, metavar="SECONDS", help="for all of them together")
    parser.add_argument("--list", action="store_true", help="name the tests and run none")
    options = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(options.patience, exit=True)
    suite = unittest.defaultTestLoader.discover(HERE, pattern="test_*.py", top_level_dir=HERE)
    tests = [test for test in flatten(suite) if not options.only or any(name in test.id() for name in options.only)]
    if options.list:
        print("\n".join(name_of(test) for test in tests))
        return 0
    if not tests:
        print("no such test", file=sys.stderr)
        return 2
    if not os.access(gateway.BINARY, os.X_OK):
        print(f"{gateway.BINARY} is not there: build it, or name it in GATEWAY", file=sys.stderr)
        return 2
    began = time.monotonic()
    result = Result()
    second = []
    try:
        for test in tests:
            test.run(result)
        second = repeat_alone(tests, result)
    finally:
        case.remove_root()
    for test, error in result.failures + result.errors:
        print(f"\n=== {name_of(test)}\n{error}")
        for name, said in result.notes:
            if name == name_of(test) and said:
                print(f"--- the gateway said:\n{said}")
    for test, reason in result.skips:
        print(f"skipped {name_of(test)}: {reason}")
    for name in second:
        print(f"failed at first, passed when it was run again: {name}")
    failed = len(result.broken) - len(second)
    print(f"\nin {time.monotonic() - began:.0f} s")
    print(f"{result.passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
