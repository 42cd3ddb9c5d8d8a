"""The one place where a plugin's state is decided from what metadata and settings say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from srv.discovery.metadata import Distribution, Entry
from srv.discovery.plugin import GROUPS, OURS, Kind, Plugin, State, normalised
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
class Choice:
    """What settings and command line say of plugins.

    `disable` and `only` hold distributions (`srv-sklearn`), names (`sklearn`), or both (`srv-sklearn:sklearn`,
    `runtime:sklearn`); `prefer` maps `runtime:sklearn` to a distribution.
    """

    disable: Sequence[str] = ()
    only: Sequence[str] | None = None
    prefer: Mapping[str, str] = field(default_factory=dict)

    def preferred(self, kind: Kind, name: str) -> str | None:
        """The distribution that shall have a plain name, normalised."""
        chosen = self.prefer.get(f"{kind.value}:{name}")
        return None if chosen is None else normalised(chosen)


def rows_of(distributions: Iterable[Distribution]) -> list[Plugin]:
    """A row for each entry point, sorted by distribution and name, none of them judged yet."""
    rows = [row for distribution in distributions for row in _rows_of(distribution)]
    return sorted(rows, key=sort_key)


def sort_key(plugin: Plugin) -> tuple[str, str, str]:
    """The one order: of the list, and of the calls of hooks."""
    return normalised(plugin.distribution), plugin.name, plugin.kind.value


def decide(
    rows: Sequence[Plugin],
    requires: Mapping[str, Sequence[str]],
    choice: Choice,
    running: str = __version__,
) -> dict[tuple[Kind, str], list[Plugin]]:
    """Give each row its state, and each plain name those who claim it: one has it, several contest it.

    `requires` holds the requirements on srv-inference by normalised distribution.
    """
    reserved = {"srv"} | {row.entry_point.partition(".")[0].partition(":")[0] for row in rows if row.ours}
    verdicts = {name: _version_verdict(lines, running) for name, lines in requires.items()}
    for row in rows:
        if row.kind is Kind.UNKNOWN or row.state is not State.FOUND:
            continue
        row.reason = ""
        _decide_alone(row, choice, reserved, verdicts.get(normalised(row.distribution), ("", "")))
    return _decide_names(rows, choice)


def _rows_of(distribution: Distribution) -> list[Plugin]:
    if distribution.trouble:
        return [
            Plugin(
                kind=Kind.UNKNOWN,
                name="entry_points.txt",
                distribution=distribution.name,
                version=distribution.version,
                entry_point="",
                state=State.REFUSED,
                reason=distribution.trouble,
            )
        ]
    return [_row_of(distribution, entry) for entry in distribution.entries]


def _row_of(distribution: Distribution, entry: Entry) -> Plugin:
    return Plugin(
        kind=GROUPS[entry.group],
        name=entry.name,
        distribution=distribution.name,
        version=distribution.version,
        entry_point=entry.value,
        ours=normalised(distribution.name) == OURS,
        files=entry.extras,
    )


def _decide_alone(row: Plugin, choice: Choice, reserved: Collection[str], verdict: tuple[str, str]) -> None:
    """What can be said of a row without looking at the others."""
    package = row.entry_point.partition(":")[0].partition(".")[0]
    refusal, warning = verdict
    named = next((word for word in choice.disable if covers(word, row)), None)
    if named is not None:
        row.state, row.reason = State.DISABLED, f"plugins.disable names '{named}'"
    elif choice.only is not None and not row.ours and not any(covers(word, row) for word in choice.only):
        row.state, row.reason = State.DISABLED, "plugins.only does not name it"
    elif row.ours:
        pass
    elif refusal:
        row.state, row.reason = State.REFUSED, refusal
    elif row.kind is not Kind.ROUTE and (":" in row.name or not row.name.isprintable() or " " in row.name):
        row.state, row.reason = State.REFUSED, "its name holds a colon or a blank, so nobody could ask for it"
    elif package in reserved:
        row.state, row.reason = State.REFUSED, f"the import name '{package}' is srv's own"
    if not row.ours:
        row.warning = warning


def covers(word: str, row: Plugin) -> bool:
    """Whether a word of `disable` or `only` means this row."""
    before, colon, name = word.rpartition(":")
    if not colon:
        return word == row.name or normalised(word) == normalised(row.distribution)
    return name == row.name and (before == row.kind.value or normalised(before) == normalised(row.distribution))


def _version_verdict(requirements: Sequence[str], running: str) -> tuple[str, str]:
    """Why a distribution's own declaration shuts this version of srv out, and what to warn of."""
    if not requirements:
        return "", "it does not say which versions of srv-inference it works with"
    # Costs 15 ms, and most installations have no plugin that would need it.
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    said_something = False
    for line in requirements:
        try:
            requirement = Requirement(line)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            admits = requirement.specifier.contains(running, prereleases=True)
        except (InvalidRequirement, InvalidVersion) as error:
            return f"its requirement on srv-inference is unreadable: {type(error).__name__}", ""
        if not applies:
            continue
        said_something = True
        if not admits:
            return f"it requires srv-inference {requirement.specifier}, and this is srv-inference {running}", ""
    return "", "" if said_something else "it does not say which versions of srv-inference it works with"


def _decide_names(rows: Sequence[Plugin], choice: Choice) -> dict[tuple[Kind, str], list[Plugin]]:
    claims: dict[tuple[Kind, str], list[Plugin]] = {}
    for row in rows:
        if row.kind is not Kind.UNKNOWN and row.state is not State.DISABLED:
            claims.setdefault((row.kind, row.name), []).append(row)
    return {key: _decide_name(key, claimants, choice) for key, claimants in claims.items()}


def _decide_name(key: tuple[Kind, str], claimants: list[Plugin], choice: Choice) -> list[Plugin]:
    """Who has a plain name. Several of them means that nobody has, until `prefer` says."""
    kind, name = key
    ours = [row for row in claimants if row.ours]
    strangers = [row for row in claimants if not row.ours]
    if ours or is_of_core(kind, name):
        for row in strangers:
            if row.usable:
                _refuse_name(row)
        return ours
    # One that is quarantined still contests the name, or who has it would depend on what was imported before.
    rivals = [row for row in strangers if row.state is not State.REFUSED]
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


def is_of_core(kind: Kind, name: str) -> bool:
    """Whether core itself has the name, which no entry point says."""
    if kind is Kind.ROUTE:
        return _VARIES.sub("{}", name) in ROUTES_OF_CORE
    return kind is Kind.COMMAND and name in COMMANDS_OF_CORE


def _refuse_name(row: Plugin) -> None:
    row.state, row.name_taken = State.REFUSED, True
    row.reason = f"the name '{row.name}' is srv's own" + (
        "" if row.kind in (Kind.HOOKS, Kind.ROUTE) else f"; ask for '{row.qualified}'"
    )


#: What to do about a contested name; a route cannot be asked for by another one.
_ASK = {
    Kind.RUNTIME: "ask for '{}' or set ",
    Kind.CODEC: "ask for '{}' or set ",
    Kind.COMMAND: "ask for '{}' or set ",
    Kind.HOOKS: "call its settings '{}' or set ",
    Kind.ROUTE: "set ",
    Kind.BUILDER: "ask for '{}' or set ",
}
