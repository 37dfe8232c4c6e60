"""Draws charts as SVG, only in shapes: a table beside them has the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 120
_TOP = 4


def bars(
    series: Sequence[tuple[str, Sequence[float]]], title: str, span: Sequence[str] = ()
) -> Markup:
    """Draw stacked bars.

    Args:
        series: each one's name, which is its class in the style sheet, and its values.
        title: what the chart shows, for people who cannot see it.
        span: the labels below the first and the last column.
    """
    columns = len(series[0][1]) if series else 0
    highest = max((sum(values[i] for _, values in series) for i in range(columns)), default=0.0)
    shapes = []
    step = WIDTH / max(1, columns)
    for column in range(columns):
        top = float(HEIGHT)
        for name, values in series:
            if not values[column] or not highest:
                continue
            height = max(1.0, values[column] / highest * (HEIGHT - _TOP))
            top -= height
            shapes.append(
                f'<rect class="bar {escape(name)}" x="{column * step + 0.5:.1f}" y="{top:.1f}" '
                f'width="{max(1.0, step - 1.5):.1f}" height="{height:.1f}"/>'
            )
    return _framed(shapes, title, f"{highest:,.0f}", span)


def line(
    lines: Sequence[tuple[str, Sequence[float | None]]], title: str, span: Sequence[str] = ()
) -> Markup:
    """Draw lines, with a gap where nothing was measured.

    Args:
        lines: each one's name, which is its class in the style sheet, and its values.
        title: what the chart shows, for people who cannot see it.
        span: the labels below the first and the last value.
    """
    known = [value for _, values in lines for value in values if value is not None]
    highest = max(known, default=0.0)
    shapes = []
    for name, values in lines:
        step = WIDTH / max(1, len(values))
        drawn = False
        commands = []
        for column, value in enumerate(values):
            if value is None or not highest:
                drawn = False
                continue
            x, y = (column + 0.5) * step, HEIGHT - value / highest * (HEIGHT - _TOP)
            following = column + 1 < len(values) and values[column + 1] is not None
            if not drawn and not following:
                shapes.append(
                    f'<circle class="dot {escape(name)}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
                )
            commands.append(f"{'L' if drawn else 'M'}{x:.1f} {y:.1f}")
            drawn = True
        if commands:
            shapes.append(f'<path class="line {escape(name)}" d="{" ".join(commands)}"/>')
    return _framed(shapes, title, f"{highest:,.3g} s", span)


def _framed(shapes: Sequence[str], title: str, highest: str, span: Sequence[str]) -> Markup:
    grid = "".join(
        f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        for y in (_TOP, _TOP + (HEIGHT - _TOP) / 2, HEIGHT)
    )
    label = escape(f"{title}; at most {highest}")
    below = "".join(f"<span>{escape(words)}</span>" for words in span)
    return Markup(  # noqa: S704 -- our own numbers, and escaped names
        f'<figure><figcaption aria-hidden="true"><span>{escape(highest)}</span></figcaption>'
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT + 1}" role="img" '
        f'preserveAspectRatio="none" aria-label="{label}">{grid}{"".join(shapes)}</svg>'
        f'<figcaption aria-hidden="true">{below}</figcaption></figure>'
    )
