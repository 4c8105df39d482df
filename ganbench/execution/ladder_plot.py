"""The plot of a climb: small multiples, one panel a metric, one line a ladder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ganbench.execution.ladder_report import Climb, MetricReport, Report
from ganbench.files import write_atomically
from ganbench.results.text import ARROWS
from ganbench.scoring.verdict import BEYOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
PANEL = (4.2, 3.0)  # inches
DOTS = 110  # an inch

LOOKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "noise": ("#0072B2", "o"),
        "blur": ("#E69F00", "s"),
        "contrast": ("#009E73", "^"),
        "mode_dropping": ("#D55E00", "D"),
        "duplication": ("#CC79A7", "v"),
        "mixing": ("#000000", "X"),
    }
)
"""Colour and marker of each ladder; the colours are those of M. Okabe and K. Ito, "Color Universal Design", 2008."""


def write_plot(path: Path, report: Report) -> None:
    """Write the plot as a PNG, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from PIL import Image

    columns = min(COLUMNS, len(report.metrics))
    rows = -(-len(report.metrics) // columns)
    height = PANEL[1] * rows + 1.1
    figure = Figure(figsize=(PANEL[0] * columns, height), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)  # draws into memory, with no window behind it
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, metric in zip(axes, report.metrics, strict=False):
        _draw(panel, metric)
    for panel in axes[len(report.metrics) :]:
        panel.set_visible(False)
    handles = [Line2D([], [], color=LOOKS[name][0], marker=LOOKS[name][1], label=name) for name in report.ladders]
    handles += [
        Line2D([], [], color="0.35", linestyle=":", label="not meant to move"),
        Line2D([], [], color="0.35", linestyle="--", label="floor: real against real"),
    ]
    figure.suptitle(report.title, fontsize=11)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    picture = Image.open(drawn).convert("RGB").quantize(256)  # a palette: a quarter of the bytes
    write_atomically(path, lambda temporary: picture.save(temporary, format="PNG", optimize=True))


def _draw(panel: Axes, metric: MetricReport) -> None:
    """Draw one metric: a point a rung, with its noise as a bar."""
    for name, climb in metric.climbs.items():
        _draw_line(panel, name, climb, name in metric.blind)
    if metric.floor is not None:
        panel.axhline(metric.floor["value"], color="0.35", linestyle="--", linewidth=1)
    _scale(panel, metric)
    panel.set_title(f"{metric.label} {ARROWS[metric.direction]}", fontsize=10)
    panel.set_xlabel("rung (0 is clean)", fontsize=9)
    panel.set_ylabel(f"{metric.direction} is better", fontsize=9)
    panel.set_xticks(range(max(len(climb.scores) for climb in metric.climbs.values())))
    panel.tick_params(labelsize=8)
    panel.grid(visible=True, color="0.92", linewidth=0.8)


def _scale(panel: Axes, metric: MetricReport) -> None:
    """Make the axis logarithmic for distances and ratios; where values are not above 0, linear within the noise."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    values, noise = _values(metric), BEYOND * max(climb.noises[0] for climb in metric.climbs.values())
    logarithmic = metric.scale == "log" or metric.floor is not None
    if logarithmic and min(values) > 0:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    elif logarithmic and noise > 0:
        panel.set_yscale("symlog", linthresh=noise)
        decades = [10.0**power for power in range(-12, 13) if noise <= 10.0**power <= 2 * max(map(abs, values))]
        panel.yaxis.set_major_locator(FixedLocator([*(-decade for decade in decades), 0.0, *decades]))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.set_ylim(1.5 * min(*values, -noise), 1.5 * max(*values, noise))
    else:
        return
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _draw_line(panel: Axes, name: str, climb: Climb, blind: bool) -> None:
    known = [
        (rung, score.value, noise)
        for rung, (score, noise) in enumerate(zip(climb.scores, climb.noises, strict=True))
        if score.value is not None
    ]
    if not known:
        return
    colour, marker = LOOKS[name]
    style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.4}
    rungs, values, noises = zip(*known, strict=True)
    panel.errorbar(rungs, values, noises, linestyle=":" if blind else "-", elinewidth=0.8, **style)


def _values(metric: MetricReport) -> list[float]:
    scores = [score.value for climb in metric.climbs.values() for score in climb.scores]
    floor = [metric.floor["value"]] if metric.floor is not None else []
    return [value for value in (*scores, *floor) if value is not None]
