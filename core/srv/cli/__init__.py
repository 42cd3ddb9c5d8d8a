"""The command line: every command is imported when it is invoked, so that `srv --help` imports click only."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from srv.cli.output import echo, show_uncaught
from srv.errors import SrvError, listed, nearest
from srv.version import __version__

if TYPE_CHECKING:
    from srv.discovery import Plugins

#: Core's own commands: where each stands, and its line in `srv --help`.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "start": ("srv.cli.start:start", "Serve the models of a folder."),
        "check": ("srv.cli.check:check", "Load the models of a folder and serve nothing; the exit code tells."),
        "models": ("srv.cli.models:models", "Show, load and unload the models of a running server."),
        "health": ("srv.cli.health:health", "Say whether a running server is ready; the exit code tells."),
        "settings": ("srv.cli.settings:settings", "Show every setting in force and where it came from."),
        "plugins": ("srv.cli.plugins:plugins", "Show what is installed: runtimes, codecs, commands, hooks."),
        "doctor": ("srv.cli.doctor:doctor", "Say what is wrong with the installation and what to do."),
    }
)
#: The lines of commands that plugins of ours bring, which `srv --help` must not import.
LINES_OF_PLUGINS: Mapping[str, str] = MappingProxyType(
    {
        "build": "Build an image that serves a folder.",
        "deploy": "Print what runs an image: for Docker Compose, Kubernetes or KServe.",
        "dockerfile": "Write a Dockerfile for a folder, for builders without srv.",
        "init": "Write a package or a folder of models that works at once.",
        "install": "Install plugins that go with this srv, and check them.",
        "migrate": "Turn a folder of MLServer's into srv's own settings.",
        "uninstall": "Uninstall plugins, and say how to have them back.",
    }
)

#: Seconds that threads get to end by themselves when a command is done.
PATIENCE = 5.0


@dataclass
class CommandLine:
    """The options before the command."""

    no_plugin: tuple[str, ...] = ()

    @cached_property
    def plugins(self) -> Plugins:
        """The installed plugins, without those of --no-plugin."""
        from srv.discovery import discover

        return discover(no_plugin=self.no_plugin)


class Commands(click.Group):
    """Core's commands from a table, other commands from entry points; each is imported when it is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Core's commands in the order of the table, then those that plugins bring."""
        from srv.discovery import PluginKind

        return [*COMMANDS, *_command_line(ctx).plugins.names(PluginKind.COMMAND)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command. Raises a SrvError for one that is disabled, refused, contested or broken."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            found: click.Command = getattr(importlib.import_module(module), name)
            return found
        from srv.discovery import PluginKind, UnknownPlugin

        try:
            loaded: Any = _command_line(ctx).plugins.load(PluginKind.COMMAND, cmd_name)
        except UnknownPlugin:
            message = f"No such command '{cmd_name}'.{nearest(cmd_name, self.list_commands(ctx))}"
            raise click.UsageError(message, ctx) from None
        command: click.Command = loaded
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one of them."""
        from srv.discovery import PluginKind

        plugins = _command_line(ctx).plugins
        rows = [(name, line) for name, (_, line) in COMMANDS.items()]
        for name in plugins.names(PluginKind.COMMAND):
            row = plugins.find(PluginKind.COMMAND, name)
            line = LINES_OF_PLUGINS.get(name) if row.ours else None
            rows.append((name, line or f"from {row.distribution}"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _command_line(ctx: click.Context) -> CommandLine:
    return ctx.find_root().ensure_object(CommandLine)


def _leave_out(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Read --no-plugin before the command is looked up, which happens before the group itself is called."""
    ctx.obj = CommandLine(names)


EXAMPLES = """\b
Examples:
  srv start models            serve the models of the folder models
  srv check models            load them and serve nothing
  srv plugins                 what is installed, and why something is not used
  srv --no-plugin NAME start  serve without one plugin
"""


@click.group(
    cls=Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="srv", message="%(prog)s %(version)s")
@click.option(
    "--no-plugin",
    metavar="NAME",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, names: _leave_out(ctx, names),
    help="Leave out a plugin: a distribution, a name, or both as dist:name. May be given several times.",
)
def cli() -> None:
    """Serve machine-learning models by the Open Inference Protocol.

    Everything that srv can do is found among the packages that are installed: runtimes, codecs, commands, hooks.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed with the reason as the last line, 2 wrong usage."""
    sys.excepthook = show_uncaught
    code = run(arguments)
    threads = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    if threads:
        threading.Thread(target=_end_despite, args=(threads, code), daemon=True).start()
    sys.exit(code)


def _end_despite(threads: Sequence[threading.Thread], code: int) -> None:
    """End the process soon, although a model or a plugin left threads that Python would wait for."""
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    if alive := [thread.name for thread in threads if thread.is_alive()]:
        if code == 0:  # otherwise the reason of the failure stands last
            echo(f"A model or a plugin left threads running, which end now: {listed(alive)}.", err=True)
        sys.stdout.flush()
        os._exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error that is no SrvError passes with its traceback."""
    try:
        outcome: object = cli.main(arguments, prog_name="srv", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SrvError as error:
        echo(str(error), err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader has gone; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return outcome if isinstance(outcome, int) else 0
