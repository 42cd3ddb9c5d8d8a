import sys
from pathlib import Path

import pytest

from srv.discovery import PluginKind, discover

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "scripts"))

import package_pages  # noqa: E402  because the scripts are no package


@pytest.mark.parametrize("package", package_pages.packages(), ids=lambda package: package.name)
def test_the_table_says_of_a_package_what_its_installation_says(package):
    rows = [row for row in discover().rows if row.kind is PluginKind.RUNTIME and row.distribution == package.name]
    if not rows:
        pytest.skip("the package is not installed here")
    marked = discover().marked_files("code")

    assert {(row.name, file) for row in rows for file in row.files} == {
        (row.runtime, row.file) for row in package.files
    }
    assert {row.file for row in package.files if not row.is_code}.isdisjoint(marked)


def test_links_of_a_readme_lead_from_its_page_in_docs():
    text = "[a](../../docs/tables.md#forms) [b](CHANGELOG.md) [c](../srv-sklearn/README.md) [d](https://x/y) [e](#own)"

    assert package_pages.led_from_docs(text, TOP / "contrib" / "srv-made") == (
        "[a](../tables.md#forms) [b](../../contrib/srv-made/CHANGELOG.md) [c](sklearn.md) [d](https://x/y) [e](#own)"
    )


#: The headings of a runtime's README, in their order; its own ones stand where the dots are.
HEADINGS = (
    "Try it",
    "What goes in",
    "What comes out",
    "…",
    "Settings",
    "Which files are code",
    "Threads and sizes",
    "Tests",
)
NEEDED = {"What goes in", "What comes out", "Which files are code", "Threads and sizes", "Tests"}


@pytest.mark.parametrize(
    "package", [each for each in package_pages.packages() if each.files], ids=lambda each: each.name
)
def test_the_readmes_of_runtimes_say_the_same_things_in_the_same_order(package):
    text = (TOP / "contrib" / package.name / "README.md").read_text()
    found = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    found = [
        each for heading in found for each in ({"What goes in, what comes out": HEADINGS[1:3]}.get(heading, [heading]))
    ]

    assert {*found} >= NEEDED
    places = [HEADINGS.index(heading if heading in HEADINGS else "…") for heading in found]
    assert places == sorted(places), found
