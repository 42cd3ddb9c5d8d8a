"""Each class of error has its stable name, whatever classes of plugins say."""

import pytest

from srv.errors import InvalidInput, LoadFailed, SettingsError, SrvError, UnknownModel, code_of


class Own(InvalidInput):
    code = "E42"


class Numbered(InvalidInput):
    code = 42


class Exits(SrvError):
    def __init__(self):
        super().__init__("Something.")
        self.code = 3


@pytest.mark.parametrize(
    "error, code",
    [
        (UnknownModel("x", []), "NOT_FOUND"),
        (LoadFailed("x"), "LOAD_FAILED"),
        (SettingsError("x"), "INTERNAL"),
        (Own("x"), "INVALID_INPUT"),
        (Numbered("x"), "INVALID_INPUT"),
        (Exits(), "INTERNAL"),
        (KeyError("x"), "INTERNAL"),
        (SystemExit(3), "INTERNAL"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_has_the_stable_name_of_its_class_or_of_the_nearest_base(error, code):
    assert code_of(error) == code
