"""A picture of boxes, arrows and words as SVG text, legible on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

#: How wide a character is, on the average, and how far apart lines stand.
WIDTH, BOLD_WIDTH, MONO_WIDTH, LINE = 6.5, 7.4, 6.65, 16
PADDING = 10

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.head { font-size: 15px; font-weight: 600 }
.bold { font-weight: 600 }
.code { font: 11px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace }
.faint { fill: #59636e }
.paper { fill: #ffffff }
.band { fill: #f6f8fa; stroke: #d1d9e0 }
.box { fill: #ffffff; stroke: #8c959f }
.blue { fill: #ddf4ff; stroke: #0969da }
.green { fill: #dafbe1; stroke: #1a7f37 }
.amber { fill: #fff8c5; stroke: #9a6700 }
.outside { fill: none; stroke: #8c959f; stroke-dasharray: 5 4 }
.arrow { fill: none; stroke: #59636e; stroke-width: 1.3 }
.tip { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .faint { fill: #9198a1 }
  .paper { fill: #0d1117 }
  .band { fill: #151b23; stroke: #3d444d }
  .box { fill: #0d1117; stroke: #656c76 }
  .blue { fill: #10233d; stroke: #4493f8 }
  .green { fill: #12261e; stroke: #3fb950 }
  .amber { fill: #2b230e; stroke: #d29922 }
  .outside { stroke: #656c76 }
  .arrow { stroke: #9198a1 }
  .tip { fill: #9198a1 }
}
"""


@dataclass(frozen=True)
class Box:
    """Where a box stands, for arrows from and to it."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> tuple[float, float]:
        """The middle of its upper edge."""
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> tuple[float, float]:
        """The middle of its lower edge."""
        return self.x + self.width / 2, self.y + self.height

    @property
    def left(self) -> tuple[float, float]:
        """The middle of its left edge."""
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> tuple[float, float]:
        """The middle of its right edge."""
        return self.x + self.width, self.y + self.height / 2


@dataclass
class Picture:
    """What is drawn, in the order in which it lies on the page; `title` is for those who cannot see it."""

    title: str
    width: int
    parts: list[str] = field(default_factory=list)
    height: float = 0

    def box(
        self,
        x: float,
        y: float,
        width: float,
        lines: Sequence[tuple[str, str]] = (),
        *,
        kind: str = "box",
        height: float = 0,
        about: str = "",
    ) -> Box:
        """Draw a box around lines of words, each with its style; what it is `about` shows where a mouse rests on it."""
        height = height or LINE * len(lines) + PADDING
        title = f"<title>{escape(about)}</title>" if about else ""
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5">{title}</rect>'
        )
        for place, (style, words) in enumerate(lines):
            self.words(x + PADDING * 0.8, y + LINE * (place + 1), words, style)
        self._reach(y + height)
        return Box(x, y, width, height)

    def words(self, x: float, y: float, words: str, style: str = "", *, anchor: str = "start") -> None:
        """Draw words on one line."""
        self.parts.append(
            f'<text class="{style}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words, quote=False)}</text>'
        )
        self._reach(y + 4)

    def arrow(self, *points: tuple[float, float], label: str = "", at: tuple[float, float] | None = None) -> None:
        """Draw an arrow along points; the label stands beside its middle, or where it is told."""
        path = " ".join(f"{'M' if place == 0 else 'L'}{x:g} {y:g}" for place, (x, y) in enumerate(points))
        self.parts.append(f'<path class="arrow" d="{path}" marker-end="url(#tip)"/>')
        for _, y in points:
            self._reach(y)
        if label:
            (x0, y0), (x1, y1) = points[(len(points) - 1) // 2], points[(len(points) - 1) // 2 + 1]
            x, y = at or ((x0 + x1) / 2 + 5, (y0 + y1) / 2 - 4)
            for place, line in enumerate(label.split("\n")):
                self.words(x, y + place * 14, line, "faint")

    def text(self) -> str:
        """Return the whole as an SVG file."""
        height = self.height + PADDING
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{height:g}"'
            f' viewBox="0 0 {self.width} {height:g}" role="img" aria-label="{escape(self.title)}">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n"
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>\n'
            f'<rect class="paper" width="{self.width}" height="{height:g}" rx="6"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )

    def _reach(self, y: float) -> None:
        self.height = max(self.height, y)


def width_of(words: str, style: str = "") -> float:
    """Return about how wide words are in a style."""
    return len(words) * {"bold": BOLD_WIDTH, "code": MONO_WIDTH}.get(style, WIDTH)


def wrapped(words: str, width: float, style: str = "") -> list[str]:
    """Return words as lines that fit into a width."""
    lines: list[str] = []
    for word in words.split():
        if lines and width_of(f"{lines[-1]} {word}", style) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def styled(style: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return lines of one style."""
    return [(style, line) for line in lines]
