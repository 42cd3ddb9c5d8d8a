"""The state of each plugin, decided in one place from what metadata and settings say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from srv.discovery.metadata import Distribution, Entry
from srv.discovery.plugin import CODE, FOLDER, GROUPS, OURS, Plugin, PluginKind, PluginState, normalised
from srv.discovery.renamed import RENAMED
from srv.version import __version__

#: Commands that core itself brings; they are no entry points, and their names are ours all the same.
COMMANDS_OF_CORE = frozenset({"start", "check", "plugins", "settings", "doctor", "models", "infer", "health"})

#: Routes of the REST face, which belong to core as its commands do; `{}` stands for a part that varies.
ROUTES_OF_CORE = frozenset(
    {
        *("/", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/stats"),
        *("/v2/docs/dataplane.json", "/v2/repository/index"),
        *(f"/v2/repository/models/{{}}/{verb}" for verb in ("load", "unload")),
        *(
            f"/v2/models/{{}}{version}{end}"
            for version in ("", "/versions/{}")
            for end in (
                *("", "/ready", "/config", "/stats", "/docs/dataplane.json"),
                *("/infer", "/infer_stream", "/generate", "/generate_stream"),
            )
        ),
    }
)
_VARIES = re.compile(r"\{[^/]*\}")


@dataclass(frozen=True)
class PluginChoice:
    """The choice among plugins that settings and command line make.

    `disable` and `only` hold distributions (`srv-sklearn`), names (`sklearn`), or both (`srv-sklearn:sklearn`,
    `runtime:sklearn`); `prefer` maps `runtime:sklearn` to a distribution. `optional` names hook modules, in the form of
    `disable`: the server serves without them even where they are required. `no_plugin` is `disable` of the command line.
    """

    disable: Sequence[str] = ()
    only: Sequence[str] | None = None
    prefer: Mapping[str, str] = field(default_factory=dict)
    optional: Sequence[str] = ()
    no_plugin: Sequence[str] = ()

    def preferred(self, kind: PluginKind, name: str) -> str | None:
        """Return the distribution that `prefer` gives a plain name to, normalised."""
        chosen = self.prefer.get(f"{kind.value}:{name}")
        return None if chosen is None else normalised(chosen)

    def disabled_by(self, row: Plugin) -> str:
        """Return what disables a plugin by name: `plugins.disable names 'x'`, `--no-plugin names 'x'`, or nothing."""
        for words, said in ((self.no_plugin, "--no-plugin"), (self.disable, "plugins.disable")):
            for word in words:
                if covers(word, row):
                    return f"{said} names '{word}'"
        return ""

    def is_optional(self, row: Plugin) -> bool:
        """Whether the server may serve without a plugin that is required."""
        return any(covers(word, row) for word in self.optional)


def rows_of(distributions: Iterable[Distribution]) -> list[Plugin]:
    """Make a row for each entry point, sorted by distribution and name, and not judged yet."""
    rows = [row for distribution in distributions for row in _rows_of(distribution)]
    return sorted(rows, key=sort_key)


def sort_key(plugin: Plugin) -> tuple[str, str, str]:
    """Return the key of the order in which plugins are listed and their hooks are called."""
    return normalised(plugin.distribution), plugin.name, plugin.kind.value


def decide(
    rows: Sequence[Plugin],
    requires: Mapping[str, Sequence[str]],
    choice: PluginChoice,
    running: str = __version__,
) -> dict[tuple[PluginKind, str], list[Plugin]]:
    """Give each row its state, and return for each plain name the rows that claim it: one has it, several contest it.

    `requires` holds the requirements on srv-inference by normalised distribution.
    """
    reserved = {"srv"} | {row.entry_point.partition(".")[0].partition(":")[0] for row in rows if row.ours}
    verdicts = {name: _version_verdict(lines, running) for name, lines in requires.items()}
    for row in rows:
        if row.kind is PluginKind.UNKNOWN or row.state is not PluginState.FOUND:
            continue
        row.reason = ""
        _decide_alone(row, choice, reserved, verdicts.get(normalised(row.distribution), ("", "")))
    return _decide_names(rows, choice)


def _rows_of(distribution: Distribution) -> list[Plugin]:
    if distribution.trouble:
        return [
            Plugin(
                kind=PluginKind.UNKNOWN,
                name="entry_points.txt",
                distribution=distribution.name,
                version=distribution.version,
                entry_point="",
                state=PluginState.REFUSED,
                reason=distribution.trouble,
            )
        ]
    return [_row_of(distribution, entry) for entry in distribution.entries]


def _row_of(distribution: Distribution, entry: Entry) -> Plugin:
    kind = GROUPS[entry.group]
    marks = frozenset({CODE, FOLDER}.intersection(entry.extras) if kind is PluginKind.RUNTIME else ())
    return Plugin(
        kind=kind,
        name=entry.name,
        distribution=distribution.name,
        version=distribution.version,
        entry_point=entry.value,
        ours=normalised(distribution.name) == OURS,
        # A hook module has no files: it is required by the word in brackets, whatever else the word may be.
        files=tuple(
            each for each in entry.extras if kind is PluginKind.HOOKS or each not in (*distribution.extras, *marks)
        ),
        marks=marks,
        extras=tuple(each for each in entry.extras if each in distribution.extras),
        missing_extra=next(filter(None, map(distribution.extras.get, entry.extras)), ""),
    )


def _decide_alone(row: Plugin, choice: PluginChoice, reserved: Collection[str], verdict: tuple[str, str]) -> None:
    """Decide what follows from a row by itself, without the others."""
    package = row.entry_point.partition(":")[0].partition(".")[0]
    refusal, warning = verdict
    disabled = choice.disabled_by(row)
    if disabled:
        row.state, row.reason = PluginState.DISABLED, disabled
    elif choice.only is not None and not row.ours and not any(covers(word, row) for word in choice.only):
        row.state, row.reason = PluginState.DISABLED, "plugins.only does not name it"
    elif row.ours:
        pass
    elif refusal:
        row.state, row.reason = PluginState.REFUSED, refusal
    elif row.kind is not PluginKind.ROUTE and (":" in row.name or not row.name.isprintable() or " " in row.name):
        row.state, row.reason = PluginState.REFUSED, "its name holds a colon or a blank, so nobody could ask for it"
    elif package in reserved:
        row.state, row.reason = PluginState.REFUSED, f"the import name '{package}' is srv's own"
    if not row.ours:
        row.warning = warning


def covers(word: str, row: Plugin) -> bool:
    """Whether a word of `disable` or `only` means this row; an old name means srv's own plugin that had it."""
    before, colon, name = word.rpartition(":")
    if row.ours and row.kind is PluginKind.HOOKS and RENAMED.get(name) == row.name:
        name = word = row.name
    if not colon:
        return word == row.name or normalised(word) == normalised(row.distribution)
    return name == row.name and (before == row.kind.value or normalised(before) == normalised(row.distribution))


def _version_verdict(requirements: Sequence[str], running: str) -> tuple[str, str]:
    """Return why a distribution's own requirement excludes this version of srv, and what to warn of."""
    if not requirements:
        return "", "it does not say which versions of srv-inference it works with"
    # Costs 15 ms, and most installations have no plugin that would need it.
    from packaging.requirements import Requirement

    said_something = False
    for line in requirements:
        try:
            requirement = Requirement(line)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            admits = requirement.specifier.contains(running, prereleases=True)
        except ValueError as error:  # InvalidRequirement, InvalidVersion, or a marker that cannot be compared
            return f"its requirement on srv-inference is unreadable: {type(error).__name__}", ""
        if not applies:
            continue
        said_something = True
        if not admits:
            return f"it requires srv-inference {requirement.specifier}, and this is srv-inference {running}", ""
    return "", "" if said_something else "it does not say which versions of srv-inference it works with"


def _decide_names(rows: Sequence[Plugin], choice: PluginChoice) -> dict[tuple[PluginKind, str], list[Plugin]]:
    claims: dict[tuple[PluginKind, str], list[Plugin]] = {}
    for row in rows:
        if row.kind is not PluginKind.UNKNOWN and row.state is not PluginState.DISABLED:
            claims.setdefault((row.kind, row.name), []).append(row)
    return {key: _decide_name(key, claimants, choice) for key, claimants in claims.items()}


def _decide_name(key: tuple[PluginKind, str], claimants: list[Plugin], choice: PluginChoice) -> list[Plugin]:
    """Return the rows that have a plain name; several means that none may use it until `prefer` says which."""
    kind, name = key
    ours = [row for row in claimants if row.ours]
    strangers = [row for row in claimants if not row.ours]
    if ours or is_of_core(kind, name):
        for row in strangers:
            if row.usable:
                _refuse_name(row)
        return ours
    # One that is quarantined still contests the name, or who has it would depend on what was imported before.
    rivals = [row for row in strangers if row.state is not PluginState.REFUSED]
    if len(rivals) < 2:
        return rivals or strangers[:1]
    preferred = [row for row in rivals if normalised(row.distribution) == choice.preferred(kind, name)]
    for row in rivals:
        if not row.usable:
            continue
        others = " and ".join(other.distribution for other in rivals if other is not row)
        if not preferred:
            row.reason = f"contested: {others} brings the same name; {_ASK[kind].format(row.qualified)}plugins.prefer"
        elif row not in preferred:
            row.reason = f"plugins.prefer gives the name to {preferred[0].distribution}"
    return preferred or rivals


def is_of_core(kind: PluginKind, name: str) -> bool:
    """Whether the name belongs to core itself, which no entry point says."""
    if kind is PluginKind.ROUTE:
        return _VARIES.sub("{}", name) in ROUTES_OF_CORE
    return kind is PluginKind.COMMAND and name in COMMANDS_OF_CORE


def _refuse_name(row: Plugin) -> None:
    row.state, row.name_taken = PluginState.REFUSED, True
    row.reason = f"the name '{row.name}' is srv's own" + (
        "" if row.kind in (PluginKind.HOOKS, PluginKind.ROUTE) else f"; ask for '{row.qualified}'"
    )


#: What to do about a contested name; a route cannot be asked for by another one.
_ASK = {
    PluginKind.RUNTIME: "ask for '{}' or set ",
    PluginKind.CODEC: "ask for '{}' or set ",
    PluginKind.COMMAND: "ask for '{}' or set ",
    PluginKind.HOOKS: "call its settings '{}' or set ",
    PluginKind.ROUTE: "set ",
    PluginKind.BUILDER: "ask for '{}' or set ",
}
