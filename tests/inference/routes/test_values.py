import json

import numpy as np
import pytest

from srv.inference.routes.failures import BadRouteValue
from srv.inference.routes.values import as_response


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.arange(6).reshape(2, 3).T, [[0, 3], [1, 4], [2, 5]]),
        (np.arange(4)[::2], [0, 2]),
        (np.array([1.5, np.nan], ">f8"), [1.5, None]),
        (np.array([1.5], np.float16), [1.5]),
        (np.array([1.5], np.longdouble), [1.5]),
        (np.array(3), 3),
        (np.float32(0.5), 0.5),
        (np.array(["tea", "cake"]), ["tea", "cake"]),
        (np.array([{"a": np.int64(1)}, None]), [{"a": 1}, None]),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), ["2020-01-01", None]),
        (
            np.ma.masked_array(np.array(["2020-01-01T02", "2020-01-02T02"], "M8[s]"), [1, 0]),
            [None, "2020-01-02T02:00:00"],
        ),
        (np.datetime64("NaT", "s"), None),
        (np.zeros((1, 0)), [[]]),
    ],
    ids=lambda value: repr(value).replace("\n", "")[:40] if isinstance(value, np.ndarray | np.generic) else "",
)
def test_arrays_and_scalars_of_numpy_are_lists_and_numbers_whatever_their_layout(value, said):
    assert json.loads(as_response({"is": value}, "GET it").body) == {"is": said}


@pytest.mark.parametrize(
    "value",
    [np.array([1j]), np.array([b"x"]), np.array([5], "m8[s]"), object()],
    ids=["complex", "bytes", "timedelta", "object"],
)
def test_what_json_has_no_form_for_is_told(value):
    with pytest.raises(BadRouteValue, match="a dict that is no JSON"):
        as_response({"is": value}, "GET it")
