"""Which models a worker loads at its start: what its cohort has found in the repository, or what the others serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from srv.model_settings import ModelKey
from srv.serve.run_directory import RunDirectory, State


def state_to_load(
    directory: RunDirectory, found: Callable[..., Sequence[ModelKey]], *, reads_repository: bool, reloads: bool
) -> State:
    """Return the state that a worker is to serve. `found` gives the repository's models; the first of a cohort asks it."""

    def wanted(before: State) -> tuple[ModelKey, ...]:
        return tuple(found(loaded={name for name, _ in before.models or ()}, unloaded=before.unloaded))

    if reads_repository:
        return directory.coming(wanted)
    state = directory.state()
    # Where edits are taken in, the state is as old as the last reload, and models have come and gone since.
    return replace(state, models=wanted(state)) if reloads else state


def newest_generation(directory: RunDirectory, *, reads_repository: bool) -> int:
    """Return the generation that a worker must have reached before it serves."""
    return (directory.latest() if reads_repository else directory.state()).generation
