"""Print the figures as text, Markdown and JSON. A ratio compares a server with the first server in the same turn."""

import json
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from .load import Sample
from .measure import Row

Table = list[list[str]]

HEADINGS = [
    "server",
    "rate /s",
    "lowest–highest",
    "rate ratio",
    "CPU µs",
    "CPU ratio",
    "p50 µs",
    "p99 µs",
    "p99 ratio",
    "peak MiB",
    "server busy",
    "client busy",
    "others busy",
]
OWN_HEADING = "ratio to own"
# A client that is busier than this may limit the rate.
_BUSY = 0.95
LEGEND = (
    "Rate: responses in a second, the median of all turns, with the lowest and the highest. CPU: the server's time of\n"
    "processor, user and system, for one response. Ratios: the median of those to the first server in the same turn.\n"
    "Peak: VmHWM of all processes of the server. Busy: share of one processor; others: all else on this machine,\n"
    "which should be nothing. * the client was at its limit before the server was: the rate is no more than a lower\n"
    "bound, and the CPU time is what counts."
)


def shown(figure: float) -> str:
    """Return a figure as text with at least three digits. For 0, return a dash."""
    if not figure:
        return "–"
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def median(samples: Sequence[Sample], figure: str) -> float:
    """Return the median of one figure, such as "rate", over all turns."""
    return float(statistics.median(getattr(sample, figure) for sample in samples))


def ratio(samples: Sequence[Sample], others: Sequence[Sample], figure: str) -> float | None:
    """Divide *figure* in *samples* by *figure* in *others*, turn by turn. Return the median of these ratios.

    If *figure* is 0 in all *others*, return None.
    """
    pairs = zip(samples, others, strict=False)
    ratios = [getattr(sample, figure) / getattr(other, figure) for sample, other in pairs if getattr(other, figure)]
    return statistics.median(ratios) if ratios else None


def client_limits(samples: Sequence[Sample]) -> bool:
    """Return whether the client was the bottleneck: it was always busy, and the server was not."""
    return median(samples, "client_busy") >= _BUSY > median(samples, "server_busy")


def table(row: Row) -> Table:
    """Return a table of one workload: headings, and one line for each server."""
    if not row.samples:
        return []
    first = next(iter(row.samples.values()))
    lines = [[*HEADINGS, OWN_HEADING] if row.workload.beside else HEADINGS]
    for name, samples in row.samples.items():
        line = [name, *_figures(samples, first, row.peak_octets[name])]
        if row.workload.beside:
            line.append(ratio_shown(statistics.median(sample.ratio_to_own or 0 for sample in samples)))
        lines.append(line)
    return lines


def _figures(samples: Sequence[Sample], first: Sequence[Sample], peak_octets: int) -> list[str]:
    rates = [sample.rate for sample in samples]
    return [
        shown(median(samples, "rate")) + ("*" if client_limits(samples) else ""),
        f"{shown(min(rates))}–{shown(max(rates))}",
        ratio_shown(ratio(samples, first, "rate")),
        shown(median(samples, "cpu_microseconds")),
        ratio_shown(ratio(samples, first, "cpu_microseconds")),
        shown(median(samples, "p50_microseconds")),
        shown(median(samples, "p99_microseconds")),
        ratio_shown(ratio(samples, first, "p99_microseconds")),
        f"{peak_octets / 2**20:.1f}",
        f"{median(samples, 'server_busy'):.2f}",
        f"{median(samples, 'client_busy'):.2f}",
        f"{median(samples, 'others_busy'):.2f}",
    ]


def ratio_shown(figure: float | None) -> str:
    """Return a ratio as text. For None, return a dash."""
    if figure is None:
        return "–"
    # Two significant digits, even for a server that is a hundred times slower.
    return f"{figure:.3f}" if figure < 0.1 else f"{figure:.2f}"


def summary(rows: Sequence[Row], figure: str) -> Table:
    """Return a table with a line for each workload and a column for each server. The first server has the ratio 1."""
    names = list(dict.fromkeys(name for row in rows for name in row.samples))
    lines = [["workload", *names]]
    for row in rows:
        first = next(iter(row.samples.values()), [])
        lines.append([row.workload.key])
        for name in names:
            lines[-1].append(ratio_shown(ratio(row.samples.get(name, []), first, figure)))
    return lines


def aligned(lines: Table) -> str:
    """Format a table for a terminal. Names are left-aligned, figures are right-aligned."""
    if not lines:
        return ""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def markdown(lines: Table) -> str:
    """Format a table in Markdown."""
    if not lines:
        return ""
    rule = ["---", *["--:"] * (len(lines[0]) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def row_text(row: Row, layout: Callable[[Table], str] = aligned) -> str:
    """Format the figures of one workload. Add the reason for each server without figures."""
    left_out = [f"{name} is left out: {reason}" for name, reason in row.left_out.items()]
    return "\n\n".join(filter(None, [layout(table(row)), "\n".join(left_out)]))


def to_markdown(conditions: dict[str, str], rows: Sequence[Row], more: dict[str, Table]) -> str:
    """Format the entire report in Markdown. *more* has additional tables by title."""
    parts = ["# httpsock and its peers", "\n".join(f"- {name}: {text}" for name, text in conditions.items()), LEGEND]
    regular = [row for row in rows if not row.workload.uses_defaults]
    if regular:
        parts += ["## Rate, as a ratio to the first", markdown(summary(regular, "rate"))]
        parts += ["## CPU time for a response, as a ratio to the first", markdown(summary(regular, "cpu_microseconds"))]
    for title, lines in more.items():
        parts += [f"## {title}", markdown(lines)]
    for row in rows:
        parts += [f"## {row.workload.title}", row_text(row, markdown)]
    return "\n\n".join(parts) + "\n"


def to_json(conditions: dict[str, str], rows: Sequence[Row], more: dict[str, Table]) -> str:
    """Format all samples as JSON."""
    measured: list[dict[str, Any]] = [
        {
            "workload": row.workload._asdict() | {"names": len(row.workload.names)},
            "samples": {name: [sample._asdict() for sample in samples] for name, samples in row.samples.items()},
            "peak_octets": row.peak_octets,
            "commands": row.commands,
            "left_out": row.left_out,
        }
        for row in rows
    ]
    return json.dumps({"conditions": conditions, "workloads": measured, "tables": more}, indent=1) + "\n"
