"""Codecs are found by content type, by type hint and by value, and imported on first use."""

import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest

import srv.codecs
from srv import InputCodec, RequestCodec
from srv.codecs import (
    Codecs,
    ContestedContentType,
    UnknownContentType,
    UnusableContentType,
    WrongCodec,
)
from srv.discovery import PluginState, discover
from srv.errors import InvalidInput

UPPER = """
from srv import InputCodec, Tensor

class Upper(InputCodec):
    content_type = "x/upper"
    type_hint = str

    def can_encode(self, value):
        return isinstance(value, str) and value.isupper()

    def encode(self, name, value):
        return Tensor(name, [value.lower()], parameters={"content_type": "x/upper"})
"""
TABLE = """
from srv import RequestCodec

class Table(RequestCodec):
    content_type = "table"
    type_hint = "table_types.Table"

    def can_encode(self, value):
        return type(value).__name__ == "Table"
"""


@pytest.fixture
def upper(site):
    site.add("srv-upper", "[srv.codecs]\nx/upper = upper_codec:Upper\n", modules={"upper_codec": UPPER})
    return site


@pytest.fixture
def codecs(upper):
    upper.add("srv-table", "[srv.codecs]\ntable = table_codec:Table\n", modules={"table_codec": TABLE})
    return Codecs(discover())


# -- by content type --------------------------------------------------------------------------------------------------


def test_a_strangers_codec_is_imported_when_it_is_asked_for(codecs):
    assert "upper_codec" not in sys.modules

    codec = codecs.input("x/upper")

    assert isinstance(codec, InputCodec)
    assert codecs.input("x/upper") is codec
    assert "upper_codec" in sys.modules
    assert "table_codec" not in sys.modules


def test_a_content_type_that_nobody_provides_names_the_installed_ones_and_the_nearest(codecs):
    with pytest.raises(UnknownContentType) as error:
        codecs.input("x/uper")

    assert isinstance(error.value, InvalidInput)
    assert str(error.value) == (
        "No codec provides the content type 'x/uper'; installed: "
        f"{', '.join(sorted(codecs.names()))}. Did you mean 'x/upper'?"
    )


def test_a_long_content_type_is_cut_in_the_sentence(codecs):
    with pytest.raises(UnknownContentType) as error:
        codecs.check("x" * 5000)

    assert len(str(error.value)) < 300


def test_a_tables_content_type_is_none_for_one_tensor(codecs):
    with pytest.raises(
        WrongCodec,
        match=r"^The content type 'table' is not one for one tensor; these are: base64, datetime, json, np, ",
    ):
        codecs.input("table")
    with pytest.raises(WrongCodec, match=r"^The content type 'x/upper' is not one for a whole request"):
        codecs.request("x/upper")
    assert isinstance(codecs.request("table"), RequestCodec)


def test_which_forms_a_content_type_has(codecs):
    assert codecs.has_input("np")
    assert not codecs.has_input("table")
    assert codecs.has_input("x/upper")
    with pytest.raises(UnknownContentType):
        codecs.has_input("nope")


def test_a_content_type_of_two_strangers_is_bad_input_that_names_both(codecs, upper):
    upper.add("srv-rival", "[srv.codecs]\nx/upper = rival_codec:Upper\n")

    with pytest.raises(ContestedContentType, match="Both srv-rival and srv-upper bring a codec called 'x/upper'"):
        Codecs(discover()).input("x/upper")
    assert Codecs(discover()).input("srv-upper:x/upper").content_type == "x/upper"
    assert Codecs(discover(prefer={"codec:x/upper": "srv-upper"})).input("x/upper").content_type == "x/upper"


@pytest.mark.parametrize("source", ["1 / 0", "class Broken: ..."], ids=["raises", "no codec"])
def test_a_broken_codec_is_bad_input_that_tells_the_client_nothing_of_it(site, source):
    site.add("srv-broken", "[srv.codecs]\nbroken = broken_codec:Broken\n", modules={"broken_codec": source})
    plugins = discover()

    with pytest.raises(UnusableContentType) as error:
        Codecs(plugins).input("broken")

    assert str(error.value) == (
        "The codec of the content type 'broken' cannot be used here; the server's log says why."
    )
    assert "broken" not in Codecs(plugins).names()


def test_a_codec_that_cannot_be_made_is_quarantined(site):
    source = (
        "from srv import InputCodec\nclass Bad(InputCodec):\n    content_type = 'bad'\n    def __init__(self, x): ..."
    )
    site.add("srv-bad", "[srv.codecs]\nbad = bad_codec:Bad\n", modules={"bad_codec": source})
    plugins = discover()

    for _ in range(2):
        with pytest.raises(UnusableContentType):
            Codecs(plugins).input("bad")

    (row,) = [row for row in plugins.rows if row.name == "bad"]
    assert (row.state, row.reason) == (PluginState.QUARANTINED, "making Bad raised TypeError")


def test_a_disabled_codec_is_bad_input_and_the_log_says_why_once(upper, caplog):
    codecs = Codecs(discover(disable=["x/upper"]))

    for _ in range(2):
        with pytest.raises(UnusableContentType):
            codecs.input("x/upper")

    (record,) = caplog.records
    assert record.getMessage() == (
        "The content type 'x/upper' is not to be had: The codec 'x/upper' of srv-upper is disabled: "
        "plugins.disable names 'x/upper'."
    )


# -- by hint and by value ---------------------------------------------------------------------------------------------


def test_a_hint_finds_its_codec(codecs):
    assert codecs.input_for_hint(np.ndarray).content_type == "np"
    assert codecs.input_for_hint(list[str]).content_type == "str"
    assert codecs.input_for_hint(str).content_type == "x/upper"
    assert codecs.input_for_hint(dict) is None
    assert codecs.request_for_hint(np.ndarray).content_type == "np"


def test_a_hint_by_its_dotted_name_counts_once_its_module_is_imported(codecs, site):
    (site.folder / "table_types.py").write_text("class Table: ...")
    assert codecs.request_for_hint(dict) is None
    assert "table_types" not in sys.modules

    import table_types

    assert codecs.request_for_hint(table_types.Table).content_type == "table"
    assert codecs.request_for_value(table_types.Table()).content_type == "table"


def test_the_hints_are_listed_for_sentences(codecs):
    assert {"list[str]", "ndarray", "str", "table_types.Table", "pandas.DataFrame"} <= set(codecs.hints())


def test_a_value_finds_the_first_codec_that_takes_it_np_before_all_others(codecs):
    assert codecs.for_value(np.ones(3)).content_type == "np"
    assert codecs.for_value(["a"]).content_type == "str"
    assert codecs.for_value([]).content_type == "str"
    assert codecs.for_value([b"a"]).content_type == "base64"
    assert codecs.for_value([datetime(2026, 1, 2)]).content_type == "datetime"  # noqa: DTZ001  naive is meant
    assert codecs.for_value([None]).content_type == "json"
    assert codecs.for_value(object()) is None


def test_an_array_imports_no_other_codec(codecs):
    codecs.for_value(np.ones(3))

    assert "upper_codec" not in sys.modules
    assert "table_codec" not in sys.modules


def test_ours_are_asked_before_those_of_strangers(codecs):
    assert codecs.for_value("SHOUT").content_type == "str"


def test_a_broken_codec_is_left_out_where_all_are_asked(codecs, site, caplog):
    site.add("srv-broken", "[srv.codecs]\na-broken = broken_codec:Broken\n", modules={"broken_codec": "1 / 0"})
    codecs = Codecs(discover())

    assert codecs.for_value(object()) is None
    assert codecs.input_for_hint(str).content_type == "x/upper"
    assert len([record for record in caplog.records if "srv-broken" in record.getMessage()]) == 1


# -- for clients ------------------------------------------------------------------------------------------------------


def test_clients_get_codecs_by_content_type():
    assert srv.codecs.input_codec("np").encode("x", np.ones(3)).shape == (3,)
    assert srv.codecs.request_codec("str").encode_request(["a"]).inputs[0].name == "input"
    assert srv.codecs.input_codec("np") is srv.codecs.input_codec("np")


def test_codecs_for_clients_import_no_server():
    code = (
        "import sys, srv.codecs, numpy\nsrv.codecs.input_codec('np').encode('x', numpy.ones(3))\n"
        "assert not srv.codecs.request_codec('pd').can_encode(1)\n"
        "print([n for n in ('pandas', 'falcon', 'gunicorn', 'grpc', 'marshmallow', 'pluggy', 'click') if n in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
