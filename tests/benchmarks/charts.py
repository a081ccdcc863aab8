"""Draw the figures as SVG charts with matplotlib (``pip install '.[bench]'``). Each chart states its conditions."""

import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any

from . import report
from .growth import Curve
from .measure import Row

_COLUMNS = 3
_CAPTION_WIDTH = 150
# httpsock stands out; the floor, which is not a server, is pale.
_COLOURS = {"httpsock": "#c2410c", "floor": "#d4d4d8"}
_FIRST, _OTHER = "#334155", "#94a3b8"
_LINES = ("#334155", "#c2410c", "#0e7490", "#a16207", "#7e22ce", "#94a3b8")


def are_possible() -> bool:
    """Set up matplotlib for SVG files. If it is not installed, return False."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    # This back end needs no display, and writes the same file for the same figures.
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "httpsock", "font.size": 8, "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "axes.titlesize": 8, "axes.titlelocation": "left"})
    return True


def ratios(rows: Sequence[Row], figure: str, title: str, conditions: dict[str, str], file: pathlib.Path) -> None:
    """Write a chart to *file*, with a panel for each workload and a bar for each server."""
    from matplotlib import pyplot as plt

    rows = [row for row in rows if row.samples]
    maximum = max(len(row.samples) for row in rows)
    lines = -(-len(rows) // _COLUMNS)
    height = lines * (0.6 + 0.17 * maximum) + 1.6
    chart, panels = plt.subplots(lines, _COLUMNS, figsize=(12, height), squeeze=False, layout="constrained")
    for panel in panels.flat[len(rows) :]:
        panel.set_axis_off()
    for panel, row in zip(panels.flat, rows, strict=False):
        _bars(panel, row, figure)
    chart.suptitle(title, x=0.01, ha="left", fontsize=11)
    _finish(chart, conditions, file)


def _bars(panel: Any, row: Row, figure: str) -> None:
    """Draw the bars of one workload."""
    first_name, first = next(iter(row.samples.items()))
    names = list(row.samples)
    values = [report.ratio(samples, first, figure) or 0.0 for samples in row.samples.values()]
    colours = [_FIRST if name == first_name else _COLOURS.get(name, _OTHER) for name in names]
    bars = panel.barh(names, values, color=colours, height=0.7)
    panel.bar_label(bars, [_label(row, name, value) for name, value in zip(names, values, strict=True)], padding=2)
    panel.axvline(1, color=_FIRST, linewidth=0.6)
    if max(values) > 10:
        panel.set_xscale("log")
    panel.margins(x=0.15)
    panel.invert_yaxis()
    panel.set_title(textwrap.shorten(row.workload.title, 54, placeholder="…"))


def _label(row: Row, name: str, value: float) -> str:
    return report.ratio_shown(value) + ("*" if report.client_limits(row.samples[name]) else "")


def curve(measured: Curve, rows: Sequence[Row], conditions: dict[str, str], file: pathlib.Path) -> None:
    """Write a chart to *file*. It shows how each server's rate and CPU time change over the values of *measured*."""
    from matplotlib import pyplot as plt

    chart, panels = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    names = list(dict.fromkeys(name for row in rows for name in row.samples))
    for panel, figure, title in (
        (panels[0], "rate", "responses in a second"),
        (panels[1], "cpu_microseconds", "CPU µs for a response"),
    ):
        for name, colour in zip(names, _LINES * 3, strict=False):
            points = [
                (value, row.samples[name])
                for value, row in zip(measured.values, rows, strict=True)
                if name in row.samples
            ]
            medians = [report.median(samples, figure) for _, samples in points]
            panel.plot([value for value, _ in points], medians, marker="o", markersize=3, color=colour, label=name)
        panel.set_xscale("symlog" if 0 in measured.values else "log")
        panel.set_yscale("log")
        panel.set_xlabel(measured.unit)
        panel.set_title(title)
        panel.grid(visible=True, which="major", linewidth=0.3)
    panels[0].legend(frameon=False)
    chart.suptitle(measured.title, x=0.01, ha="left", fontsize=11)
    _finish(chart, conditions, file)


def _finish(chart: Any, conditions: dict[str, str], file: pathlib.Path) -> None:
    """Put the conditions below the chart. Write the chart to *file*."""
    from matplotlib import pyplot as plt

    text = "; ".join(f"{name}: {value}" for name, value in conditions.items())
    caption = "\n".join(textwrap.wrap(text + ". * the client was the limit.", _CAPTION_WIDTH))
    chart.supxlabel(caption, x=0.01, ha="left", fontsize=6.5)
    chart.savefig(file, format="svg", metadata={"Date": None})
    plt.close(chart)
