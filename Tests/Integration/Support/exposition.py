"""The Prometheus text format 0.0.4 and OpenMetrics 1.0, read strictly."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"^({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')


class Malformed(Exception):
    pass


class Metrics:
    def __init__(self):
        self.types, self.help, self.units, self.values = {}, {}, {}, {}

    def samples(self, name, **labels):
        """[(labels, value)] of the samples of that name that carry these labels."""
        return [
            (dict(key), value)
            for (sample, key), value in self.values.items()
            if sample == name and all(dict(key).get(label) == wanted for label, wanted in labels.items())
        ]

    def sum(self, name, **labels):
        return sum(value for _, value in self.samples(name, **labels))

    def has(self, name):
        """Whether the family is declared or sampled."""
        return name in self.types or any(sample == name for sample, _ in self.values)


def parse_labels(text):
    labels, at = [], 0
    while at < len(text):
        found = LABEL.match(text, at)
        if not found:
            raise Malformed(f"labels {text!r}")
        value = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), found.group(2))
        labels.append((found.group(1), value))
        at = found.end()
    if text.endswith(","):
        raise Malformed(f"labels {text!r}")
    if len({name for name, _ in labels}) != len(labels):
        raise Malformed(f"a label twice in {text!r}")
    return tuple(labels)


def family_of(sample, types):
    for suffix in ("", "_bucket", "_sum", "_count", "_total", "_info", "_created"):
        if sample.endswith(suffix):
            base = sample[: len(sample) - len(suffix)] if suffix else sample
            if base in types:
                return base
    return None


def parse(text, openmetrics=False):
    if not text.endswith("\n"):
        raise Malformed("the last line has no end")
    metrics, done, current = Metrics(), set(), None
    lines = text.split("\n")[:-1]
    if openmetrics:
        if not lines or lines[-1] != "# EOF":
            raise Malformed("no # EOF at the end")
        lines.pop()
    for line in lines:
        if line.startswith("#"):
            parts = line.split(" ", 3)
            if len(parts) < 3 or parts[1] not in ("HELP", "TYPE", "UNIT"):
                if openmetrics:
                    raise Malformed(line)
                continue
            kind, name = parts[1], parts[2]
            rest = parts[3] if len(parts) > 3 else ""
            into = {"HELP": metrics.help, "TYPE": metrics.types, "UNIT": metrics.units}[kind]
            if name in into:
                raise Malformed(f"a second {kind} for {name}")
            into[name] = rest
            if kind == "UNIT" and not name.endswith("_" + rest):
                raise Malformed(f"unit {rest} of {name}")
            if name != current:
                if name in done:
                    raise Malformed(f"{name} comes in two places")
                done.add(current)
                current = name
            continue
        found = SAMPLE.match(line)
        if not found:
            raise Malformed(f"line {line!r}")
        name, labels, value = found.group(1), parse_labels(found.group(2) or ""), found.group(3)
        family = family_of(name, metrics.types)
        if family is None:
            raise Malformed(f"{name} without TYPE")
        if family != current:
            raise Malformed(f"a sample of {family} among those of {current}")
        key = (name, labels)
        if key in metrics.values:
            raise Malformed(f"{line!r} twice")
        metrics.values[key] = float(value.replace("Inf", "inf"))
    for family, kind in metrics.types.items():
        if kind not in ("counter", "gauge", "histogram", "summary", "info", "untyped", "unknown"):
            raise Malformed(f"type {kind}")
        if kind == "histogram":
            check_histogram(metrics, family)
        if kind == "counter" and openmetrics and family.endswith("_total"):
            raise Malformed(f"OpenMetrics names the family of {family} without _total")
    return metrics


def check_histogram(metrics, family):
    series = {}
    for labels, value in metrics.samples(family + "_bucket"):
        bound = labels.pop("le", None)
        if bound is None:
            raise Malformed(f"{family}_bucket without le")
        series.setdefault(tuple(sorted(labels.items())), []).append((float(bound.replace("Inf", "inf")), value))
    for key, buckets in series.items():
        if buckets != sorted(buckets) or any(a[1] > b[1] for a, b in zip(buckets, buckets[1:])):
            raise Malformed(f"{family}{dict(key)}: buckets out of order or falling")
        if buckets[-1][0] != float("inf"):
            raise Malformed(f"{family}{dict(key)}: no +Inf")
        same = [value for labels, value in metrics.samples(family + "_count") if tuple(sorted(labels.items())) == key]
        if same != [buckets[-1][1]]:
            raise Malformed(f"{family}{dict(key)}: _count {same} and +Inf {buckets[-1][1]} differ")
