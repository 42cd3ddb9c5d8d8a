import pytest

from srv.discovery.recognisers import Recognisers

RUNTIME = """
from srv import Runtime

class Mine(Runtime):
    {}
    def recognise(cls, path):
        {}
"""


@pytest.fixture
def refusal_of(site, tmp_path):
    """Return how a runtime refuses a file whose text is `yes`."""

    def ask(body, decorator="@classmethod"):
        source = RUNTIME.format(decorator, body) if body else "from srv import Runtime\nclass Mine(Runtime): ...\n"
        site.add("srv-mine", "[srv.runtimes]\nmine = srv_mine:Mine [model.x]\n", modules={"srv_mine": source})
        path = tmp_path / "model.x"
        path.write_text("yes")
        recognisers = Recognisers(site.discover())
        return [recognisers.refusal("mine", path) for _ in range(2)][-1]

    return ask


@pytest.mark.parametrize(
    "body, how",
    [
        ("", ""),
        ("return path.read_text() == 'yes'", ""),
        ("return path.read_text() == 'no'", "it says no"),
        ("return 1 / 0", "it raised ZeroDivisionError when asked"),
        ("raise SystemExit", "it raised SystemExit when asked"),
        ("return path", "it answered with a PosixPath, not with True or False"),
    ],
    ids=["the default", "yes", "no", "raises", "exits", "neither yes nor no"],
)
def test_a_runtime_says_whether_a_file_is_its_own(refusal_of, body, how):
    assert refusal_of(body) == how


def test_a_runtime_that_fails_when_asked_is_logged_once_with_its_name(refusal_of, caplog):
    refusal_of("return 1 / 0")

    [record] = caplog.records
    assert record.getMessage().startswith("Runtime 'mine' raised ZeroDivisionError when asked whether it can serve ")
    assert record.exc_info


def test_a_recognise_that_needs_an_instance_refuses_and_is_logged(refusal_of, caplog):
    assert refusal_of("return True", decorator="# no class method") == "it raised TypeError when asked"
    assert "missing 1 required positional argument: 'path'" in caplog.text


def test_a_runtime_that_cannot_be_imported_refuses_and_is_logged(site, tmp_path, caplog):
    site.add("srv-mine", "[srv.runtimes]\nmine = srv_mine:Mine [model.x]\n", modules={"srv_mine": "import not_there"})

    assert Recognisers(site.discover()).refusal("mine", tmp_path / "model.x") == "it cannot be imported"
    assert "Runtime 'mine' could not be asked" in caplog.text
