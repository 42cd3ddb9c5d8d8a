"""The pictures are drawn from the code and from a session in a terminal, and an error says where they differ."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "scripts"))

# scripts/ is no package that is installed.
from svg_pictures import floors, processes, request, session, source, states  # noqa: E402
from svg_pictures.source import NotInTheCode  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = [floors.draw, processes.draw, request.draw, states.draw]


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__module__)
def test_a_picture_is_one_svg_that_says_what_it_shows_and_has_colours_for_dark_pages(draw):
    text = draw()
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == root.get("aria-label")
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    assert draw() == text


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__module__)
def test_everything_in_a_picture_lies_on_its_paper(draw):
    root = ET.fromstring(draw())
    width, height = (float(root.get(each)) for each in ("width", "height"))
    for box in root.iter(f"{SVG}rect"):
        x, y = float(box.get("x", 0)), float(box.get("y", 0))
        assert 0 <= x <= x + float(box.get("width")) <= width
        assert 0 <= y <= y + float(box.get("height")) <= height


def test_the_floors_are_those_that_hold_the_code():
    drawn = "".join(ET.fromstring(floors.draw()).itertext())
    for floor in source.floors():
        assert floor.about
        for room in floor.rooms:
            assert room in drawn


def test_a_name_that_the_code_has_not_cannot_be_drawn():
    assert source.place("planes.dataplane", "DataPlane.infer") == "planes/dataplane DataPlane.infer"
    for module, name in (("planes.dataplane", "DataPlane.guess"), ("planes.nowhere", "")):
        with pytest.raises(NotInTheCode):
            source.place(module, name)


@pytest.mark.parametrize("names", [{"srv-new": "serve.new"}, {}], ids=["more threads", "fewer threads"])
def test_threads_that_the_picture_and_the_code_do_not_share_are_an_error(names, monkeypatch):
    found = dict(source.thread_names())
    found.pop("srv-loader")
    monkeypatch.setattr(processes, "thread_names", lambda: found | names)
    with pytest.raises(NotInTheCode, match="srv-"):
        processes.check_threads()


def test_each_change_of_a_state_that_the_code_makes_has_an_arrow(monkeypatch):
    states.check()
    kept = tuple(change for change in states.CHANGES if "scheduler._take_over" not in change.by)
    monkeypatch.setattr(states, "CHANGES", kept)
    with pytest.raises(NotInTheCode, match=r"scheduler\._take_over makes it ExchangeState\.TAKEN"):
        states.check()


@pytest.mark.e2e
def test_the_session_of_the_readme_goes_today_as_it_is_drawn_but_for_figures():
    checked = subprocess.run(
        [sys.executable, TOP / "scripts/pictures", "--session", "--check"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_long_line_of_a_session_goes_on_below_and_is_read_as_one():
    lines = ["$ srv start scale", "x" * 300, "", "<&>  [####....]  50%  1,000 rows"]
    assert session.lines_of(session.draw(lines)) == lines


def test_what_a_terminal_writes_over_is_not_shown():
    assert session.shown("a\r\n[##..]  50%  1,000 rows\r[####] 100%  2,0\r\n") == ["a", "[####] 100%  2,000 rows"]
