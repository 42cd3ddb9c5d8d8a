"""gunicorn's threaded worker, the fallback where srv's own cannot run."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class GthreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Counts its answers, and takes in what has connected already before it stops."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request."""
        try:
            return super().handle_request(req, conn)
        finally:
            self.answered()

    def answered(self) -> None:
        """A request was answered."""

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001  gunicorn calls it so
        """Begin or stop accepting; a stopping worker takes in those who wait to be accepted first."""
        if not enabled and not self.alive and self._accepting:
            for listener in self.sockets:
                while self._accepted_another(listener):
                    pass
        super().set_accept_enabled(enabled)

    def _accepted_another(self, listener: Any) -> bool:
        before = self.nr_conns
        self.accept(listener)
        return bool(self.nr_conns > before)
