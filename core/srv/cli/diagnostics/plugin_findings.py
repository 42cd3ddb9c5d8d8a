"""Findings about plugins: refused, broken, contested, deprecated, or without a version range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from srv.cli.diagnostics.finding import Finding, advice, problem
from srv.discovery import Plugin, PluginKind, Plugins, PluginState
from srv.discovery.required import unusable
from srv.errors import closed


def examine(found: Plugins, tried: Sequence[Plugin]) -> Iterator[Finding]:
    """Yield findings about what discovery found, and about the outcome of importing it."""
    hindrances = unusable(tried, found.choice)
    for row in tried:
        if row.missing_extra and row not in hindrances and (row.usable or row.awaits_extra):
            yield _without_extra(row)
        elif row.state is PluginState.QUARANTINED:
            yield _hindering(_broken(row), row) if row in hindrances else _broken(row)
        elif row.state is PluginState.REFUSED:
            yield _hindering(_refused(row), row) if row in hindrances else _refused(row)
        elif row in hindrances:
            remedy = f'Add "{row.qualified}" to plugins.only.'
            yield _hindering(problem(row.qualified, f"The {row} is disabled: {closed(row.reason)}", remedy), row)
    yield from _contested(tried)
    yield from _undeclared(tried)
    yield from _deprecated(tried)
    for sentence in found.unmatched():
        yield advice("plugins", sentence, "Correct the settings, or the options of the command.")
    yield from _undivided(found, tried)


def _undivided(found: Plugins, tried: Iterable[Plugin]) -> Iterator[Finding]:
    """Yield files that several runtimes recognise and not all of them tell from the others' by the content."""
    recognising = {name for row in tried if row.recognises for name in (row.name, row.qualified)}
    for file, runtimes in found.recognised_files().items():
        silent = [runtime for runtime in runtimes if runtime not in recognising]
        if len(runtimes) > 1 and silent:
            yield advice(
                file,
                f"The runtimes {' and '.join(runtimes)} recognise files called {file}, and {' and '.join(silent)} "
                f"{'takes' if len(silent) == 1 else 'take'} any of them, whatever it holds.",
                f'Name the runtime in the model\'s settings, or set plugins.prefer to {{"file:{file}": "distribution"}}.',
            )


def _hindering(finding: Finding, row: Plugin) -> Finding:
    """Return the finding about a required plugin without which no server starts."""
    owner = row.computed_by or row
    return replace(
        finding,
        what=f"{finding.what} srv does not serve without it, because {owner.required}.",
        remedy=f'{finding.remedy} Where a server may run without it, say so with plugins.optional: ["{owner.qualified}"].',
    )


def _broken(row: Plugin) -> Finding:
    if row.reason.startswith("its settings are wrong"):
        remedy = "Mend its section of the settings"
    elif row.reason.startswith("ModuleNotFoundError"):
        remedy = "Install what is missing"
    else:
        remedy = f"Install another version of {row.distribution}"
    return problem(
        row.qualified,
        f"The {row} is quarantined: {closed(row.reason)}",
        f'{remedy}, or leave it out with plugins.disable: ["{row.qualified}"]. '
        f"`srv plugins check {row.distribution}` shows the traceback.",
        row.traceback,
    )


def _without_extra(row: Plugin) -> Finding:
    what, _, command = row.missing_extra.rpartition(": ")
    return advice(row.qualified, f"The {row} cannot do all that it is for: {what}.", f"{command}, if you want it.")


def _refused(row: Plugin) -> Finding:
    if row.kind is PluginKind.UNKNOWN:
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
    contested: dict[tuple[PluginKind, str], list[Plugin]] = {}
    for row in rows:
        if row.usable and row.reason.startswith("contested"):
            contested.setdefault((row.kind, row.name), []).append(row)
    for (kind, name), rivals in contested.items():
        yield advice(
            f"{kind.value}:{name}",
            f"{' and '.join(row.distribution for row in rivals)} bring a {kind.noun} called '{name}', so nobody has "
            f"the name.",
            f'Set plugins.prefer to {{"{kind.value}:{name}": "{rivals[0].distribution}"}}, or uninstall one.',
        )


def _deprecated(rows: Iterable[Plugin]) -> Iterator[Finding]:
    for row in rows:
        for warning in row.deprecations:
            yield advice(
                row.qualified,
                f"The {row} will fail: {closed(warning)}",
                f"Install a version of {row.distribution} that does not use it, or tell its author.",
            )


def _undeclared(rows: Iterable[Plugin]) -> Iterator[Finding]:
    silent = {row.distribution for row in rows if row.usable and row.warning}
    for distribution in sorted(silent):
        yield advice(
            distribution,
            f"{distribution} does not say which versions of srv-inference it works with.",
            "Its author should add a requirement such as srv-inference>=0.1,<0.2.",
        )
