"""`python -m srv` and the command `srv`."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from srv.serve.signals import exit_quietly


def main() -> NoReturn:
    """Run the command line and exit; a server can be ended from its first moment on, while the rest is imported."""
    if sys.argv[1:2] == ["start"]:
        exit_quietly()
        gc.disable()  # while modules are imported, which makes next to no garbage; `serve` enables it again
    from srv.cli import main as run

    run()


if __name__ == "__main__":
    main()
