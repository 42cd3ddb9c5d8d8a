"""Examines the plugins: what is refused, broken, contested, or says too little of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from srv.cli.examine.finding import Finding, advice, problem
from srv.discovery import Kind, Plugin, Plugins, State
from srv.errors import closed


def examine(found: Plugins, tried: Sequence[Plugin]) -> Iterator[Finding]:
    """Findings about what was found, and about what came of importing it."""
    for row in tried:
        if row.state is State.QUARANTINED:
            yield _broken(row)
        elif row.state is State.REFUSED:
            yield _refused(row)
    yield from _contested(tried)
    yield from _undeclared(tried)
    for sentence in found.unmatched():
        yield advice("plugins", sentence, "Correct the settings, or the options of the command.")
    for file, runtimes in found.contested_files().items():
        yield advice(
            file,
            f"The runtimes {' and '.join(runtimes)} both recognise files called {file}.",
            f'Name the runtime in the model\'s settings, or set plugins.prefer to {{"file:{file}": "distribution"}}.',
        )


def _broken(row: Plugin) -> Finding:
    missing = row.reason.startswith("ModuleNotFoundError")
    return problem(
        row.qualified,
        f"The {row} is quarantined: {closed(row.reason)}",
        f"{'Install what is missing' if missing else f'Install another version of {row.distribution}'}, or leave it "
        f'out with plugins.disable: ["{row.qualified}"]. `srv plugins check {row.distribution}` shows the traceback.',
        row.traceback,
    )


def _refused(row: Plugin) -> Finding:
    if row.kind is Kind.UNKNOWN:
        return problem(
            row.distribution,
            f"{row.distribution} {row.version} is not used: {closed(row.reason)}",
            f"Install it again (pip install --force-reinstall {row.distribution}), or tell its author.",
        )
    if row.reason.startswith("it requires"):
        remedy = f"Install a version of {row.distribution} that was made for this srv, or another srv."
    elif row.name_taken:
        remedy = f'Ask for it as "{row.qualified}", or disable srv\'s own with "srv-inference:{row.name}".'
    else:
        remedy = f"Tell the author of {row.distribution}, or uninstall it."
    return problem(row.qualified, f"The {row} is refused: {row.reason}.", remedy)


def _contested(rows: Iterable[Plugin]) -> Iterator[Finding]:
    contested: dict[tuple[Kind, str], list[Plugin]] = {}
    for row in rows:
        if row.usable and row.reason.startswith("contested"):
            contested.setdefault((row.kind, row.name), []).append(row)
    for (kind, name), rivals in contested.items():
        yield advice(
            f"{kind.value}:{name}",
            f"{' and '.join(row.distribution for row in rivals)} bring a {kind.value} called '{name}', so nobody has "
            f"the name.",
            f'Set plugins.prefer to {{"{kind.value}:{name}": "{rivals[0].distribution}"}}, or uninstall one.',
        )


def _undeclared(rows: Iterable[Plugin]) -> Iterator[Finding]:
    silent = {row.distribution for row in rows if row.usable and row.warning}
    for distribution in sorted(silent):
        yield advice(
            distribution,
            f"{distribution} does not say which versions of srv-inference it works with.",
            "Its author should add a requirement such as srv-inference>=0.1,<0.2.",
        )
