"""What can be wrong with the values of a tensor, in each form in which they travel as numbers or texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from srv.errors import InvalidInput, quoted


class WrongCount(InvalidInput):
    """More or fewer values than the shape has places."""

    def __init__(self, where: str, given: int, shape: Sequence[int]) -> None:
        values = "1 value does" if given == 1 else f"{given} values do"
        super().__init__(f"{where}: {values} not fill the shape {shown(shape)}, which has {math.prod(shape)}.")


class OutOfRange(InvalidInput):
    """A value that the datatype cannot hold."""

    def __init__(self, where: str, value: object, datatype: str) -> None:
        super().__init__(f"{where}: {quoted(value)} is out of {datatype}'s range.")


def shown(shape: Sequence[int]) -> str:
    """Return a client's shape as a sentence shows it, cut where it is long."""
    return quoted(list(shape)).strip("'")
