"""What can be wrong with a runtime's routes: with what it declares, and with what their methods return."""

from __future__ import annotations

from srv.errors import ModelError, NotFound, SrvError, quoted


class BadRoute(SrvError):
    """A runtime declares a route that cannot be served."""

    names_urls = True


class BadRoutePath(BadRoute):
    """A route's path is not one."""

    def __init__(self, template: str, why: str) -> None:
        super().__init__(
            f"The route's path {quoted(template)} {why}. Write it like 'explain' or 'items/{{id}}', below the model, or "
            "like '/score', at the root."
        )


class OwnPath(BadRoute):
    """A runtime wants a path that is srv's own, or a plugin's."""

    def __init__(self, template: str) -> None:
        super().__init__(
            f"The route's path {quoted(template)} is one of the server's own, which no runtime can have. Choose another."
        )


class RouteGone(NotFound):
    """The model was loaded anew while the request came, and has the route no longer."""

    def __init__(self, model: str, route: str) -> None:
        super().__init__(f"Model '{model}' no longer has the route {route}.")


class BadRouteValue(ModelError):
    """What a route's method returned or yielded cannot be sent."""

    def __init__(self, route: str, what: str) -> None:
        super().__init__(f"The route {route} gave {what}.")
