"""Lengths of dimensions that a program of torch.export leaves open: their ranges, and how they depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import sympy
from torch.export import ExportedProgram

from srv import Tensor
from srv.errors import listed, quoted
from srv_torch.client_errors import WrongLength

#: A length: a number, a symbol that stands for one, or what it must be in terms of symbols.
Length: TypeAlias = int | sympy.Expr
#: The shapes of inputs, by their names.
Shapes: TypeAlias = Mapping[str, Sequence[Length]]

_UNBOUNDED = 2**62


class Lengths:
    """Checks the lengths of a request's tensors against those that a program takes."""

    def __init__(self, program: ExportedProgram, shapes: Shapes) -> None:
        self._shapes = shapes
        self._ranges = {symbol: (0, _UNBOUNDED) for symbol, _, _ in _symbols(shapes)} | _ranges(program)
        self._equations = list(_equations(shapes))

    def ranges(self) -> dict[str, list[int | None]]:
        """Return the least and the greatest length, None where there is none, by `input[dimension]`."""
        return {
            f"{name}[{place}]": [least, most if most < _UNBOUNDED else None]
            for symbol, name, place in _symbols(self._shapes)
            for least, most in [self._ranges[symbol]]
        }

    def most_rows(self) -> tuple[str, int] | None:
        """Return the input that takes the fewest rows, and how many; None where no number of rows is too large."""
        rows = [(self._ranges[symbol][1], name) for symbol, name, place in _symbols(self._shapes) if place == 0]
        most, name = min(rows, default=(_UNBOUNDED, ""))
        return (name, most) if most < _UNBOUNDED else None

    def check(self, given: Mapping[str, Tensor]) -> None:
        """Raise WrongLength for the first length that the program does not take; the ranks are right."""
        found: dict[sympy.Expr, tuple[int, str]] = {}
        for name, shape in self._shapes.items():
            tensor = given[name]
            for place, wanted in enumerate(shape):
                if isinstance(wanted, sympy.Symbol):
                    self._check_symbol(tensor, place, wanted, found)
                elif isinstance(wanted, int) and wanted != tensor.shape[place]:
                    raise WrongLength(name, place, tensor.shape[place], str(wanted))
        for name, place, needed, calculated in self._equations:
            wanted = int(calculated(*(found[symbol][0] for symbol in needed)))
            if given[name].shape[place] != wanted:
                others = listed({found[symbol][1] for symbol in needed})
                raise WrongLength(name, place, given[name].shape[place], f"{wanted}, because of {others}")

    def _check_symbol(
        self, tensor: Tensor, place: int, symbol: sympy.Symbol, found: dict[sympy.Expr, tuple[int, str]]
    ) -> None:
        """Check a length that is open: within its range, and the same wherever the program needs the same one."""
        length = tensor.shape[place]
        least, most = self._ranges[symbol]
        if not least <= length <= most:
            raise WrongLength(
                tensor.name, place, length, f"{least} {'or more' if most >= _UNBOUNDED else f'to {most}'}"
            )
        known, where = found.setdefault(symbol, (length, f"dimension {place} of {quoted(tensor.name)}"))
        if length != known:
            raise WrongLength(tensor.name, place, length, f"{known}, because of {where}")


def _symbols(shapes: Shapes) -> Iterable[tuple[sympy.Symbol, str, int]]:
    """Yield each dimension whose length is a symbol: the symbol, the input, the dimension's place."""
    for name, shape in shapes.items():
        for place, length in enumerate(shape):
            if isinstance(length, sympy.Symbol):
                yield length, name, place


def _ranges(program: ExportedProgram) -> dict[sympy.Symbol, tuple[int, int]]:
    """Return the least and the greatest length of each symbol of the program."""
    found = {}
    for symbol, bounds in program.range_constraints.items():
        if isinstance(symbol, sympy.Symbol):
            lower, upper = (int(each) if each.is_Integer else _UNBOUNDED for each in (bounds.lower, bounds.upper))
            found[symbol] = (max(lower, 0), upper)
    return found


def _equations(shapes: Shapes) -> Iterable[tuple[str, int, list[sympy.Symbol], Callable[..., Any]]]:
    """Yield each length that follows from others: the input, the dimension's place, the symbols, the function of them."""
    known = {symbol for symbol, _, _ in _symbols(shapes)}
    for name, shape in shapes.items():
        for place, length in enumerate(shape):
            if not isinstance(length, int | sympy.Symbol) and length.free_symbols <= known:
                needed = sorted(length.free_symbols, key=str)
                yield name, place, needed, sympy.lambdify(needed, length, modules="math")
