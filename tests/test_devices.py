import pytest

from srv.devices import is_device, shared_out, visible


@pytest.mark.parametrize(
    "text", ["cpu", "cuda:0", "cuda:0,1", "rocm:12", "xpu:0", "neuron:0", "cuda:GPU-5f1a", "cuda:MIG-1/2/3"]
)
def test_a_device_is_a_kind_and_which_of_it(text):
    assert is_device(text)


@pytest.mark.parametrize(
    "text",
    ["", "cuda", "cuda:", "cuda:-1", "cuda:a", "gpu:0", "0", "cuda:0;1", "cuda:0,", "xpu:GPU-1", "cpu:0", "CUDA:0"],
)
def test_anything_else_is_none(text):
    assert not is_device(text)


def test_two_devices_of_two_processes_are_one_for_each():
    devices = ("cuda:0", "cuda:1")
    assert [visible(shared_out(devices, 2, number))["CUDA_VISIBLE_DEVICES"] for number in range(2)] == ["0", "1"]


@pytest.mark.parametrize(
    "count, parts",
    [
        (1, [("a", "b", "c", "d")]),
        (2, [("a", "b"), ("c", "d")]),
        (4, [("a",), ("b",), ("c",), ("d",)]),
        (5, [("a",), ("b",), ("c",), ("d",), ("a",)]),
    ],
)
def test_a_list_is_shared_out_evenly_or_in_turn(count, parts):
    assert [shared_out(("a", "b", "c", "d"), count, number) for number in range(count)] == parts


def test_no_devices_leave_the_variables_alone_and_cpu_hides_all():
    assert visible(shared_out((), 2, 0)) == {}
    assert visible(("cpu",)) == {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}
    assert visible(("cuda:0,1", "cuda:3", "xpu:2")) == {
        "CUDA_VISIBLE_DEVICES": "0,1,3",
        "ROCR_VISIBLE_DEVICES": "",
        "ZE_AFFINITY_MASK": "2",
    }
