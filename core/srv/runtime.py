"""The base class of every runtime: how to load and run one kind of model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from srv.cores import cores
from srv.errors import SrvError
from srv.metrics_types import MetricReporter
from srv.model_settings import ModelSettings, Spec
from srv.server import Server, not_running
from srv.uris import shown_uri

if TYPE_CHECKING:
    from marshmallow import Schema


class ArtifactMissing(SrvError):
    """The model's folder, or the one that parameters.uri names, holds none of the files that the runtime looks for."""

    def __init__(self, names: Sequence[str], source: str, *, uri: str | None = None) -> None:
        wanted = " or ".join(names)
        super().__init__(
            f"No {wanted} was found for the model of {source}. Put it beside the settings, or name it as parameters.uri."
            if uri is None
            else f"No {wanted} was found in the folder that {source} names as parameters.uri. Put it there, or name the file "
            "itself as parameters.uri."
        )


class NothingAtUri(SrvError):
    """The settings name an artifact that is not there."""

    def __init__(self, uri: str, source: str) -> None:
        super().__init__(f"Nothing is at '{shown_uri(uri)}', which {source} names as parameters.uri. Mend the path.")


class NoUri(SrvError):
    """The runtime has no well-known file names, so the settings must name the artifact."""

    def __init__(self, source: str) -> None:
        super().__init__(f"The model of {source} needs parameters.uri: its runtime has no well-known file names.")


class Runtime:
    """Loads and runs one model. Write `load` and `predict`; the rest has defaults.

    A runtime is made once for each model and worker, `load` is called once, `predict` for each request or batch. The
    methods `load`, `predict`, `predict_stream` and `unload` may each be `async def`. A sync `predict` runs in the
    request's thread and may be called from several threads at once, unless `concurrency` says otherwise.
    """

    #: How many calls of `predict` may run at once; None for any number, 1 for one at a time. Settings may lower it.
    concurrency: ClassVar[int | None] = None
    #: Whether models of this runtime may load beside other models: its `load` neither changes nor needs what belongs to the
    #: whole process. Without that, one load that hangs keeps this one waiting.
    parallel_load: ClassVar[bool] = False
    #: Whether `predict` writes into its inputs; it gets copies then, and read-only arrays otherwise.
    writable_inputs: ClassVar[bool] = False
    #: Whether a model with exactly one declared input takes its only input under any name. The runtime finds it under
    #: the declared name, that of `inputs` or of predict's argument; the declared datatype and shape hold.
    any_input_name: ClassVar[bool] = False
    #: Whether BYTES may have missing values: JSON's null, which is None in the object array. Otherwise null is refused.
    missing_values: ClassVar[bool] = False
    #: Whether parameters of the request, its inputs and outputs may be lists and objects, which only JSON can say.
    nested_parameters: ClassVar[bool] = False
    #: Whether requests are read and answered with codecs of the runtime's own. Then srv refuses no content type and knows none,
    #: the inputs and outputs that settings declare are metadata only, and parameters may be lists and objects. `predict` and
    #: `predict_stream` take the request.
    own_codecs: ClassVar[bool] = False
    #: Whether `__init__`, `load` and `unload` run in the process's main thread, as signal handlers need; they block it.
    main_thread: ClassVar[bool] = False
    #: Whether all methods run in one thread of the model's own, one call at a time, as connections of sqlite3 need.
    same_thread: ClassVar[bool] = False
    #: Paths of the runtime's own, below the model's or at the root: `[("POST", "explain", "explain")]` is an HTTP method, a
    #: path and the name of the method that answers with an `srv.RouteRequest`. A method `routes(self)` may return them.
    routes: Any = ()
    #: A value that the model answers, as `srv.Client.infer` takes it, for whoever shows the model; `load` may set it.
    example: Any = None
    #: A marshmallow schema for the settings' `parameters.extra`; what it loads stands there afterwards.
    extra: ClassVar[type[Schema] | None] = None

    #: The server, whose other models may be asked: `self.server.infer`, or `await self.server.ainfer`. There from before
    #: `load`, but not in `__init__`; a `load` may ask only models that serve already, whose order is nobody's promise.
    server: Server = not_running()

    @cached_property
    def cores(self) -> int:
        """How many cores this instance may use: the worker's share, cores divided by `workers`. There from before `load`.

        For libraries that are told how many threads to start. Those that follow OMP_NUM_THREADS, POLARS_MAX_THREADS,
        RAYON_NUM_THREADS or NUMBA_NUM_THREADS have the share already.
        """
        return cores()

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.version = settings.version
        self.log = logging.getLogger(f"srv.model.{settings.name}")
        #: What the model takes and gives; `load` may set them, the settings' own word wins.
        self.inputs: Sequence[Spec] | None = settings.inputs
        self.outputs: Sequence[Spec] | None = settings.outputs
        #: What else the model's metadata should tell, such as the names of its classes.
        self.parameters: dict[str, Any] = {}
        self.ready = False
        #: Takes what `metric` reports; set by srv before `load`.
        self.metric_reporter: MetricReporter | None = None

    @classmethod
    def recognise(cls, path: Path) -> bool:  # noqa: ARG003  for subclasses
        """Return whether the file at `path`, called as one of those that the runtime's entry point names, is one of its own.

        Asked only where the files in a model's folder would be served by several installed runtimes, and then whenever the
        folders are read. So it reads little, imports nothing heavy, and opens the file only as bytes or text. The folder
        around the file may be looked at too. An exception counts as no. An OSError need not be caught, and a SrvError says why not.
        """
        return True

    def load(self) -> Any:
        """Make the model ready to predict. False means that it could not; None counts as True."""
        return True

    def thread_started(self) -> Any:
        """Set up a thread: called once in each thread of srv's before `predict`, or another method that answers, runs there.

        For what a library keeps per thread, such as torch.set_grad_enabled. What it raises is the error of the request.
        """

    if TYPE_CHECKING:
        #: Answer one request: takes the InferenceRequest, or inputs by name, as its signature says.
        predict: Callable[..., Any]
        #: Answer one request with an iterator of responses.
        predict_stream: Callable[..., Any]

    def unload(self) -> Any:
        """Let go of what `load` took. Called once, after the last predict has returned, or where a check after `load` fails."""

    def metric(
        self,
        name: str,
        value: float,
        kind: str = "gauge",
        *,
        buckets: Sequence[float] | None = None,
        **labels: object,
    ) -> None:
        """Report a figure of the model's own, which /metrics shows as `srv_model_<name>`; from any thread.

        A "counter" adds the value to what was counted, a "gauge" has it as its value, a "histogram" counts it in one of its
        `buckets`, given by their upper bounds. A name has one kind and one set of labels. Raises BadMetric for a call that is
        wrong whatever the value is; a value that the kind cannot take is dropped and counted as dropped. Does nothing in
        `__init__` and in an instance that no server has loaded.
        """
        if self.metric_reporter is not None:
            self.metric_reporter.report(name, value, kind, buckets, labels)

    def artifact(self, *well_known_names: str) -> Path:
        """The model's file: `parameters.uri`, or the first of the well-known names beside the settings.

        A `uri` that is a folder is searched for the well-known names. What is elsewhere was fetched before `load`, and `uri`
        is its path here. Raises ArtifactMissing, NothingAtUri or NoUri.
        """
        uri = self.settings.parameters.uri
        if uri is None and not well_known_names:
            raise NoUri(self.settings.source)
        root = self.settings.folder / uri if uri is not None else self.settings.folder
        if uri is not None and not root.exists():
            raise NothingAtUri(uri, self.settings.source)
        if uri is not None and (root.is_file() or (root.is_dir() and not well_known_names)):
            return root
        for name in well_known_names:
            if (root / name).exists():
                return root / name
        raise ArtifactMissing(well_known_names, self.settings.source, uri=uri)
