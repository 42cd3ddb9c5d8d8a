"""The runtime: an ONNX file is served with the inputs and outputs that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from marshmallow import Schema, fields, validate

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Spec
from srv.errors import SrvError, quoted
from srv.file_formats import check_format
from srv_onnx.client_errors import as_clients_fault
from srv_onnx.columns import Columns, are_columns
from srv_onnx.model_file import ModelFile, is_onnx, read_model_file
from srv_onnx.results import Result
from srv_onnx.tensors import Tensors, check_numbers
from srv_onnx.value_types import Value, value_of

#: The file that is looked for where the settings name none.
WELL_KNOWN = "model.onnx"
#: Files beside a model.onnx that say that it is one part of an embedding model, whose runtime is another.
_OF_EMBEDDINGS = (
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
#: What onnxruntime has for the version of a model that says none.
_NO_VERSION = frozenset({0, 2**63 - 1})
_OPTIMISATIONS = ("none", "basic", "extended", "all")


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    threads = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=1),
        metadata={"description": "How many threads compute one request; the worker's share of the cores if not given."},
    )
    optimisation = fields.String(
        load_default="all",
        validate=validate.OneOf(_OPTIMISATIONS),
        metadata={"description": "How far onnxruntime rewrites the graph: none, basic, extended or all."},
    )
    providers = fields.List(
        fields.String(),
        load_default=lambda: ["CPUExecutionProvider"],
        validate=validate.Length(min=1),
        metadata={"description": "Execution providers, the first that can run an operator runs it."},
    )
    arena = fields.Boolean(
        load_default=True,
        metadata={
            "description": "Whether memory of a request is kept for the next one, which is faster and never shrinks."
        },
    )
    same_lengths = fields.Boolean(
        load_default=True,
        metadata={"description": "Whether dimensions that the model gives one name must have one length in a request."},
    )
    nan = fields.Boolean(
        load_default=True,
        metadata={"description": "Whether floats may be NaN, a missing number; false refuses it."},
    )
    custom_ops = fields.List(
        fields.String(),
        load_default=list,
        metadata={
            "description": "Libraries of operators, which are code; they count only in the folder that `srv start` is "
            "given, and in defaults for all models."
        },
    )


class UntrustedOps(SrvError):
    """A settings file that travels with the model names a library of operators."""

    def __init__(self) -> None:
        super().__init__(
            "parameters.extra.custom_ops names libraries, which are code. If you trust them, name them in the "
            "model-settings.json of the folder that srv start is given, or in SRV_MODEL__PARAMETERS__EXTRA; a file that "
            "travels with the model is not asked."
        )


class Bfloat16BesideOthers(SrvError):
    """The model gives bfloat16, by a way on which onnxruntime neither takes texts nor gives sequences."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The model gives bfloat16, and {quoted(name)} is text, optional or a sequence; onnxruntime carries the one or the "
            "other. Cast bfloat16 to float in the model, or export it without the other."
        )


class NoValue(InvalidInput):
    """The request asks for an output of an optional type that is empty in the answer."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Output {quoted(name)} has no value in the answer to this request, which the model allows; ask for the outputs "
            "without it, or for none by name."
        )


class OnnxRuntime(Runtime):
    """Serves an ONNX model by onnxruntime; its inputs and outputs are those of the file.

    Threads share the session, whose runs leave the interpreter to other threads.
    """

    extra = Extra
    parallel_load: ClassVar[bool] = True
    any_input_name: ClassVar[bool] = True
    missing_values: ClassVar[bool] = True  # so that a table's column is named; tensors refuse them

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Whether the file is ONNX and no part of an embedding model."""
        return not any((path.parent / name).exists() for name in _OF_EMBEDDINGS) and is_onnx(path)

    def load(self) -> None:
        """Make the session, and learn from it and from the file what the model takes and gives."""
        # Here, because this module is imported to ask `recognise`, and onnxruntime is heavy.
        from srv_onnx.sessions import Run, open_session

        extra = self.settings.parameters.extra
        file = self.artifact(WELL_KNOWN)
        is_ort = file.suffix == ".ort"
        check_format(file, self.settings.parameters.format, "ort" if is_ort else "onnx")
        described = ModelFile() if is_ort else read_model_file(file)
        session = open_session(
            file,
            threads=extra.get("threads") or self.cores,
            optimisation=extra.get("optimisation", "all"),
            providers=extra.get("providers") or ["CPUExecutionProvider"],
            custom_ops=self._custom_ops(),
            arena=extra.get("arena", True),
        )
        inputs = [_described("input", each, described) for each in session.get_inputs()]
        outputs = [_described("output", each, described) for each in session.get_outputs()]
        self._results = {each.name: Result(each, described.labels.get(each.name)) for each in outputs}
        if are_columns(inputs):
            self._inputs: Columns | Tensors = Columns(inputs, self.settings)
        else:
            self._inputs = Tensors(inputs, same_lengths=extra.get("same_lengths", True))
        bfloat16_out = any(each.datatype == "BF16" for each in outputs)
        for each in (*inputs, *outputs) if bfloat16_out else ():
            if each.optional or each.form != "tensor" or (each.datatype == "BYTES" and each in inputs):
                raise Bfloat16BesideOthers(each.name)
        self._takes_nan = extra.get("nan", True)
        bfloat16_in = [each.name for each in inputs if each.datatype == "BF16"]
        self._run = Run(session, bfloat16_in=bfloat16_in, bfloat16_out=bfloat16_out)
        if self.inputs is None:
            self.inputs = self._inputs.specs()
        if self.outputs is None:
            self.outputs = [Spec(each.value.datatype, each.shape, name=name) for name, each in self._results.items()]
        self.parameters |= self._description(session, described)

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return the outputs that the request names, or all of them."""
        feed = self._inputs.feed(request)
        if not self._takes_nan:
            check_numbers(feed)
        names = [*dict.fromkeys(output.name for output in request.outputs or ())] or [*self._results]
        try:
            given = self._run(names, feed)
        except Exception as error:
            fault = as_clients_fault(error, feed)
            if fault is None:
                raise
            self.log.info("The model cannot use a request's values: %s", error)
            raise fault from error
        found = dict(zip(names, given, strict=True))
        if request.outputs is not None:
            for name, each in found.items():
                if each is None:
                    raise NoValue(name)
        return InferenceResponse([self._results[name].tensor(each) for name, each in found.items() if each is not None])

    def _custom_ops(self) -> list[Path]:
        """Return the libraries of operators that the operator names. Raises UntrustedOps for others."""
        trusted = self.settings.operator_extra.get("custom_ops", ())
        named = self.settings.parameters.extra.get("custom_ops", ())
        if not set(named) <= set(trusted):
            raise UntrustedOps
        return [self.settings.folder / name for name in named]

    def _description(self, session: Any, described: ModelFile) -> dict[str, Any]:
        """Return what the metadata has beside inputs and outputs."""
        from srv_onnx.sessions import VERSION

        model = session.get_modelmeta()
        said: dict[str, Any] = {
            "onnxruntime": VERSION,
            "providers": session.get_providers(),
            "producer": f"{model.producer_name} {described.producer_version}".strip(),
            "graph": model.graph_name,
            "domain": model.domain,
            "description": model.description,
            "model_version": "" if model.version in _NO_VERSION else str(model.version),
            "opsets": dict(described.opsets),
            "metadata": dict(model.custom_metadata_map),
            "classes": {name: list(each.labels) for name, each in self._results.items() if each.labels},
        }
        return {name: value for name, value in said.items() if value}


def _described(what: str, argument: Any, described: ModelFile) -> Value:
    """Return an input or output; a shape that onnxruntime gives as [] is a scalar's only where the file says so."""
    known = described.of_any_rank
    return value_of(what, argument, has_rank=bool(argument.shape) or (known is not None and argument.name not in known))
