"""Which files of a folder are layers of their own, and how they are parted."""

import pytest

from srv_dockerfile import layers
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.layers import artifact_layers

SMALL, LARGE, HALF = layers.LARGE - 1, layers.LARGE, layers.FULL // 2 + 1


@pytest.fixture
def layers_of(tmp_path):
    """The layers of files of these sizes, which take no room."""

    def make(sizes, ignored=()):
        for name, size in sizes.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(size)
        return artifact_layers(tmp_path, Ignore(list(ignored)))

    return make


def test_a_file_is_named_from_a_size_on(layers_of):
    assert layers_of({"m/a.bin": LARGE, "m/models.py": 100, "m/b.bin": SMALL}) == [["m/a.bin"]]


def test_a_folder_of_code_has_no_such_layer(layers_of):
    assert layers_of({"models.py": 100}) == []


def test_layers_are_bounded_so_that_they_are_pushed_side_by_side(layers_of):
    found = layers_of({"a.bin": HALF, "b.bin": HALF, "c.bin": LARGE, "d.bin": 5 * HALF})
    assert found == [["a.bin"], ["b.bin", "c.bin"], ["d.bin"]]


def test_there_are_never_more_layers_than_an_image_may_have(layers_of):
    found = layers_of({f"{number:03}.bin": layers.FULL for number in range(60)})
    assert len(found) <= layers.MOST_LAYERS + 1
    assert sum(map(len, found)) == 60


def test_the_largest_are_named_where_there_are_many(layers_of, monkeypatch):
    monkeypatch.setattr(layers, "MOST_NAMES", 2)
    assert layers_of({"a.bin": LARGE, "b.bin": LARGE + 2, "c.bin": LARGE + 1}) == [["b.bin", "c.bin"]]


@pytest.mark.parametrize("name", ["$HOME.bin", "a*.bin", "[x].bin", 'say "hi".bin', "模型.bin", " a.bin", "a\\b.bin"])
def test_a_name_that_a_dockerfile_cannot_hold_everywhere_stays_with_the_code(layers_of, name):
    assert layers_of({name: LARGE}) == []


def test_what_does_not_travel_is_not_named(layers_of, tmp_path):
    (tmp_path / "link.bin").symlink_to("a.bin")
    assert layers_of({"a.bin": LARGE, "out.bin": LARGE}, ignored=["out.bin"]) == [["a.bin"]]
