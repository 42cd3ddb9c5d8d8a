"""Names of a scaffold, which all follow from the one that the author chooses."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from srv.errors import SrvError, quoted
from srv_init.kinds import Scaffold

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
LONGEST = 30
#: What tutorials call their examples: a package of such a name meets another one of the same name sooner or later.
_PLACEHOLDERS = frozenset(
    {"bar", "codec", "command", "demo", "example", "foo", "hello", "inference", "model", "models", "my-codec"}
    | {"my-model", "my-plugin", "my-runtime", "name", "package", "plugin", "runtime", "sample", "server", "srv"}
    | {"template", "test", "tests"}
)


class BadName(SrvError):
    """The name cannot be that of a package, a folder and an entry point, and stand in a URL, all at once."""

    def __init__(self, name: str, why: str, advice: str) -> None:
        super().__init__(f"Nothing can be called {quoted(name)} here: {why}. {advice}")


@dataclass(frozen=True)
class Names:
    """Every name that a scaffold needs, derived from one, so that none is left over from an example."""

    #: The entry point's name, the content type, the section of settings, the model: `acme-prices`.
    plain: str
    #: What pip calls it: `srv-acme-prices`.
    distribution: str
    #: What Python imports: `srv_acme_prices`.
    package: str
    #: How its classes begin: `AcmePrices`.
    title: str


def names_of(name: str, scaffold: Scaffold) -> Names:
    """Return the names that follow from a chosen one. Raises BadName for one that would not work everywhere.

    For packages a leading `srv-` is the distribution's own and is not said twice.
    """
    is_package = scaffold.brings is not None
    plain = re.sub(r"^srv[-_](?=.)", "", name) if is_package else name
    _check(name, plain)
    if is_package and plain.replace("_", "-") in _PLACEHOLDERS:
        raise BadName(
            name,
            "it is a placeholder, and another package would have the same name",
            "Choose a name that says what yours is for.",
        )
    words = re.split(r"[-_]", plain)
    return Names(
        plain=plain,
        distribution=f"srv-{'-'.join(words)}" if is_package else f"{'-'.join(words)}-models",
        package=f"srv_{'_'.join(words)}" if is_package else f"{'_'.join(words)}_models",
        title="".join(word.capitalize() for word in words),
    )


def _check(name: str, plain: str) -> None:
    if _NAME.fullmatch(plain) is None:
        raise BadName(
            name,
            "a name has small letters and digits, begins with a letter, and may have single - or _ between them",
            _suggestion(plain),
        )
    if len(plain) > LONGEST:
        raise BadName(name, f"it is longer than {LONGEST} characters", "Choose a shorter one.")
    if keyword.iskeyword(plain) or keyword.iskeyword(plain.capitalize()):
        raise BadName(name, "it is a word of Python itself", f"Try '{plain}-model', or something else altogether.")
    if plain in ("stats", "docs"):
        raise BadName(name, "srv has routes of that name", "Choose another one.")


def _suggestion(plain: str) -> str:
    near = re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-"))[:LONGEST].strip("-")
    return f"Try '{near if len(near) > 2 and near not in _PLACEHOLDERS else 'acme-prices'}'."
