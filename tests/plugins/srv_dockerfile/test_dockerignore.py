"""The rules of .dockerignore, as Docker has them."""

import pytest

from srv_dockerfile.dockerignore import Ignore, pattern_of
from srv_dockerfile.errors import BadIgnorePattern

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


# What github.com/moby/patternmatcher, the matcher of Docker and BuildKit, answers; most rows are from its own tests.
DOCKERS_ANSWERS = [
    ("**", "dir/file", True),
    ("**/", "file", True),
    ("**/**", "dir/file", True),
    ("dir/**", "dir/dir2/file", True),
    ("**/dir", "dir/file", True),
    ("**/dir2/*", "dir/dir2/file", True),
    ("**file", "dir/dir/file", True),
    ("**file", "dir/myfile", True),
    ("**file*", "dir/myfile", False),
    ("**.txt", "a.txt", True),
    ("**.tx?", "a.txt", False),
    ("**/file*.txt*", "dir/dir/file.txt", True),
    ("**/**/*.txt", "file.txt", True),
    ("**/**/*.txt2", "dir/dir/file.txt", False),
    ("a**/*.txt", "a/file.txt", True),
    ("a**/*.txt", "a/dir/dir/file.txt", True),
    ("a**b", "ab", True),
    ("a**b", "ax/b", True),
    ("a**b", "axb", False),
    ("a/*.txt", "a/dir/file.txt", False),
    ("a/*.txt**", "a/file.txt", True),
    ("abc**", "abcd/e", True),
    ("a[b-d]e", "ace", True),
    ("a[^b-d]e", "ace", False),
    ("a[^b-d]e", "aze", True),
    ("a[!b]c", "abc", True),
    ("a[!b]c", "a!c", True),
    ("a[!b]c", "adc", False),
    (r"[\]a]b", "]b", True),
    (r"[\-x]", "-", True),
    ("[[]", "[", True),
    ("[&&~~||]", "~", True),
    ("[a-ζ]*", "α", True),
    ("a?b", "a☺b", True),
    ("a?b", "a/b", False),
    ("a*b", "a/b", False),
    (".*", ".foo", True),
    (".*", "foo", False),
    ("abc.def", "abcZdef", False),
    (r"a\\", "a\\", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "ab", False),
    ("a(b)c/def", "a(b)c/def", True),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
    ("data/", "data", True),
    ("data/", "sub/data", False),
    ("/../data", "data", True),
    (" #name", "#name", True),
    ("#name", "#name", False),
    ("a b ", "a b", True),
    ("a*b", "a\nb", True),
]


@pytest.mark.parametrize("pattern, name, out", DOCKERS_ANSWERS)
def test_one_pattern_means_what_dockers_own_matcher_says(pattern, name, out):
    assert Ignore([pattern]).leaves_out(name) is out


@pytest.mark.parametrize("line", ["[z-a]", "a[b", "[]a]", "[-x]", "[x-]", "[^]", "x/[c-", "a\\", "!", "! ", "![z-a]"])
def test_a_line_that_docker_refuses_is_named(line):
    with pytest.raises(BadIgnorePattern) as refused:
        Ignore(["data", line])

    assert f".dockerignore has the line '{line.strip()}', which is no pattern: " in str(refused.value)


def test_nobody_looks_into_a_folder_that_is_left_out_unless_something_of_it_may_come_back():
    assert Ignore(["data"]).leaves_out_all_of("data")
    assert Ignore(["data", "!models/keep", "!d*x/a"]).leaves_out_all_of("data")
    for back in ("!data/keep", "!**/keep", "!d*/a/b", "!*", "![a-d]ata/x"):
        assert not Ignore(["data", back]).leaves_out_all_of("data")
    assert not Ignore(["data"]).leaves_out_all_of("code")


def test_the_line_that_decides_about_a_name_is_known():
    ignore = Ignore(["# a comment", "*.bin", "**/data", "!keep.bin"])

    assert ignore.line_for("a/data/x") == "**/data"
    assert ignore.line_for("keep.bin") == "!keep.bin"
    assert ignore.line_for("models.py") is None


@pytest.mark.parametrize("name", ["a*b", "[x]", "!not", "#no", " blanks ", r"back\slash", "größe?", "two\nlines"])
def test_a_pattern_is_made_that_matches_one_name(name):
    ignore = Ignore([pattern_of(name)])

    assert ignore.leaves_out(name)
    assert ignore.leaves_out(f"{name}/below")
    assert not ignore.leaves_out(f"x{name}")
