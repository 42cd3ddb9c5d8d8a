"""The rules of .dockerignore, as Docker has them."""

import pytest

from srv_dockerfile.ignoring import LINES, Ignore

CASES = [
    ("a name at the root", ["data"], ["data", "data/x"], ["sub/data", "database"]),
    ("a slash before it is the same", ["/data/"], ["data/x"], ["sub/data"]),
    ("a star within one name", ["*.bin"], ["a.bin"], ["sub/a.bin", "a.bins"]),
    ("a star between folders", ["*/a.bin"], ["sub/a.bin"], ["a.bin", "sub/sub/a.bin"]),
    ("two stars at the front", ["**/*.bin"], ["a.bin", "sub/a.bin", "sub/sub/a.bin"], ["a.txt"]),
    ("two stars in the middle", ["sub/**/b"], ["sub/b", "sub/x/y/b"], ["b", "x/sub/b"]),
    ("two stars at the end", ["sub/**"], ["sub/x", "sub/x/y"], ["sub", "x"]),
    ("one character", ["?.py"], ["a.py"], ["ab.py", "/.py"]),
    ("a range", ["[a-c].py"], ["b.py"], ["d.py"]),
    ("all but a range", ["[^a-c].py"], ["d.py"], ["b.py"]),
    ("a dot is a dot", ["a.py"], ["a.py"], ["aXpy"]),
    ("an escaped star", [r"\*.py"], ["*.py"], ["a.py"]),
    ("what is no range", ["a[b"], ["a[b"], ["ab"]),
    ("comments and blanks", ["# data", "", "  other  "], ["other"], ["data", "# data"]),
    ("brought back", ["*", "!keep", "!sub/*.py"], ["x", "sub/x.txt"], ["keep", "keep/x", "sub/a.py"]),
    ("the last line counts", ["!a.py", "*.py"], ["a.py"], []),
    ("brought back and left out again", ["*.py", "!a.py", "a.*"], ["a.py"], ["a/b"]),
    ("dots in a path", ["./sub/../data"], ["data"], ["sub"]),
    ("the folder itself means nothing", [".", "/"], [], ["a"]),
    ("names that are not ASCII", ["größe *"], ["größe 1"], ["größe"]),
]


@pytest.mark.parametrize("lines, out, stays", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_line_leaves_out_what_docker_would(lines, out, stays):
    ignore = Ignore(lines)

    assert [name for name in out if not ignore.leaves_out(name)] == []
    assert [name for name in stays if ignore.leaves_out(name)] == []


def test_nobody_looks_into_a_folder_that_is_left_out_unless_something_may_come_back():
    assert Ignore(["data"]).leaves_out_all_of("data")
    assert not Ignore(["data", "!data/keep"]).leaves_out_all_of("data")
    assert not Ignore(["data"]).leaves_out_all_of("code")


def test_our_own_lines_leave_out_histories_environments_caches_and_secrets():
    ignore = Ignore(LINES)

    for name in (".git/config", ".venv/bin/python", "iris/__pycache__/models.pyc", ".env", "Dockerfile"):
        assert ignore.leaves_out(name)
    for name in ("settings.json", "iris/model.skops", "requirements.txt", ".srv/wheels/a.whl", "environment.yaml"):
        assert not ignore.leaves_out(name)
