"""What the runtime says of a model, takes, gives and refuses, without a server."""

import subprocess
import sys

import numpy as np
import pytest
from graphs import BOOL, FLOAT, INT64, TEXT, bytes_of, identity, model_of, node, perceptron, save_apart, value
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from srv import InferenceRequest, InvalidInput, ModelSettings, Tensor
from srv.errors import ModelError, SrvError
from srv.model_settings import ModelParameters
from srv_onnx import OnnxRuntime
from srv_onnx.runtime import Extra

ONES = np.ones((2, 2), np.float32)


@pytest.fixture
def serve(tmp_path):
    """A runtime that has loaded a model."""

    def make(model, file="model.onnx", operator_extra=None, **extra):
        (tmp_path / file).write_bytes(model)
        parameters = ModelParameters(uri=None if file == "model.onnx" else file, extra=Extra().load(extra))
        settings = ModelSettings(name="m", folder=tmp_path, parameters=parameters, operator_extra=operator_extra or {})
        runtime = OnnxRuntime(settings)
        runtime.load()
        return runtime

    return make


def ask(runtime, *outputs, **inputs):
    tensors = [each if isinstance(each, Tensor) else Tensor(name, each) for name, each in inputs.items()]
    return runtime.predict(InferenceRequest(tensors, outputs=outputs or None)).outputs


def described(specs):
    return {spec.name: (spec.datatype, spec.shape) for spec in specs}


# -- metadata ---------------------------------------------------------------------------------------------------------


def test_inputs_and_outputs_are_those_of_the_file_with_minus_one_for_any_length(serve):
    runtime = serve(perceptron())
    assert described(runtime.inputs) == {"x": ("FP32", (-1, 4))}
    assert described(runtime.outputs) == {"label": ("INT64", (-1,)), "logits": ("FP32", (-1, 3))}


@pytest.mark.parametrize(
    "shape, lengths",
    [([], ()), (None, None), ([None, "n", 3], (-1, -1, 3)), ([0, 2], (0, 2))],
    ids=["scalar", "any rank", "mixed", "no rows"],
)
def test_a_scalar_is_told_from_a_tensor_of_any_rank(serve, shape, lengths):
    runtime = serve(identity(FLOAT, shape))
    assert described(runtime.inputs) == {"x": ("FP32", lengths)}
    wanted = (1, 2, 1) if lengths is None else lengths
    given = np.ones([2 if length == -1 else length for length in wanted], np.float32)
    [output] = ask(runtime, x=given)
    assert (output.shape, output.datatype) == (given.shape, "FP32")


def test_the_metadata_says_what_made_the_model_and_what_it_says_of_itself(serve):
    made = identity(
        producer_name="maker",
        producer_version="1.2",
        model_version=7,
        doc_string="Doubles.",
        metadata={"team": "pricing"},
    )
    said = serve(made).parameters
    assert {name: said[name] for name in ("producer", "model_version", "description", "opsets", "metadata")} == {
        "producer": "maker 1.2",
        "model_version": "7",
        "description": "Doubles.",
        "opsets": {"ai.onnx": 17},
        "metadata": {"team": "pricing"},
    }
    assert said["providers"] == ["CPUExecutionProvider"]


# -- datatypes --------------------------------------------------------------------------------------------------------

KINDS = {
    "BOOL": ("BOOL", np.bool_),
    "UINT8": ("UINT8", np.uint8),
    "UINT16": ("UINT16", np.uint16),
    "UINT32": ("UINT32", np.uint32),
    "UINT64": ("UINT64", np.uint64),
    "INT8": ("INT8", np.int8),
    "INT16": ("INT16", np.int16),
    "INT32": ("INT32", np.int32),
    "INT64": ("INT64", np.int64),
    "FLOAT16": ("FP16", np.float16),
    "FLOAT": ("FP32", np.float32),
    "DOUBLE": ("FP64", np.float64),
    "STRING": ("BYTES", np.object_),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_datatype_that_onnx_and_the_protocol_share_goes_in_and_out(serve, kind):
    datatype, dtype = KINDS[kind]
    runtime = serve(identity(getattr(TensorProto, kind)))
    given = np.array([[b"a", b"\xc3\xa9"]], object) if dtype == np.object_ else np.array([[0, 1]], dtype)
    given.flags.writeable = False
    [output] = ask(runtime, x=Tensor("x", given))
    assert runtime.inputs[0].datatype == output.datatype == datatype
    assert output.data.tolist() == given.tolist()


def test_bfloat16_goes_in_and_out_as_its_bits(serve):
    bfloat16 = TensorProto.BFLOAT16
    nodes = [node("Cast", ["x"], ["z"], to=FLOAT), node("Cast", ["z"], ["y"], to=bfloat16)]
    inputs = [value("x", bfloat16), value("k", TensorProto.UINT16, [])]  # whose arrays have the same dtype
    runtime = serve(bytes_of(inputs, [value("z"), value("y", bfloat16)], nodes))
    bits = Tensor("x", np.array([[0x3F80, 0xC000]], np.uint16), "BF16")
    y, z = ask(runtime, "y", "z", x=bits, k=np.array(1, np.uint16))
    assert (z.data.tolist(), y.datatype, y.shape) == ([[1.0, -2.0]], "BF16", (1, 2))
    assert y.data.dtype == np.uint16


def test_bfloat16_goes_in_beside_texts_and_sequences_and_out_beside_neither(serve):
    bfloat16 = TensorProto.BFLOAT16
    sequence = helper.make_tensor_sequence_value_info("s", FLOAT, None)
    texts = value("t", TEXT, ["k", "k"])
    nodes = [
        node("Identity", ["t"], ["u"]),
        node("Cast", ["x"], ["y"], to=FLOAT),
        node("SequenceConstruct", ["y"], ["s"]),
        node("Cast", ["y"], ["z"], to=bfloat16),
    ]
    outputs = [value("y"), value("u", TEXT, ["k", "k"]), sequence]
    runtime = serve(bytes_of([value("x", bfloat16), texts], outputs, nodes))
    x = Tensor("x", np.array([[0x3F80, 0]], np.uint16), "BF16")
    y, u, s = ask(runtime, x=x, t=Tensor("t", [["é"]], "BYTES"))
    assert (y.data.tolist(), u.data.tolist(), s.data.tolist()) == ([[1.0, 0.0]], [["é".encode()]], [[[1.0, 0.0]]])
    for inputs, more in (([texts], []), ([], [sequence])):
        with pytest.raises(SrvError, match=r"^The model gives bfloat16, and '[st]' is text, optional or a sequence"):
            serve(bytes_of([value("x", bfloat16), *inputs], [value("z", bfloat16), *more], nodes[1 - len(inputs) :]))


@pytest.mark.parametrize(
    "made, said",
    [
        (
            identity(TensorProto.FLOAT8E4M3FN, opset=19),
            r"input 'x' is a tensor\(float8e4m3fn\), which the protocol cannot",
        ),
        (
            model_of(
                [helper.make_tensor_sequence_value_info("x", FLOAT, [2])],
                [value("y", INT64, [])],
                [node("SequenceLength", ["x"], ["y"])],
            ).SerializeToString(),
            r"input 'x' is a seq\(tensor\(float\)\), which the protocol cannot carry",
        ),
    ],
    ids=["float8", "sequence"],
)
def test_an_input_that_the_protocol_cannot_carry_is_refused_at_load(serve, made, said):
    with pytest.raises(SrvError, match=said):
        serve(made)


def test_texts_are_utf8_with_zero_bytes_and_all(serve):
    texts = [b"a\0b", "é\U0001f600".encode(), b""]
    [output] = ask(serve(identity(TEXT, ["n"])), x=Tensor("x", texts, "BYTES"))
    assert output.data.tolist() == texts


@pytest.mark.parametrize("element, said", [(b"\xff", "not UTF-8"), (None, "null")])
def test_bytes_that_are_no_text_are_refused_with_their_place(serve, element, said):
    runtime = serve(identity(TEXT, ["n", 2]))
    data = np.array([[b"a", b"b"], [b"c", element]], object)
    with pytest.raises(InvalidInput, match=rf"^Input 'x': its value \[1\]\[1\] is {said}; the model takes text\.$"):
        ask(runtime, x=Tensor("x", data, "BYTES"))


@pytest.mark.parametrize("content_type", ["base64", "json", "datetime"])
def test_a_content_type_that_says_something_else_than_text_is_refused(serve, content_type):
    runtime = serve(identity(TEXT, ["n"]))
    with pytest.raises(
        InvalidInput, match=rf"^Input 'x' has the content type '{content_type}'; the model takes plain text"
    ):
        ask(runtime, x=Tensor("x", ["YQ=="], "BYTES", parameters={"content_type": content_type}))


def test_nan_is_refused_where_the_settings_say_so(serve):
    x = np.array([[1, 2], [3, np.nan]], np.float32)
    assert np.isnan(ask(serve(identity()), x=x)[0].data[1, 1])
    with pytest.raises(
        InvalidInput, match=r"^Input 'x': its value \[1\]\[1\] is NaN, a missing number; this model takes none"
    ):
        ask(serve(identity(), nan=False), x=x)


# -- outputs ----------------------------------------------------------------------------------------------------------


def test_the_client_chooses_outputs_and_their_order(serve):
    x = np.ones((1, 4), np.float32)
    assert [output.name for output in ask(serve(perceptron()), "logits", "label", x=x)] == ["logits", "label"]
    assert [output.name for output in ask(serve(perceptron()), "logits", x=x)] == ["logits"]


@pytest.mark.parametrize("classes", [["b", "a", "c"], [3, 1, 2], [False, True]], ids=["words", "numbers", "booleans"])
def test_a_map_is_a_column_for_each_label_and_the_metadata_has_the_labels(serve, classes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).astype(np.float32)
    estimator = LogisticRegression().fit(x, [classes[place % len(classes)] for place in range(60)])
    runtime = serve(to_onnx(estimator, x[:1], target_opset=17).SerializeToString())
    label, probability = ask(runtime, X=x)
    assert runtime.parameters["classes"] == {"output_probability": [*map(plain, estimator.classes_)]}
    assert described(runtime.outputs)["output_probability"] == ("FP32", (-1, len(classes)))
    assert np.allclose(probability.data, estimator.predict_proba(x), atol=1e-5)
    assert label.data.tolist() == [each.encode() if isinstance(each, str) else each for each in estimator.predict(x)]


def plain(label):
    return str(label) if isinstance(label, str) else int(label)


def test_labels_stand_in_the_order_of_the_file(serve):
    nodes = [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["z", "a"])]
    output = helper.make_value_info(
        "y", helper.make_sequence_type_proto(helper.make_map_type_proto(TEXT, helper.make_tensor_type_proto(FLOAT, [])))
    )
    runtime = serve(bytes_of([value("x")], [output], nodes, domains=["ai.onnx.ml"]))
    [table] = ask(runtime, x=np.array([[1, 2], [3, 4]], np.float32))
    assert (runtime.parameters["classes"], table.data.tolist()) == ({"y": ["z", "a"]}, [[1, 2], [3, 4]])


SEQUENCE = bytes_of(
    [value("a", FLOAT, ["n", 2]), value("b", FLOAT, ["k", 2])],
    [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
    [node("SequenceConstruct", ["a", "b"], ["y"])],
)


def test_a_sequence_of_tensors_of_one_shape_is_stacked(serve):
    [output] = ask(serve(SEQUENCE), a=ONES, b=2 * ONES)
    assert (output.shape, output.data[:, 0, 0].tolist()) == ((2, 2, 2), [1, 2])


def test_a_sequence_of_tensors_of_several_shapes_says_what_to_do(serve):
    with pytest.raises(
        ModelError, match=r"sequence of tensors of the shapes \[1, 2\], \[2, 2\], and only tensors of one"
    ):
        ask(serve(SEQUENCE), a=ONES, b=ONES[:1])


def test_an_optional_input_may_be_left_out(serve):
    optional = helper.make_value_info("x", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, ["n"])))
    runtime = serve(
        bytes_of(
            [optional, value("k", BOOL, [])],
            [value("y", BOOL, []), value("z", BOOL, [])],
            [node("OptionalHasElement", ["x"], ["y"]), node("Not", ["k"], ["z"])],
        )
    )
    assert runtime.inputs[0].parameters == {"optional": True}
    k = np.array(True)
    assert [ask(runtime, "y", k=k)[0].data.item(), ask(runtime, "y", k=k, x=ONES[0])[0].data.item()] == [False, True]


def test_an_optional_output_that_is_empty_is_left_out_and_refused_by_name(serve):
    kind = helper.make_tensor_type_proto(FLOAT, ["n"])
    output = helper.make_value_info("y", helper.make_optional_type_proto(kind))
    nodes = [node("Optional", [], ["y"], type=kind), node("Relu", ["x"], ["z"])]
    runtime = serve(bytes_of([value("x", FLOAT, ["n"])], [output, value("z", FLOAT, ["n"])], nodes))
    assert [each.name for each in ask(runtime, x=ONES[0])] == ["z"]
    with pytest.raises(
        InvalidInput, match=r"^Output 'y' has no value in the answer to this request, which the model allows"
    ):
        ask(runtime, "y", x=ONES[0])


def test_a_model_without_inputs_gives_its_constants(serve):
    runtime = serve(bytes_of([], [value("y", FLOAT, [1])], [node("Constant", [], ["y"], value_floats=[1.5])]))
    assert ask(runtime)[0].data.tolist() == [1.5]


# -- what does not fit ------------------------------------------------------------------------------------------------

PAIR = bytes_of(
    [value("ids", INT64, ["batch", "length"]), value("mask", INT64, ["batch", "length"])],
    [value("y", INT64, ["batch", "length"])],
    [node("Mul", ["ids", "mask"], ["y"])],
)
IDS = np.ones((2, 3), np.int64)


@pytest.mark.parametrize(
    "inputs, said",
    [
        ({"ids": IDS}, r"^Input 'mask' is missing; the request brings 'ids'\.$"),
        ({}, r"^Inputs 'ids', 'mask' are missing; the request brings none\.$"),
        (
            {"ids": IDS, "mask": IDS, "msk": IDS},
            r"^Input 'msk' is unknown; the model takes ids, mask\. Did you mean 'mask'\?$",
        ),
        ({"ids": IDS, "mask": IDS.astype(np.int32)}, r"^Input 'mask' is INT32; the model takes INT64\.$"),
        (
            {"ids": IDS, "mask": IDS[0]},
            r"^Input 'mask' has shape \[3\]; the model takes \[-1, -1\], -1 standing for any\.$",
        ),
        (
            {"ids": IDS, "mask": IDS[:1]},
            r"dimension 'batch' has one length, and the request has 1 in dimension 0 of 'mask', 2 in dimension 0 of 'ids'\.$",
        ),
    ],
    ids=["missing", "none", "unknown", "datatype", "rank", "lengths"],
)
def test_inputs_that_do_not_fit_are_refused_by_name(serve, inputs, said):
    with pytest.raises(InvalidInput, match=said):
        ask(serve(PAIR), **inputs)


def test_a_length_that_is_fixed_is_named(serve):
    with pytest.raises(
        InvalidInput, match=r"^Input 'x' has shape \[1, 3\]; the model takes \[-1, 4\], -1 standing for any\.$"
    ):
        ask(serve(perceptron()), x=np.ones((1, 3), np.float32))


def test_the_only_input_may_have_the_name_that_the_settings_declare(serve):
    assert ask(serve(identity()), features=ONES)[0].data.tolist() == ONES.tolist()


def test_dimensions_of_one_name_may_differ_where_the_settings_say_so(serve):
    [output] = ask(serve(PAIR, same_lengths=False), ids=IDS, mask=IDS[:1])
    assert output.shape == (2, 3)


GATHER = bytes_of(
    [value("x", FLOAT, ["n", 2]), value("at", INT64, ["k"])],
    [value("y", FLOAT, ["k", 2])],
    [node("Gather", ["x", "at"], ["y"])],
)
ADD = bytes_of(
    [value("a", FLOAT, ["n", 2]), value("b", FLOAT, ["k", 2])],
    [value("y", FLOAT, None)],
    [node("Add", ["a", "b"], ["y"])],
)
DIVIDE = bytes_of(
    [value("a", INT64, ["n", 3]), value("b", INT64, ["n", 3])],
    [value("y", INT64, ["n", 3])],
    [node("Div", ["a", "b"], ["y"])],
)


@pytest.mark.parametrize(
    "made, inputs, operator",
    [
        (GATHER, {"x": ONES, "at": np.array([5])}, "Gather"),
        (ADD, {"a": ONES, "b": np.ones((3, 2), np.float32)}, "Add"),
        (DIVIDE, {"a": IDS, "b": 0 * IDS}, "Div"),
    ],
    ids=["an index out of range", "lengths that do not go together", "integers divided by zero"],
)
def test_values_that_an_operator_refuses_are_the_clients_fault(serve, made, inputs, operator, capfd):
    runtime = serve(made)
    with pytest.raises(
        InvalidInput, match=rf"^The model cannot compute with these values: its operator {operator} refuses"
    ):
        ask(runtime, **inputs)
    assert capfd.readouterr().err == ""


def test_memory_that_is_lacking_is_not_the_clients_fault(serve):
    nodes = [node("ConstantOfShape", ["x"], ["y"])]
    runtime = serve(bytes_of([value("x", INT64, [3])], [value("y", FLOAT, None)], nodes))
    with pytest.raises(Exception, match="allocate") as raised:
        ask(runtime, x=np.array([10**6] * 3))
    assert not isinstance(raised.value, InvalidInput)


# -- loading ----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_onnx_is_refused_at_load(serve):
    with pytest.raises(SrvError, match=r"^'model.onnx' is no ONNX model, or it is cut off"):
        serve(b"not a model")
    with pytest.raises(SrvError, match="is no ONNX model, or it is cut off"):
        serve(b"")
    with pytest.raises(SrvError, match="is no ONNX model, or it is cut off"):
        serve(perceptron()[:-40])


def test_an_operator_that_onnxruntime_lacks_is_told_once(serve, capfd):
    made = bytes_of([value("x")], [value("y")], [node("Frobnicate", ["x"], ["y"], domain="my.own")], domains=["my.own"])
    with pytest.raises(SrvError, match=r"^onnxruntime \S+ cannot load 'model.onnx': .*Frobnicate"):
        serve(made)
    assert capfd.readouterr().err == ""


def test_a_model_of_a_newer_format_is_refused_with_the_versions(serve):
    import onnx

    made = onnx.load_from_string(perceptron())
    made.ir_version = 99
    with pytest.raises(
        SrvError, match=r"cannot load 'model.onnx': .*failed:[\w ]+IR version: 99, max supported IR version: \d+$"
    ):
        serve(made.SerializeToString())


@pytest.mark.parametrize(
    "before, place",
    [
        ("On load: ", "/src/normalizer.cc:235 ns::Locale::Locale(const std::string&)::<lambda()> "),
        ("On load:", "/src/load.h:46 void ns::Check(std::function<void()>, std::map<std::string, int>&) const "),
        ("Error: ", "tensorprotoutils.cc:619 "),
    ],
    ids=["a lambda", "a signature", "a line alone"],
)
def test_what_onnxruntime_says_is_told_without_places_in_its_source(before, place):
    from srv_onnx.sessions import said_by

    error = RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {before}{place}Node (Foo) of a.onnx failed")
    assert said_by(error) == f"{before}Node (Foo) of a.onnx failed"


def test_weights_may_lie_in_a_file_beside_the_model(serve, tmp_path):
    import onnx

    made = onnx.load_from_string(perceptron())
    x = np.ones((1, 4), np.float32)
    expected = ask(serve(perceptron()), "logits", x=x)[0].data
    save_apart(made, tmp_path / "apart.onnx")
    assert (tmp_path / "weights.bin").exists()
    runtime = serve((tmp_path / "apart.onnx").read_bytes(), "apart.onnx")
    assert np.array_equal(ask(runtime, "logits", x=x)[0].data, expected)


@pytest.mark.parametrize("is_absolute", [False, True], ids=["above the folder", "anywhere"])
def test_weights_outside_of_the_folder_are_refused(serve, tmp_path, is_absolute):
    import onnx

    folder = tmp_path / "m"
    folder.mkdir()
    save_apart(onnx.load_from_string(perceptron()), folder / "model.onnx")
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    made = onnx.load(folder / "model.onnx", load_external_data=False)
    for weight in made.graph.initializer:
        weight.external_data[0].value = str(tmp_path / "weights.bin") if is_absolute else "../weights.bin"
    with pytest.raises(SrvError, match=r"cannot load 'model.onnx': External data path validation failed"):
        serve(made.SerializeToString(), "m/model.onnx")


def test_a_file_of_onnxruntimes_own_format_is_served(serve, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "net.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(perceptron(), options, providers=["CPUExecutionProvider"])
    x = np.ones((2, 4), np.float32)
    runtime = serve((tmp_path / "net.ort").read_bytes(), "net.ort")
    assert described(runtime.inputs) == {"x": ("FP32", (-1, 4))}
    assert np.array_equal(ask(runtime, "logits", x=x)[0].data, ask(serve(perceptron()), "logits", x=x)[0].data)


def test_a_provider_that_is_not_there_is_refused_with_those_that_are(serve):
    with pytest.raises(
        SrvError, match=r"names 'CUDAExecutionProvider', which is not installed; this onnxruntime has .*CPU"
    ):
        serve(perceptron(), providers=["CUDAExecutionProvider"])


def test_libraries_of_operators_count_only_by_the_operators_word(serve):
    with pytest.raises(SrvError, match=r"custom_ops names libraries, which are code"):
        serve(perceptron(), custom_ops=["ops.so"])
    with pytest.raises(SrvError, match=r"onnxruntime .* cannot load 'model.onnx'.*ops.so"):
        serve(perceptron(), custom_ops=["ops.so"], operator_extra={"custom_ops": ["ops.so"]})


@pytest.mark.parametrize("extra", [{"optimisation": "none"}, {"threads": 2}, {"arena": False}])
def test_each_setting_leaves_the_answers_as_they_are(serve, extra):
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    expected = ask(serve(perceptron()), "logits", x=x)[0].data
    assert np.allclose(ask(serve(perceptron(), **extra), "logits", x=x)[0].data, expected, rtol=1e-5)


def test_importing_the_runtime_imports_no_onnxruntime():
    code = "import srv_onnx, sys; print([name for name in sys.modules if name.startswith(('onnx', 'pandas'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
