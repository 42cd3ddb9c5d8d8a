"""`srv start`: serve the models of a folder until a signal ends it."""

from __future__ import annotations

from typing import Any

import click
from msgspec.structs import replace

from srv.cli.opening import opened
from srv.cli.options import settings_flags
from srv.serve.endings import end_quietly
from srv.serve.reloading.mode import for_authors

EXAMPLES = """\b
Examples:
  srv start                          serve the models of this folder
  srv start models --http-port 0     take a free port and say which
  srv start models --workers 4       four processes, each with all models
  srv start --models-dir /mnt/models and those of a further folder
  srv start models --reload          take in edits of models and packages while serving

\b
Signals: Ctrl-C and SIGTERM finish what is being answered and stop; SIGHUP starts
new workers, which read code and models anew, and lets the old ones go when the
new ones are ready; SIGTTIN and SIGTTOU add and remove a worker.
"""


@click.command(epilog=EXAMPLES)
@settings_flags
@click.option(
    "--root-name",
    metavar="NAME",
    callback=lambda _, __, name: _checked(name),
    help="What a model that is FOLDER itself is called, where its settings do not say; images need it.",
)
@click.option("--reload", is_flag=True, help="For authors: load what is edited again, in one worker, while serving.")
def start(folder: str, *, root_name: str | None, reload: bool, **flags: Any) -> int:
    """Serve the models of FOLDER, and of this folder where none is named.

    FOLDER is a model itself, or holds a folder for each model. Settings come from its settings.json, from variables
    SRV_… over that, and from these flags over both; `srv settings` shows them.

    With --reload a model whose files change is loaded again, and new workers read a package that changes and is
    installed with `pip install -e`. What served goes on where an edit is broken, and the log says why.
    """
    end_quietly()
    from srv.serve.launcher import serve  # it imports gunicorn, which `srv start --help` need not

    settings, plugins = opened(folder, flags)
    settings = replace(settings, root_name=root_name)
    if reload:
        settings = for_authors(settings)
    return serve(settings, plugins, reload=reload)


def _checked(name: str | None) -> str | None:
    from srv.settings.schemas import is_model_name

    if name is not None and not is_model_name(name):
        raise click.BadParameter("a model's name has letters, digits and ._-, and begins with a letter, a digit or _.")
    return name
