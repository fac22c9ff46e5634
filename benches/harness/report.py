"""Tables for people, ratios, and the last line for machines."""

import statistics

# More new connections for 1,000 requests than this, and a proxy is not measured but its handshakes.
REUSE = 5.0

# Of a core, as a share of the time. The other proxies, though idle, have a little of it.
OTHERS = 0.1


class Report:
    """Collects what the scenarios found."""

    def __init__(self):
        self.line = {}
        self.raw = {}
        self.others = []

    def say(self, name, value, digits=3):
        """One figure of the last line; None is one that means nothing."""
        self.line[name] = "nan" if value is None else f"{value:.{digits}f}"

    def keep(self, scenario, rows):
        """Raw figures for --json."""
        self.raw[scenario] = rows

    def watch(self, rows):
        """Remembers how busy others kept the cores."""
        self.others += [row["others_share"] for figures in rows.values() for row in figures]

    def disturbance(self):
        """In how many of the measurements the machine was not quiet."""
        if not self.others:
            return "nothing was measured that others could have disturbed"
        disturbed = sum(share > OTHERS for share in self.others)
        return (
            f"others had more than {OTHERS:.0%} of a core in {disturbed} of {len(self.others)} measurements "
            f"(median {statistics.median(self.others):.1%}, most {max(self.others):.1%})"
        )

    def last_line(self):
        return " ".join(f"{name}={value}" for name, value in self.line.items())


def interleaved(rounds, contenders):
    """Runs each contender once a round; `contenders` are functions by name. Returns rows by name."""
    rows = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            rows[name].append(measure())
    return rows


def median(rows, field):
    return statistics.median(row[field] for row in rows)


def ratio(rows, base, field="cpu_us"):
    """The median of the rounds' ratios, or None if it would mean nothing."""
    if not rows or not base or flaw(rows) or flaw(base):
        return None
    return statistics.median(row[field] / other[field] for row, other in zip(rows, base))


def flaw(rows):
    """Why the figures of these rows mean nothing, if they do."""
    if any(row.get("non_2xx") for row in rows):
        return "answers other than 2xx"
    if any(row.get("socket_errors") or row.get("unanswered") for row in rows):
        return "requests without an answer"
    if any(row.get("new_connections_per_1000", 0) > REUSE for row in rows):
        return "upstream connections are not reused"
    return None


COLUMNS = [
    ("", 20), ("CPU µs", 8), ("(least .. most)", 17), ("ratio", 7), ("req/s", 8), ("p50 µs", 8), ("p99 µs", 8),
    ("peak MiB", 9), ("non-2xx", 8), ("conn/1000", 10),
]


def table(title, rows, base):
    """One line for each contender; the ratio is that to the contender `base`."""
    print(f"\n{title}")
    print("".join(f"{name:<{width}}" if not at else f"{name:>{width}}" for at, (name, width) in enumerate(COLUMNS)))
    for name, figures in rows.items():
        costs = [row["cpu_us"] for row in figures]
        compared = ratio(figures, rows.get(base, []))
        cells = [
            name,
            f"{statistics.median(costs):.1f}",
            f"{min(costs):.1f} .. {max(costs):.1f}",
            f"{compared:.2f}" if compared is not None else "-",
            f"{median(figures, 'rate'):.0f}",
            f"{median(figures, 'p50_us'):.0f}",
            f"{median(figures, 'p99_us'):.0f}",
            f"{max(row['peak_bytes'] for row in figures) / 2**20:.1f}",
            f"{sum(row['non_2xx'] for row in figures)}",
            f"{max(row['new_connections_per_1000'] for row in figures):.2f}",
        ]
        line = "".join(f"{cell:<{width}}" if not at else f"{cell:>{width}}" for at, (cell, (_, width)) in enumerate(zip(cells, COLUMNS)))
        note = flaw(figures)
        print(line + (f"  means nothing: {note}" if note else ""), flush=True)
