"""Every builder with every kind of folder: built, run, asked over both faces, stopped.

IMAGES=all makes the whole matrix, and builds each image twice more: after a change of code, and of what the environment
is made of. IMAGES=docker-plain,buildx-conda makes those of its cells.
"""

import os
import time

import pytest

from .folders import FOLDERS, build

BUILDERS = ("docker", "buildx", "buildah", "podman")
WHOLE = [(builder, folder) for folder in FOLDERS for builder in BUILDERS]
#: Each builder and each kind of folder at least once; docker with the plain folder is in test_folders.py.
COVERING = [
    ("docker", "plugin"),
    ("buildkit", "embedded"),
    ("buildah", "mounted"),
    ("podman", "requirements"),
    ("docker", "conda"),
    ("buildah", "locked"),
    ("buildah", "graph"),
]
CHOSEN = os.environ.get("IMAGES", "")
PAIRS = [pair for pair in WHOLE if CHOSEN == "all" or "-".join(pair) in CHOSEN.split(",")] if CHOSEN else COVERING

pytestmark = pytest.mark.images


@pytest.mark.parametrize("builder, folder", PAIRS, ids=list(map("-".join, PAIRS)))
def test_an_image_is_built_and_serves_both_faces_until_it_is_told_to_stop(builder, folder, engines, tmp_path, figure):
    engines.need(builder)
    case = FOLDERS[folder](tmp_path)
    built = build(engines, builder, case, f"srv-test:{builder}-{folder}")
    with engines.container(builder, built.tag, *case.options) as container:
        began = time.monotonic()
        container.wait_ready()
        ready = time.monotonic() - began
        assert container.infer(case.model, 1.0, 2.5) == ([case.factor, 2.5 * case.factor],) * 2
        container.execute(*engines.health_check(builder, built.tag))
        if folder == "plugin":
            assert container.execute("hello").stdout == "Hello, world!\n"
        began = time.monotonic()
        assert container.stop() == 0
        stopped = time.monotonic() - began
    size = engines.image(builder, built.tag)["Size"] / 1e6
    again = f", again after code {rebuilt(engines, builder, case)}" if CHOSEN else ""
    figure(
        f"{builder:9}{folder:13} built in {built.seconds:5.1f} s, {size:5.0f} MB, ready after {ready:4.1f} s, "
        f"stopped in {stopped:3.1f} s{again}"
    )


def rebuilt(engines, builder, case):
    """How long it takes to build again with other code, and with another environment."""
    (case.folder / "another.py").write_text(f"AT = {time.time()}\n")
    code = build(engines, builder, case, f"srv-test:{builder}-again").seconds
    case.change_environment(case.folder)
    return f"{code:.1f} s, environment {build(engines, builder, case, f'srv-test:{builder}-again').seconds:.1f} s"
