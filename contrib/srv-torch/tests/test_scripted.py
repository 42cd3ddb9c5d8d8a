"""Programs of TorchScript, without a server."""

import numpy as np
import pytest
import torch
from networks import Classifier, Loops
from torch import nn

from srv import InvalidInput, Spec, Tensor
from srv.errors import ModelError, SrvError

ROWS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)
DECLARED = (Spec("FP32", (-1, 4), name="x"),)


class Containers(nn.Module):
    def forward(
        self, several: list[torch.Tensor], named: dict[str, torch.Tensor], both: tuple[torch.Tensor, int]
    ) -> torch.Tensor:
        total = several[0]
        for each in several[1:]:
            total = total + each
        return total * named["factor"] + both[0] * both[1]


class Writes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x += 1
        return x


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x + self.count


class Fills(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add_(1)
        return x + self.seen


class Refuses(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 2:
            raise ValueError("rows are wanted")
        return x


class Several(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[int], str, float, torch.Tensor | None]:
        return x, [1, 2], "text", 0.5, None


class Unservable(nn.Module):
    def forward(self, x: torch.Tensor, device: torch.device) -> torch.Tensor:
        return x.to(device)


class Sparse(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sparse": x.to_sparse(), "x": x}


def test_metadata_has_names_and_what_the_types_say(script, load):
    runtime = load(script(Loops()))
    optional = {"optional": True}
    assert runtime.inputs == [
        Spec(name="x"),
        Spec("INT64", (1,), name="times"),
        Spec("FP64", (1,), name="factor", parameters=optional),
        Spec("BOOL", (1,), name="double", parameters=optional),
        Spec(name="bias", parameters=optional),
        Spec("BYTES", (-1,), name="words", parameters=optional),
    ]
    assert runtime.outputs is None
    assert runtime.parameters == {"format": "TorchScript", "torch": torch.__version__}


def test_arguments_of_every_type_are_given_and_defaults_hold(script, load, ask):
    runtime = load(script(Loops()))
    rows = ROWS[:1]
    given = {"x": rows, "times": [2]}
    assert np.array_equal(ask(runtime, given)["y"], rows * 4)
    assert np.array_equal(ask(runtime, given | {"double": [True], "factor": [1.0]})["y"], rows * 2)
    assert np.array_equal(ask(runtime, given | {"bias": rows, "words": ["a", "b"]})["y"], rows * 4 + rows + 2)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"x": ROWS}, "Input 'times' is missing; the request brings 'x'."),
        ({"x": ROWS, "times": [1.5]}, "Input 'times' is FP64; the model takes INT64."),
        ({"x": ROWS, "times": [1, 2]}, "Input 'times' has shape [2]; the model takes a single value there."),
        ({"x": ROWS, "times": [1], "words": [b"\xff"]}, "Input 'words' is not UTF-8; the model takes text there."),
        ({"x": ["text"], "times": [1]}, "Input 'x' is BYTES; the model takes numbers or booleans."),
        (
            {"x": ROWS, "times": [1], "doubel": [True]},
            "Input 'doubel' is unknown; the model takes bias, double, factor, times, words, x. Did you mean 'double'?",
        ),
        ({"x": ROWS, "times": [1], "words": [["a"]]}, "Input 'words' has shape [1, 1]; the model takes [-1], -1 standing for any."),
    ],
    ids=["missing", "datatype", "two values", "no text", "text", "unknown", "rank"],
)  # fmt: skip
def test_what_forward_does_not_take_is_refused(script, load, ask, inputs, sentence):
    runtime = load(script(Loops()))
    with pytest.raises(InvalidInput) as refused:
        ask(runtime, inputs)
    assert str(refused.value) == sentence


def test_lists_dicts_and_tuples_of_tensors_are_inputs_with_dots(script, load, ask):
    runtime = load(script(Containers()))
    inputs = {"several.1": ROWS, "several.0": ROWS, "named.factor": ROWS, "both.0": ROWS, "both.1": [3]}

    assert runtime.inputs is None
    assert np.allclose(ask(runtime, inputs)["output"], 2 * ROWS * ROWS + 3 * ROWS)
    with pytest.raises(InvalidInput, match=r"'several\.1' is missing"):
        ask(runtime, {("several.2" if name == "several.1" else name): value for name, value in inputs.items()})
    with pytest.raises(InvalidInput, match=r"'both\.1' is missing"):
        ask(runtime, {name: value for name, value in inputs.items() if name != "both.1"})


def test_results_of_every_kind_are_outputs(script, load, ask):
    outputs = ask(load(script(Several())), {"x": ROWS})
    assert [*outputs] == ["output_0", "output_1", "output_2", "output_3"]
    assert (outputs["output_1"].tolist(), outputs["output_2"].tolist(), outputs["output_3"]) == ([1, 2], b"text", 0.5)


def test_an_output_that_no_datatype_carries_fails_where_it_is_asked_for(script, load, ask):
    runtime = load(script(Sparse()))
    assert np.array_equal(ask(runtime, {"x": ROWS}, "x")["x"], ROWS)
    with pytest.raises(ModelError, match="Output 'sparse' is a sparse tensor, which no datatype"):
        ask(runtime, {"x": ROWS})


def test_an_output_that_is_not_there_is_refused_with_those_that_are(script, load, ask):
    with pytest.raises(InvalidInput, match=r"no output 'y'; it has label, logits, probabilities\."):
        ask(load(script(Classifier().eval())), {"x": ROWS}, "y")


def test_what_nobody_declared_and_torch_refuses_is_the_clients_fault(script, load, ask):
    runtime = load(script(Classifier().eval()))
    with pytest.raises(InvalidInput, match=r"mat1 and mat2 .*\. Its file does not say what it takes; `inputs`"):
        ask(runtime, {"x": ROWS[:, :3]})


def test_where_inputs_are_declared_an_error_of_torch_is_the_models(script, load, ask):
    runtime = load(script(Classifier().eval()), inputs=DECLARED)
    assert runtime.inputs == DECLARED
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        ask(runtime, {"x": ROWS[:, :3]})  # which srv refuses before


@pytest.mark.parametrize("inputs", [None, DECLARED], ids=["undeclared", "declared"])
def test_what_forward_raises_itself_is_the_clients_fault(script, load, ask, inputs):
    with pytest.raises(InvalidInput, match=r"cannot use these values: rows are wanted\."):
        ask(load(script(Refuses()), inputs=inputs), {"x": ROWS[0]})


def test_a_model_saved_in_training_mode_is_evaluated(script, load, ask):
    module = Classifier()
    expected = module.eval()(torch.tensor(ROWS))["logits"].detach().numpy()
    assert np.array_equal(ask(load(script(module.train())), {"x": ROWS})["logits"], expected)


def test_a_program_that_writes_into_its_inputs_gets_copies(script, load, ask):
    x = ROWS.copy()
    assert np.array_equal(ask(load(script(Writes())), {"x": x})["output"], ROWS + 1)
    assert np.array_equal(x, ROWS)


@pytest.mark.parametrize(("module", "name"), [(Counts(), "count"), (Fills(), "seen")], ids=["attribute", "buffer"])
def test_a_program_that_changes_its_module_is_not_loaded(script, load, module, name):
    with pytest.raises(SrvError, match=f"forward changes '{name}' of the module whenever it runs"):
        load(script(module))


def test_an_argument_that_no_tensor_can_be_keeps_it_from_loading(script, load):
    with pytest.raises(SrvError, match="forward takes 'device' of the type Device, which no tensor"):
        load(script(Unservable()))


def test_a_traced_module_takes_bfloat16(script, load, ask):
    runtime = load(script(nn.Identity(), torch.zeros(2, dtype=torch.bfloat16)))
    bits = np.array([16256, 16384], np.uint16)
    assert ask(runtime, {"input": Tensor("input", bits, "BF16")})["output"].tolist() == bits.tolist()
