"""assert_tables lets good runtimes of tables pass, and tells of each bad one what is wrong."""

import numpy as np
import pandas as pd
import pytest

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Tensor
from srv.tables import Column, Table
from srv.testing import Binary, Json, assert_tables

FRAME = pd.DataFrame(
    {
        "city": ["Ulm", None, "Kiel"],
        "area": [50.5, np.nan, 70.0],
        "balcony": pd.Series([True, None, False], dtype=object),
        "since": pd.to_datetime(["2020-01-31T12:00:00", None, "2021-06-01T00:00:00"]),
    }
)
MISSING = [0, 4, 0]


class Gaps(Runtime):
    """Counts what is missing in each row."""

    missing_values = True
    columns = (
        Column("city", "text"),
        Column("area", "float"),
        Column("balcony", "boolean"),
        Column("since", "datetime"),
    )

    def load(self) -> None:
        self._table = Table(self.columns)
        self.inputs = self._table.specs()

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([Tensor("missing", self.counted(self._table.read(request)))])

    def counted(self, frame):
        return frame.isna().sum(axis=1).to_numpy(np.int64)


class Forgets(Gaps):
    def counted(self, frame):
        return frame.fillna({"city": "?"}).isna().sum(axis=1).to_numpy(np.int64)


class OneForm(Gaps):
    def predict(self, request):
        if len(request.inputs) == 1:
            raise InvalidInput("Send a tensor for each column.")
        return super().predict(request)


class Untold(Gaps):
    def load(self):
        super().load()
        self.inputs = self.inputs[:2]


class Lenient(Gaps):
    """Takes a table without a column that it declares."""

    columns = (*Gaps.columns[:3], Column("since", "datetime", optional=True))

    def load(self):
        super().load()
        self.inputs = Table(Gaps.columns).specs()


@pytest.mark.parametrize(
    "forms, count", [((Json(),), 4), ((Json(), Binary()), 8)], ids=["JSON", "JSON and binary data"]
)
def test_a_runtime_that_takes_every_form_passes(forms, count):
    assert assert_tables(Gaps, frame=FRAME, expected={"missing": MISSING}, forms=forms) == count


def test_every_wire_is_tried_unless_said_otherwise():
    assert assert_tables(Gaps, frame=FRAME, expected={"missing": MISSING}) == 16


@pytest.mark.parametrize(
    "runtime, sentence",
    [
        (Forgets, r"gives Tensor\('missing', INT64\[3\]\) \[0 3 0\] and not .* \[0 4 0\]"),
        (OneForm, r"answers one tensor over JSON with 400 .*Send a tensor for each column"),
        (Untold, r"has the inputs city, area, and not one for each of city, area, balcony, since"),
        (Lenient, r"answers a table without the column 'since' with 200"),
    ],
)
def test_a_runtime_that_does_otherwise_is_told(runtime, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert_tables(runtime, frame=FRAME, expected={"missing": MISSING}, forms=(Json(),))


def test_an_output_that_is_not_there_is_told():
    with pytest.raises(AssertionError, match="Output 'gaps' is unknown"):
        assert_tables(Gaps, frame=FRAME, expected={"gaps": MISSING}, forms=(Json(),))
