"""The floors of core: who may import whom."""

from __future__ import annotations

from svg_pictures.source import CORE, TOP, Floor, docstring, floors, modules
from svg_pictures.svg import Picture, width_of, wrapped

WIDTH = 940
LEFT, GAP, ROW = 250, 8, 44


def draw() -> str:
    """Draw the floors, the lowest at the bottom, as tests/test_house.py has them."""
    picture = Picture("The floors of srv's core: each imports only from those below it, or to its left.", WIDTH)
    picture.words(20, 28, "Who may import whom", "head")
    picture.words(
        20, 48, "A module imports from the floors below its own, and on its floor from those to its left.", "faint"
    )
    y = outside(picture, 64)
    for floor in reversed(floors()):
        y = band(picture, floor, y)
    return picture.text()


def outside(picture: Picture, y: float) -> float:
    """Draw what stands outside of core."""
    plugins = sorted(path.name for path in (TOP / "plugins").iterdir() if (path / "__init__.py").is_file())
    contrib = sorted(path.name for path in (TOP / "contrib").iterdir() if path.is_dir())
    lines = [*wrapped(f"plugins: {', '.join(plugins)}", WIDTH - LEFT - 60), f"contrib: {', '.join(contrib)}"]
    height = 16 * len(lines) + 18
    picture.box(20, y, WIDTH - 40, kind="outside", height=height)
    for place, line in enumerate(["Outside, found by entry point;", "core imports none of them"]):
        picture.words(32, y + 22 + 16 * place, line, "bold" if place == 0 else "faint")
    for place, line in enumerate(lines):
        picture.words(LEFT, y + 22 + 16 * place, line)
    return y + height + GAP


def band(picture: Picture, floor: Floor, y: float) -> float:
    """Draw one floor with its rooms."""
    rows: list[list[str]] = [[]]
    right = float(WIDTH - 32)
    x = float(LEFT)
    for room in floor.rooms:
        if x + width_of(title(room)) + 20 > right:
            rows.append([])
            x = LEFT
        rows[-1].append(room)
        x += width_of(title(room)) + 20 + GAP
    caption = wrapped(floor.about, LEFT - 50, "bold")
    height = max(ROW * len(rows) + GAP, 16 * len(caption) + 18)
    picture.box(20, y, WIDTH - 40, kind="band", height=height)
    for place, line in enumerate(caption):
        picture.words(32, y + 22 + 16 * place, line, "bold")
    for number, row in enumerate(rows):
        x = LEFT
        for room in row:
            folder = (CORE / room).is_dir()
            width = width_of(title(room)) + 20
            lines = [("bold" if folder else "", title(room))]
            kind = "blue" if folder else "box"
            picture.box(x, y + GAP + ROW * number, width, lines, kind=kind, height=ROW - GAP, about=docstring(room))
            if folder:
                count = len(modules(room))
                picture.words(x + 8, y + GAP + ROW * number + 30, f"{count} modules", "faint")
            x += width + GAP
    return y + height + GAP


def title(room: str) -> str:
    """Return how a room is written, with room for the count of a folder's modules."""
    return f"{room}/".ljust(11) if (CORE / room).is_dir() else room
