"""`python -m srv` and the command `srv`."""

from __future__ import annotations

from srv.cli import main

if __name__ == "__main__":
    main()
