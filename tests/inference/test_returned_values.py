"""What predict may return: values of numpy's, pandas' and Python's own types, alone, in a dict, in a list, in a table."""

import re
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from srv import InferenceRequest, Runtime
from srv.testing import Client, model

MOMENTS = pd.Series(["2026-01-02", None], dtype="datetime64[ns]")
ZONED = MOMENTS.dt.tz_localize("Europe/Berlin")
TEXTS = ["2026-01-02T00:00:00", None]
STRINGS = np.array(["a", "ü"])

#: What is returned, its datatype and content type, and the data in JSON.
SENT = {
    "masked floats": (np.ma.array([1.5, 2.5], mask=[False, True]), "FP64", "np", [1.5, None]),
    "masked integers with nothing masked": (np.ma.array([1, 2]), "INT64", "np", [1, 2]),
    "a matrix": (np.ones((1, 2)).view(np.matrix), "FP64", "np", [1.0, 1.0]),
    "datetimes of numpy": (np.array(["2026-01-02", "NaT"], "M8[s]"), "BYTES", "datetime", TEXTS),
    "a datetime of numpy": (np.datetime64("2026-01-02"), "BYTES", "datetime", TEXTS[:1]),
    "a list of datetimes of numpy": ([np.datetime64("2026-01-02"), None], "BYTES", "datetime", TEXTS),
    "a datetime and None": ([datetime(2026, 1, 2), None], "BYTES", "datetime", TEXTS),  # noqa: DTZ001
    "NaT": (pd.NaT, "BYTES", "datetime", [None]),
    "a Timestamp": (pd.Timestamp("2026-01-02"), "BYTES", "datetime", TEXTS[:1]),
    "dates": ([date(2026, 1, 2), None], "BYTES", "json", ['"2026-01-02"', "null"]),
    "Decimals": ([Decimal("1.10")], "BYTES", "json", ['"1.10"']),
    "UUIDs": ([uuid.UUID(int=1)], "BYTES", "json", ['"00000000-0000-0000-0000-000000000001"']),
    "integers of any size": ([2**70, -1], "BYTES", "json", [str(2**70), "-1"]),
    "a Series of floats": (pd.Series([1.5, None]), "FP64", "np", [1.5, None]),
    "a Series of float32": (pd.Series([1.5], dtype="float32"), "FP32", "np", [1.5]),
    "a Series of integers": (pd.Series([1, 2], index=["b", "a"]), "INT64", "np", [1, 2]),
    "a Series of booleans": (pd.Series([True]), "BOOL", "np", [True]),
    "a Series of Int64": (pd.Series([1, 2], dtype="Int64"), "INT64", "np", [1, 2]),
    "a Series of Int64 with NA": (pd.Series([1, None], dtype="Int64"), "BYTES", "json", ["1", "null"]),
    "a Series of boolean with NA": (pd.Series([True, None], dtype="boolean"), "BYTES", "json", ["true", "null"]),
    "a Series of Float32 with NA": (pd.Series([1.5, None], dtype="Float32"), "FP32", "np", [1.5, None]),
    "a Series of text": (pd.Series(["a", "ü"]), "BYTES", "str", ["a", "ü"]),
    "a Series of text with gaps": (pd.Series(["a", None]), "BYTES", "json", ['"a"', "null"]),
    "a Series of bytes": (pd.Series([b"\xff"]), "BYTES", "base64", ["/w=="]),
    "a Series of categories": (pd.Series(["a", "a"], dtype="category"), "BYTES", "str", ["a", "a"]),
    "a Series of datetimes": (MOMENTS, "BYTES", "datetime", TEXTS),
    "a Series in a time zone": (ZONED, "BYTES", "datetime", ["2026-01-02T00:00:00+01:00", None]),
    "a Series of lists": (pd.Series([[1], [2, 3]]), "BYTES", "json", ["[1]", "[2,3]"]),
    "an Index": (pd.Index([3, 4]), "INT64", "np", [3, 4]),
    "an Index of text": (pd.Index(["a", "b"]), "BYTES", "str", ["a", "b"]),
    "a RangeIndex": (pd.RangeIndex(2), "INT64", "np", [0, 1]),
    "a DatetimeIndex": (pd.DatetimeIndex(MOMENTS), "BYTES", "datetime", TEXTS),
    "an array of pandas": (pd.array([1, None], dtype="Int64"), "BYTES", "json", ["1", "null"]),
    "a Categorical": (pd.Categorical(["a"]), "BYTES", "str", ["a"]),
}

REFUSED = {
    "masked integers": (np.ma.array([1, 2], mask=[False, True]), r"masked at \[1\], and int64 has no value"),
    "longdouble": (np.ones(1, np.longdouble), r"holds float128.*; make it float64 with x\.astype"),
    "complex": (np.ones(1, complex), "ndarray of complex128.*its real and its imaginary part"),
    "a complex number": (1j, "complex.*its real and its imaginary part"),
    "durations": (np.array([1], "m8[s]"), r"ndarray of timedelta64\[s\].*its seconds"),
    "a duration": (timedelta(1), r"timedelta.*value\.total_seconds\(\)"),
    "records": (np.zeros(1, [("a", "i4")]), "ndarray of .*each of its fields"),
    "a large integer among objects": (np.array([1, 2**70], object), r"value of type int at \[0\]"),
    "None among numbers": (np.array([None, 1.5], object), r"value of type float at \[1\].*NaN for None"),
    "a Decimal": (Decimal(1), r"Decimal.*float\(value\), or str\(value\).*'json'"),
    "a UUID": (uuid.UUID(int=1), r"UUID.*str\(value\).*'json'"),
    "a date": (date(2026, 1, 2), "date.*'datetime'.*'json'"),
    "a time": (time(1), r"time.*str\(value\)"),
    "NA": (pd.NA, "NAType.*content type 'pd'"),
    "None": (None, "NoneType.*content type 'pd'"),
    "a set": ({1}, "set.*, which no installed codec can encode; return a list"),
    "a set in a list": ([{1}], "list of set.*; return a list"),
    "a generator": ((each for each in [1]), "generator.*return a list, or write predict_stream"),
    "half an emoji": (["a", "\ud83d"], "element 1 holds half of a surrogate pair"),
    "half an emoji in an array": (np.array(["\ud83d"]), r"half of a surrogate pair at \[0\]"),
    "a datetime of nanoseconds": ([pd.Timestamp(1)], "element 0 is finer than microseconds"),
    "periods": (
        pd.Series(pd.period_range("2026", periods=1, freq="D")),
        r"period\[D\] cannot be sent: it holds Period",
    ),
    "intervals": (pd.IntervalIndex.from_breaks([0, 1]), "interval.* cannot be sent: it holds Interval"),
    "a Series of durations": (pd.Series(pd.to_timedelta([1])), "timedelta64.* cannot be sent: it holds Timedelta"),
    "a Series of dates": (
        pd.Series([date(2026, 1, 2)]),
        r"object cannot be sent: it holds date; .*pandas\.to_datetime",
    ),
    "a Series of Decimals": (pd.Series([Decimal(1)]), r"it holds Decimal; .*astype\(float\)"),
    "a MultiIndex": (pd.MultiIndex.from_tuples([(1, 2)]), "MultiIndex"),
    "a list that holds itself": ([], "list that holds itself"),
}
REFUSED["a list that holds itself"][0].append(REFUSED["a list that holds itself"][0])

if hasattr(np.dtypes, "StringDType"):
    SENT["numpy's variable text"] = (STRINGS.astype(np.dtypes.StringDType()), "BYTES", "np", ["a", "ü"])


class Alone(Runtime):
    def predict(self, x: list[str]):
        return (SENT.get(x[0]) or REFUSED[x[0]])[0]


class Named(Runtime):
    def predict(self, x: list[str]):
        return {"it": (SENT.get(x[0]) or REFUSED[x[0]])[0]}


@pytest.fixture(scope="module")
def client():
    with Client.of(model(Alone), model(Named)) as client:
        yield client


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("how", ["Alone", "Named"])
def test_a_value_goes_out_as_what_it_means(client, how, name):
    _, datatype, content_type, data = SENT[name]

    answer = client.infer(how, {"x": [name]})

    assert answer.ok, answer
    (output,) = answer.json["outputs"]
    assert output["name"] == ("output" if how == "Alone" else "it")
    assert (output["datatype"], output["parameters"], output["data"]) == (
        datatype,
        {"content_type": content_type},
        data,
    )


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("how", ["Alone", "Named"])
def test_a_value_that_cannot_go_out_is_the_models_error_that_says_what_to_do(client, how, name):
    _, sentence = REFUSED[name]

    answer = client.infer(how, {"x": [name]})

    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert re.search(sentence, answer.error), answer.error
    if how == "Named":
        assert "'it'" in answer.error


class Column(Runtime):
    def predict(self, request: InferenceRequest):
        return pd.DataFrame({"it": SENT[request["x"][0].decode()][0]})


@pytest.mark.parametrize("name", [name for name, (value, *_) in SENT.items() if isinstance(value, pd.Series)])
def test_a_series_is_sent_as_a_column_of_a_table_is(name):
    _, datatype, content_type, data = SENT[name]
    with Client.of(model(Column)) as client:
        (output,) = client.infer("Column", {"x": [name]}).json["outputs"]

    assert (output["datatype"], output["data"]) == (datatype, data)
    told = output.get("parameters", {}).get("content_type", "np")
    assert told == ("pd_json" if content_type == "json" else content_type)
