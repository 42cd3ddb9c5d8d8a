"""assert_codec_round_trips lets good codecs pass, and tells of each bad one what is wrong and what to do."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

from srv import InferenceRequest, InferenceResponse, InputCodec, InvalidInput, RequestCodec, Tensor
from srv.testing import assert_codec_round_trips

ONE = [Decimal("1.5")]


class Decimals(InputCodec):
    """Exact numbers as text."""

    content_type: ClassVar[str] = "decimal"
    type_hint: ClassVar[Any] = list[Decimal]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value):
        return isinstance(value, list) and all(isinstance(number, Decimal) for number in value)

    def decode(self, tensor):
        if tensor.datatype != "BYTES":
            raise InvalidInput(f"Input '{tensor.name}' must be BYTES.")
        try:
            return [Decimal(number.decode()) for number in tensor.data.reshape(-1)]
        except (UnicodeDecodeError, InvalidOperation):
            raise InvalidInput(f"Input '{tensor.name}' holds what is no number.") from None

    def encode(self, name, value):
        texts = np.array([str(number).encode() for number in value], object)
        return Tensor(name, texts, "BYTES", parameters={"content_type": self.content_type})


class Point(NamedTuple):
    x: float
    y: float


class Points(RequestCodec):
    """A request with two inputs as a point."""

    content_type: ClassVar[str] = "point"
    type_hint: ClassVar[Any] = Point

    def can_encode(self, value):
        return isinstance(value, Point)

    def read(self, tensors):
        given = {tensor.name: tensor for tensor in tensors}
        if set(given) != {"x", "y"} or any(tensor.datatype != "FP64" or tensor.shape != (1,) for tensor in tensors):
            raise InvalidInput("A point has the inputs 'x' and 'y', FP64 of the shape [1].")
        return Point(float(given["x"].data[0]), float(given["y"].data[0]))

    def written(self, value):
        return [Tensor("x", [float(value.x)]), Tensor("y", [float(value.y)])]

    def decode_request(self, request):
        return self.read(request.inputs)

    def decode_response(self, response):
        return self.read(response.outputs)

    def encode_request(self, value):
        return InferenceRequest(self.written(value), parameters={"content_type": self.content_type})

    def encode_response(self, value):
        return InferenceResponse(self.written(value), parameters={"content_type": self.content_type})


@pytest.mark.parametrize(
    "codec, values, wrong",
    [
        (Decimals, [ONE, [], [Decimal("0.1"), Decimal("1E+30")]], [Tensor("x", ["one"]), Tensor("x", [1.5])]),
        (Points, [Point(1.0, -2.5), Point(0.0, 0.0)], [InferenceRequest([Tensor("x", [1.0])]), Tensor("x", ["a"])]),
        ("np", [np.arange(3), np.zeros((0, 2), np.float32), np.array(1.5), np.array([np.inf])], []),
        ("str", [["a", "ü"], []], [Tensor("x", [b"\xff"]), Tensor("x", [1])]),
    ],
    ids=["input codec", "request codec", "np by name", "str by name"],
)
def test_good_codecs_round_trip(codec, values, wrong):
    assert_codec_round_trips(codec, values, wrong=wrong)


class NeedsAnArgument(Decimals):
    def __init__(self, places):
        self.places = places


class NoContentType(Decimals):
    content_type: ClassVar[Any] = None


class Blank(Decimals):
    content_type: ClassVar[str] = "a decimal"


class NoHint(Decimals):
    type_hint: ClassVar[Any] = None


class NoSuchDatatype(Decimals):
    datatype: ClassVar[str | None] = "TEXT"


class AskedRaises(Decimals):
    def can_encode(self, value):
        return isinstance(value[0], Decimal)


class AskedMumbles(Decimals):
    def can_encode(self, value):
        return value and super().can_encode(value)


class TakesItAll(Decimals):
    def can_encode(self, value):
        return True


class TakesNothing(Decimals):
    def can_encode(self, value):
        return False


class Silent(Decimals):
    def encode(self, name, value):
        return Tensor(name, super().encode(name, value).data)


class OwnName(Decimals):
    def encode(self, name, value):
        return super().encode("decimals", value)


class OtherDatatype(Decimals):
    def encode(self, name, value):
        return Tensor(name, [float(number) for number in value], parameters={"content_type": self.content_type})


class CannotAfterAll(Decimals):
    def encode(self, name, value):
        raise OverflowError("too exact")


class Loses(Decimals):
    def encode(self, name, value):
        return super().encode(name, [round(number) for number in value])


class OtherHint(Decimals):
    type_hint: ClassVar[Any] = list[Fraction]


class OtherHintByName(Decimals):
    type_hint: ClassVar[Any] = "pandas.DataFrame"


class LeansOnWhatDoesNotTravel(Decimals):
    kept: ClassVar[dict[int, list[Decimal]]] = {}

    def encode(self, name, value):
        tensor = super().encode(name, value)
        self.kept[id(tensor.data)] = value
        return tensor

    def decode(self, tensor):
        if id(tensor.data) not in self.kept:
            raise InvalidInput("not one of mine")
        return self.kept[id(tensor.data)]


class RaisesForOthers(Decimals):
    def decode(self, tensor):
        return [Decimal(number.decode()) for number in tensor.data.reshape(-1)]


class ReadsAnything(Decimals):
    def decode(self, tensor):
        try:
            return super().decode(tensor)
        except InvalidInput:
            return []


class RefusesWithoutAWord(Decimals):
    def decode(self, tensor):
        try:
            return super().decode(tensor)
        except InvalidInput:
            raise InvalidInput from None


class Shared(Decimals):
    def decode(self, tensor):
        self.numbers = []
        for number in super().decode(tensor):
            self.numbers.append(number)
        return self.numbers if len(self.numbers) < 2 else list(self.numbers)

    def encode(self, name, value):
        self.last = value
        for _ in range(2000):
            pass
        return super().encode(name, self.last)


class SilentPoints(Points):
    def encode_response(self, value):
        return InferenceResponse(self.written(value))


class PointsOfAnything(Points):
    def read(self, tensors):
        return Point(float(tensors[0].data[0]), float(tensors[1].data[0]))


POINT = [Point(1.0, 2.0)]


@pytest.mark.parametrize(
    "codec, values, wrong, sentence",
    [
        (NeedsAnArgument, ONE, [], "cannot be made: .*'places'(?s:.*)without arguments"),
        (NoContentType, ONE, [], "has the content_type None"),
        (Blank, ONE, [], "has the content_type 'a decimal'(?s:.*)without blanks"),
        (NoHint, ONE, [], "has no type_hint"),
        (NoSuchDatatype, ONE, [], "has the datatype 'TEXT'"),
        (AskedRaises, ONE, [], r"raises TypeError in can_encode\(None\)"),
        (AskedMumbles, ONE, [], r"answers can_encode\(None\) with None"),
        (TakesItAll, ONE, [], "can encode any object at all"),
        (TakesNothing, ONE, [], "says that it cannot encode .*, one of `values`"),
        (Silent, ONE, [], r"with content_type None and not 'decimal'(?s:.*)parameters="),
        (OwnName, ONE, [], r"encodes a tensor called 'decimals' where encode\('x', ...\) asked"),
        (OtherDatatype, ONE, [], "as FP64, and its class says BYTES"),
        (CannotAfterAll, ONE, [], r"raises OverflowError for .*: too exact(?s:.*)let can_encode answer False"),
        (Loses, ONE, [], r"makes \[Decimal\('2'\)\] of \[Decimal\('1.5'\)\] by itself"),
        (OtherHint, ONE, [], r"decodes to builtins.list, and its type_hint is list\[fractions.Fraction\]"),
        (OtherHintByName, ONE, [], "decodes to builtins.list, and its type_hint is 'pandas.DataFrame'"),
        (LeansOnWhatDoesNotTravel, ONE, [], "cannot read .* once it has travelled as JSON: 400"),
        (RaisesForOthers, ONE, [], r"raises AttributeError for BOOL \[\] of ones(?s:.*)raise srv.InvalidInput"),
        (ReadsAnything, ONE, [Tensor("x", ["one"])], r"reads wrong\[0\] as \[\], and should refuse it"),
        (RefusesWithoutAWord, ONE, [Tensor("x", ["one"])], r"refuses wrong\[0\] without a word"),
        (Shared, [Decimal(1)], [], "goes wrong when 8 threads use it at once(?s:.*)keep nothing of a request in it"),
        (SilentPoints, POINT, [], "with content_type None and not 'point'(?s:.*)encode_response must say"),
        (PointsOfAnything, POINT, [], "raises IndexError for BOOL"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_bad_codec_is_told_what_is_wrong_with_it(codec, values, wrong, sentence):
    if codec is Shared:
        values = [[Decimal(place)] * 3 for place in range(8)]
    elif values is ONE:
        values = [ONE]
    with pytest.raises(AssertionError, match=sentence) as raised:
        assert_codec_round_trips(codec, values, wrong=wrong)
    assert str(raised.value).startswith(codec.__name__)


class Raw(Decimals):
    """Bytes as they are: JSON cannot say them, binary data can."""

    content_type: ClassVar[str] = "raw"
    type_hint: ClassVar[Any] = bytes

    def can_encode(self, value):
        return isinstance(value, bytes)

    def decode(self, tensor):
        if tensor.datatype != "BYTES" or tensor.shape != (1,):
            raise InvalidInput("not raw")
        return tensor.data[0]

    def encode(self, name, value):
        return Tensor(name, [value], parameters={"content_type": "raw"})


def test_what_json_cannot_say_goes_as_binary_data_alone():
    assert_codec_round_trips(Raw, [b"\xff\x00", b""])


def test_another_kind_of_sameness_may_be_meant():
    with pytest.raises(AssertionError, match="give `same`"):
        assert_codec_round_trips(Loses, [ONE])
    assert_codec_round_trips(Loses, [ONE], same=lambda given, wanted: given == [round(number) for number in wanted])


def test_a_codec_without_values_is_not_tried():
    with pytest.raises(ValueError, match="at least one value"):
        assert_codec_round_trips(Decimals, [])
