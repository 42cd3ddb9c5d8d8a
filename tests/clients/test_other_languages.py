"""The examples in other languages of docs/clients.md, each run where its program is installed."""

import shutil
import subprocess

import pytest
from guides import TOP, blocks
from servers import running

PRINTED = {
    "ask.mjs": "[ 2, 4 ]\nFloat32Array(3) [ 6, 8, 10 ]\nHELLO\nTHERE\n",
    "Ask.java": "[2.0, 4.0]\n",
    "ask.go": "[2 4]\n[6 8 10]\nHELLO\nTHERE\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    for block in blocks(TOP / "docs" / "clients.md"):
        if block.file:
            block.write(folder)
    with running(folder / "models") as server:
        yield server, folder


@pytest.mark.e2e
@pytest.mark.parametrize(
    "program, example",
    [(["node"], "ask.mjs"), (["java"], "Ask.java"), (["go", "run"], "ask.go")],
    ids=["JavaScript", "Java", "Go"],
)
def test_an_example_in_another_language_prints_what_the_guide_says(program, example, server):
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed here.")
    server, folder = server

    done = subprocess.run(
        [*program, example, server.url()], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )

    assert (done.stdout, done.returncode) == (PRINTED[example], 0), done.stderr
    page = (TOP / "docs" / "clients.md").read_text()
    assert all(f"`{line}`" in page for line in PRINTED[example].splitlines())
