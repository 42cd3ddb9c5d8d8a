"""`srv start`: serve the models of a folder until a signal ends it."""

from __future__ import annotations

from typing import Any

import click
from msgspec.structs import replace

from srv.cli.open_folder import open_folder
from srv.cli.options import root_name_flag, settings_flags
from srv.serve.reloading.mode import for_authors
from srv.serve.signals import exit_quietly

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
@root_name_flag
@click.option("--reload", is_flag=True, help="For authors: load what is edited again, in one worker, while serving.")
def start(folder: str, *, root_name: str | None, reload: bool, **flags: Any) -> int:
    """Serve the models of FOLDER, and of this folder where none is named.

    FOLDER is a model itself, or holds a folder for each model. Settings come from its settings.json, from variables
    SRV_… over that, and from these flags over both; `srv settings` shows them.

    With --reload a model whose files change is loaded again, and new workers read a package that changes and is
    installed with `pip install -e`. What served goes on where an edit is broken, and the log says why.
    """
    exit_quietly()
    from srv.serve.launcher import serve  # it imports gunicorn, which `srv start --help` need not

    settings, plugins = open_folder(folder, flags)
    settings = replace(settings, root_name=root_name)
    if reload:
        settings = for_authors(settings)
    return serve(settings, plugins, reload=reload)
