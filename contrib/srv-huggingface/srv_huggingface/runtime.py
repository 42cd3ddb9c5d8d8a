"""The runtime: the folder says the task, and the task answers.

Nothing here imports torch or transformers: srv imports this module to ask whose a folder's files are. `load` imports them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from marshmallow import Schema, ValidationError, fields, validate

from srv import InferenceRequest, InferenceResponse, Runtime
from srv.errors import SrvError
from srv.file_formats import check_format
from srv_huggingface.folders import CONFIG, architecture_of, check_weights, is_model, read_config, task_of
from srv_huggingface.parameters import Flag, Plain, read, whole

if TYPE_CHECKING:
    from srv_huggingface.task import Task


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    task = fields.String(metadata={"description": "What the model is for, such as 'text-classification'; by itself what its architecture says."})  # fmt: skip
    device = fields.String(
        load_default="cpu",
        metadata={"description": "Where the model runs, as torch names it: 'cpu', 'cuda', 'cuda:1'."},
    )
    dtype = fields.String(
        load_default="auto",
        validate=validate.OneOf(["auto", "float32", "float16", "bfloat16"]),
        metadata={"description": "The precision of the weights; 'auto' is that of the file."},
    )
    batch_size = whole(
        1,
        load_default=32,
        metadata={"description": "How many rows of one request run at once; they are padded to the longest."},
    )
    text_pairs = Flag(
        load_default=False,
        metadata={"description": "Text classification reads pairs: an input 'text_pair' beside 'text'."},
    )
    parameters = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"description": "Values of the requests' parameters where a request has none, such as {'top_k': 3}."},
    )
    trust_remote_code = Flag(
        load_default=False,
        metadata={
            "description": "Run Python code of the model's folder. It counts only in the folder that `srv start` is given, and "
            "in defaults for all models."
        },
    )


class UnfitDefaults(SrvError):
    """The settings give a parameter that the task does not take."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"parameters.extra.parameters does not fit the model's task. {error}")


class HuggingFaceRuntime(Runtime):
    """Serves a folder that transformers' save_pretrained() wrote, by the task that it is for.

    Threads share the model, which changes nothing in itself; the tokenizer is used by one thread at a time.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    nested_parameters: ClassVar[bool] = True

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Return whether the file's folder is that of a model that transformers serves by itself."""
        return is_model(path)

    def load(self) -> None:
        """Read the folder, and learn from it what the model takes and gives."""
        file = self.artifact(CONFIG)
        check_format(file, self.settings.parameters.format)
        folder = file.parent
        config = read_config(folder / CONFIG)
        extra = self.settings.parameters.extra
        task = task_of(folder, config, extra.get("task"))
        is_safe = check_weights(folder, allow_pickle=self.settings.operator_allows_pickle)
        from srv_huggingface.loading import Order  # here, because it imports torch and transformers
        from srv_huggingface.tasks import load_task

        self._task: Task = load_task(
            Order(
                folder,
                task,
                str(config.get("model_type", "")),
                is_safe,
                device=extra.get("device", "cpu"),
                dtype=extra.get("dtype", "auto"),
                batch_size=extra.get("batch_size", 32),
                takes_pairs=extra.get("text_pairs", False),
                trusts_code=self.settings.operator_extra.get("trust_remote_code") is True,
            )
        )
        self._schema: Plain = self._task.schema()
        try:
            self._defaults = self._schema.load(dict(extra.get("parameters", {})))
        except ValidationError as error:
            raise UnfitDefaults(error) from None
        self.parameters |= {
            "task": task,
            "architecture": architecture_of(config),
            "transformers": version("transformers"),
            **self._task.described,
        }
        if self.inputs is None:
            self.inputs = self._task.inputs
        if self.outputs is None:
            self.outputs = self._task.outputs
        if self._task.streams:
            self.predict_stream = self._stream

    def unload(self) -> None:
        """Let go of the model, whose memory would else stay until Python looks for cycles."""
        self.__dict__.pop("predict_stream", None)
        del self._task

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return the task's outputs for each row."""
        given = read(request.parameters, self._schema, self._defaults)
        return InferenceResponse(self._task.predict(request, given))

    def _stream(self, request: InferenceRequest) -> Iterator[InferenceResponse]:
        """Yield the outputs as they are made."""
        given = read(request.parameters, self._schema, self._defaults)
        for outputs in self._task.stream(request, given):
            yield InferenceResponse(outputs)
