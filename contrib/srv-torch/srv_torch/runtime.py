"""The runtime: programs of torch.export and TorchScript, run without gradients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from marshmallow import Schema, fields, validate

# Neither torch nor a module that imports it belongs here, because srv imports this module to ask about files.
from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime
from srv.errors import listed, quoted
from srv.file_formats import check_format
from srv_torch.archives import kind_of

if TYPE_CHECKING:
    from srv_torch.exported import Exported
    from srv_torch.scripted import Scripted

#: What a model's file may be called where the settings name none.
WELL_KNOWN = ("model.pt2", "model.pt")


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    device = fields.String(
        load_default="cpu",
        metadata={"description": "Where the model runs, as torch calls it: 'cpu', 'cuda', 'cuda:1'."},
    )
    threads = fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=1),
        metadata={
            "description": "How many threads torch may use for one operator: for all models of the process, the last "
            "loaded one decides. The default is the worker's share of the machine's cores."
        },
    )


class TorchRuntime(Runtime):
    """Serves a program of torch.export or TorchScript; its outputs are those of forward, by name.

    Threads share the program. What changes its own buffers or attributes is not served.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Return True for an archive of torch.export or TorchScript, by the names in it. Raises NotServed, which says why not."""
        kind_of(path)
        return True

    def load(self) -> None:
        """Read the program, and learn from it what it takes and gives."""
        from srv_torch.loading import load  # here, because it imports torch

        file = self.artifact(*WELL_KNOWN)
        check_format(file, self.settings.parameters.format, kind_of(file))
        self._model: Exported | Scripted = load(file, self.settings, cores=self.cores)
        if self.inputs is None:
            self.inputs = self._model.inputs
        if self.outputs is None:
            self.outputs = self._model.outputs
        self._given = [spec.name for spec in self._model.outputs or ()]
        self.parameters |= self._model.parameters
        from srv_torch.values import as_tensor

        self._as_tensor = as_tensor

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return the outputs that the request names; without any, all of them."""
        named = dict(self._model.run(request.inputs))
        given = self._given or [name for name, value in named.items() if value is not None]
        asked = [output.name for output in request.outputs or ()] or given
        for name in asked:
            if name not in given:
                raise InvalidInput(f"The model has no output {quoted(name)}; it has {listed(given)}.")
        return InferenceResponse([self._as_tensor(name, named[name]) for name in dict.fromkeys(asked)])
