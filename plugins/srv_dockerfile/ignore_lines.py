"""The lines of .dockerignore that hold for a folder: the user's own, srv's below them, and what brings things back.

Docker lets the last line that matches decide. So srv's lines follow the user's, because a line such as `!models` is not
meant to bring back `models/.env`; and those of the user's lines that name what srv leaves out (`!models/.env`) follow
once more, because they mean that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import dropwhile
from pathlib import Path

from srv_dockerfile.dockerignore import FILE, Ignore, cleaned, pattern_of
from srv_dockerfile.environments import environments_in
from srv_dockerfile.errors import CannotRead

#: Around srv's lines in a file that is the user's too.
BEGIN = "# >>> srv: what no image needs. `srv dockerfile -i` writes these lines anew; yours go above or below them,"
BEGIN_TOO = "# and a line such as !.env brings back what it names."
END = "# <<< srv"

#: Where tools keep what they have made; models may be served out of these.
STORES = ("**/mlruns", "**/mlartifacts")

#: What no image needs.
NEEDLESS = (
    # What the image is made by.
    ".dockerignore",
    "Dockerfile",
    "Dockerfile.*",
    "*.Dockerfile",
    "Containerfile",
    "docker-compose*.y*ml",
    "compose*.y*ml",
    # Variables of this machine, which hold passwords more often than not.
    "**/.env*",
    # Histories.
    "**/.git",
    "**/.hg",
    "**/.svn",
    "**/.jj",
    "**/.dvc",
    "**/.*_history",
    # Environments; those of other names are told by what is in them.
    "**/.venv",
    "**/venv",
    "**/.conda",
    "**/.pixi",
    "**/.direnv",
    "**/__pypackages__",
    "**/node_modules",
    # Caches.
    "**/__pycache__",
    "**/.ipynb_checkpoints",
    "**/.mypy_cache",
    "**/.pytest_cache",
    "**/.ruff_cache",
    "**/.pytype",
    "**/.pyre",
    "**/.hypothesis",
    "**/.cache/pip",
    "**/.cache/uv",
    "**/.cache/pypoetry",
    "**/.cache/pre-commit",
    "**/.npm",
    # Tests and their reports.
    "**/.tox",
    "**/.nox",
    "**/.coverage",
    "**/.coverage.*",
    "**/htmlcov",
    "**/wandb/*run-*",
    # Tools for infrastructure.
    "**/.terraform",
    "**/.vagrant",
    # Editors and desktops.
    "**/.idea",
    "**/.vscode",
    "**/*.sw[op]",
    "**/*~",
    "**/.DS_Store",
    "**/._*",
    "**/Thumbs.db",
)


def own_lines(folder: Path) -> list[str]:
    """Return the user's lines of the folder's .dockerignore: all but srv's. Raises CannotRead."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except (FileNotFoundError, IsADirectoryError):
        return []
    except OSError as error:
        raise CannotRead(FILE, error) from error
    return _outside_of_marks(text.splitlines())


def lines_for(folder: Path, own: Sequence[str], needed: Iterable[str] = ()) -> list[str]:
    """Return the lines that hold for a folder in which the user's own file has these.

    `needed` names the files and folders that models are made of; where srv's lines would leave one out, it stays.
    """
    own_rules = Ignore(own)
    needed = [name for name in needed if not own_rules.leaves_out(name)]
    lines = [*own, *STORES]
    lines += map(pattern_of, environments_in(folder, Ignore([*lines, *NEEDLESS])))
    lines += _bringing_back(lines, needed)
    lines += NEEDLESS
    lines += _bringing_back(lines, needed)
    lines += _naming(own, lines[len(own) :])
    return lines


def file_text(own: Sequence[str], lines: Sequence[str]) -> str:
    """Return a .dockerignore with the user's lines and, between marks, those further ones that hold for the folder."""
    count = len(own) if list(lines[: len(own)]) == list(own) else 0
    return "".join(f"{line}\n" for line in (*own, BEGIN, BEGIN_TOO, *lines[count:], END))


def _outside_of_marks(lines: Iterable[str]) -> list[str]:
    outside, inside = [], False
    for line in lines:
        if line.startswith(BEGIN[:9]):
            inside = True
        elif line.startswith(END):
            inside = False
        elif not inside:
            outside.append(line)
    return outside


def _bringing_back(lines: Sequence[str], needed: Collection[str]) -> list[str]:
    ignore = Ignore(lines)
    return [f"!{pattern_of(name)}" for name in needed if ignore.leaves_out(name)]


def _naming(own: Iterable[str], ours: Iterable[str]) -> list[str]:
    """Return the user's lines that bring back, by its name, what srv's lines leave out; and what these take from it."""
    ours_rules, own_rules = Ignore(ours), Ignore(own := list(own))
    rules = [rule for rule in filter(None, map(cleaned, own)) if ours_rules.leaves_out(rule.as_name)]
    kept = [rule for rule in rules if not (rule.brings_back and own_rules.leaves_out(rule.as_name))]
    return [rule.line for rule in dropwhile(lambda rule: not rule.brings_back, kept)]
