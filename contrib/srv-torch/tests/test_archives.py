"""Files that are served, files that are not, and what is said of these."""

import io
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from networks import Branches, Classifier

from srv.errors import SrvError
from srv_torch import TorchRuntime
from srv_torch.archives import kind_of


def archive(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name in names:
            made.writestr(name, b"")
    return stream.getvalue()


def saved(value, **options):
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


NOT_SERVED = {
    "weights": (lambda: saved(Classifier().state_dict()), "a pickle of torch.save: weights without their program"),
    "a module": (lambda: saved(Classifier()), "a pickle of torch.save: weights without their program, or a module"),
    "weights of old": (
        lambda: saved(Classifier().state_dict(), _use_new_zipfile_serialization=False),
        "no archive of PyTorch; it is a pickle of an old torch.save, or damaged",
    ),
    "a library": (
        lambda: archive("net/archive_format", "net/data/aotinductor/model/abc.wrapper.so"),
        "a library that AOTInductor has compiled for one kind of machine",
    ),
    "another archive": (lambda: archive("readme.txt"), "an archive that is neither of torch.export nor of TorchScript"),
    "nothing": (lambda: b"", "no archive of PyTorch"),
}


def test_programs_are_recognised_by_what_is_in_them(export, script, tmp_path):
    exported, scripted = export(Branches(), torch.ones(2)), script(Classifier())
    (tmp_path / "old.pt2").write_bytes(archive("version", "serialized_exported_program.json"))

    assert (kind_of(exported), kind_of(scripted)) == ("torch.export", "TorchScript")
    assert all(TorchRuntime.recognise(file) for file in (exported, scripted, tmp_path / "old.pt2"))


@pytest.mark.parametrize("what", NOT_SERVED)
def test_what_is_no_program_is_refused_with_what_it_is_and_what_to_do(load, tmp_path, what):
    content, sentence = NOT_SERVED[what]
    file = tmp_path / "model.pt"
    file.write_bytes(content())

    with pytest.raises(SrvError, match=f"'model.pt' holds {sentence}"):
        TorchRuntime.recognise(file)
    with pytest.raises(SrvError) as refused:
        load(file)
    assert str(refused.value).startswith(f"'model.pt' holds {sentence}")
    assert str(refused.value).endswith("torch.export.save(torch.export.export(model.eval(), args), 'model.pt2').")


def test_a_program_under_another_name_is_served(export, load):
    file = export(Branches(), torch.ones(2))
    renamed = file.rename(file.with_name("branches.bin"))
    assert load(renamed).parameters["format"] == "torch.export"


def test_asking_the_runtime_about_files_imports_no_torch():
    code = "import sys, srv_torch, srv_torch.image; assert not {'torch', 'sympy'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


class Shout:
    def __reduce__(self):
        return (print, ("code of the file ran",))


def test_loading_a_program_runs_code_in_its_file(export, tmp_path, capfd):
    # This is why model.pt2 counts as code; once torch stops doing it, that may change.
    changed = tmp_path / "model.pt2"
    with zipfile.ZipFile(export(Branches(), torch.ones(2))) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, saved(Shout()) if "sample_inputs" in name else content)
    with pytest.raises(Exception):  # noqa: B017 - whatever comes of inputs that are None
        torch.export.load(changed).example_inputs[0]
    assert "code of the file ran" in capfd.readouterr().out


@pytest.mark.parametrize("device", ["cuda", "nowhere"])
def test_a_device_that_is_not_there_is_told(script, load, device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("There is such a device.")
    with pytest.raises(SrvError, match=f"parameters.extra.device is '{device}', which torch .* cannot use: "):
        load(script(Classifier()), extra={"device": device})


@pytest.fixture
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_as_before")
def test_the_number_of_threads_is_that_of_the_settings_in_every_thread(script, load):
    load(script(Classifier()), extra={"threads": 3})
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3


@pytest.mark.usefixtures("threads_as_before")
@pytest.mark.parametrize(("said", "expected"), [(None, 2), ("1", 4)], ids=["the share", "the user's word"])
def test_the_number_of_threads_is_the_workers_share_where_the_user_says_nothing(
    script, load, monkeypatch, said, expected
):
    monkeypatch.setattr("srv_torch.TorchRuntime.cores", 2)
    torch.set_num_threads(4)
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    load(script(Classifier()))
    assert torch.get_num_threads() == expected
