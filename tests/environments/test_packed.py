import platform
import tarfile
from pathlib import Path

import pytest
from packing import BASE, SITE, VERSION, link, pack, special, venv

from srv.environments import machine
from srv.environments.errors import EnvironmentUnusable
from srv.environments.packed import examine_archive
from srv.version import __version__

ELF = Path(BASE).read_bytes()[:4096]  # the head of a program, with its processor and its loader
MACH_O = b"\xcf\xfa\xed\xfe" + bytes(60)
EXTENSION = f"{SITE}/fast.cpython-311-{platform.machine()}-linux-gnu.so"


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "env.tar"


def refusal(archive):
    with pytest.raises(EnvironmentUnusable) as caught:
        examine_archive(archive)
    return str(caught.value).replace(str(archive.parent) + "/", "")


@pytest.mark.parametrize("top", ["", "sklearn/"], ids=["flat", "in a folder"])
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_an_archive_says_what_it_holds(tmp_path, top, ending):
    packed = examine_archive(pack(tmp_path / f"env.{ending}", venv(top)))

    assert (packed.top, packed.python, packed.srv) == (top, VERSION, __version__)
    assert packed.base_links == {f"{top}bin/python"}
    assert packed.doubts == ()


@pytest.mark.parametrize(
    "member",
    ["../evil.py", "/etc/cron.d/evil", "lib/../../evil", f"{SITE}/../../../../../evil", "..", "a/..\\..\\..\\evil"],
)
def test_a_file_that_would_leave_the_folder_is_named(archive, member):
    assert refusal(pack(archive, venv(), [(member, "x")])) == (
        f"The archive env.tar of the environment has '{member}', which would leave its folder. Nothing of it was extracted; "
        "do not trust where it comes from."
    )


@pytest.mark.parametrize(
    "name, target",
    [("out", "/etc"), ("out", "../.."), ("lib/out", "../../x"), ("bin/pip", "/usr/bin/pip"), ("bin/python", "../../x")],
)
def test_a_link_that_leads_out_of_the_folder_is_named(archive, name, target):
    members = {each: content for each, content in venv().items() if each != name}
    assert f"the link '{name}', which leads out of its folder to '{target}'" in refusal(
        pack(archive, members, [(name, link(name, target))])
    )


def test_a_file_behind_a_link_is_refused(archive):
    members = [("a", link("a", "lib")), ("a/x.py", "x")]
    assert "has 'a/x.py', which lies behind the link 'a'" in refusal(pack(archive, venv(), members))


def test_a_hard_link_to_what_is_not_in_the_archive_is_refused(archive):
    member = special("shadow", tarfile.LNKTYPE, "/etc/shadow")
    assert "the hard link 'shadow', which leads to '/etc/shadow'" in refusal(
        pack(archive, venv(), [("shadow", member)])
    )


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(archive, kind):
    assert "'dev/x' is a device or a pipe" in refusal(pack(archive, venv(), [("dev/x", special("dev/x", kind))]))


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_an_archive_that_is_cut_off_is_refused(tmp_path, ending, share):
    archive = pack(tmp_path / f"env.{ending}", venv() | {"lib/noise": bytes(range(256)) * 400})
    whole = archive.read_bytes().rstrip(b"\0") if ending == "tar" else archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])

    assert refusal(archive).startswith(f"The archive env.{ending} of the environment cannot be used: ")


def test_an_archive_that_is_cut_off_between_two_members_is_refused(archive):
    pack(archive, venv())
    with tarfile.open(archive) as opened:
        last = opened.getmembers()[-1]
    archive.write_bytes(archive.read_bytes()[: last.offset])

    assert refusal(archive) == "The archive env.tar of the environment cannot be used: it is cut off. Pack it again."


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "env.tar.gz").write_text("not found")
    said = "The archive env.tar.gz of the environment cannot be used: it is no tar archive. Pack it again."
    assert refusal(tmp_path / "env.tar.gz") == said
    (tmp_path / "env.zip").write_bytes(b"PK")
    assert "env.zip, which is no folder and no .tar.gz, .tar.bz2, .tar.xz or .tar" in refusal(tmp_path / "env.zip")


def test_an_archive_without_python_is_refused(archive):
    assert "names env.tar, which holds no bin/python" in refusal(pack(archive, {"model.onnx": "x"}))


@pytest.mark.parametrize("name", ["Scripts/python.exe", "python.exe", "env/Scripts/python.exe"])
def test_an_environment_of_windows_is_named(archive, name):
    assert f"env.tar is for Windows, and this machine is {machine.this_machine()}" in refusal(
        pack(archive, {name: b"MZ"})
    )


def test_a_conda_environment_of_macos_is_named(archive):
    members = {f"bin/python{VERSION}": MACH_O, "bin/python": link("bin/python", f"python{VERSION}"), f"{SITE}/a.py": ""}
    assert refusal(pack(archive, members)) == (
        f"The environment env.tar is for macOS, and this machine is {machine.this_machine()}. Make it on a machine like this "
        "one, or in the image that serves."
    )


def test_a_virtual_environment_of_macos_is_told_by_its_extension_modules(archive):
    members = venv(base="/opt/homebrew/bin/python3.12") | {f"{SITE}/fast.cpython-312-darwin.so": MACH_O}
    assert "env.tar is for macOS, and this machine" in refusal(pack(archive, members))


def test_a_program_of_windows_among_the_packages_is_no_matter(archive):
    members = venv() | {f"{SITE}/pip/_vendor/distlib/t64.exe": b"MZ", f"{SITE}/other.dylib": MACH_O}
    assert examine_archive(pack(archive, members)).srv == __version__


def test_an_environment_of_another_processor_is_named(archive):
    other, shown = (62, "x86_64") if platform.machine() == "aarch64" else (183, "aarch64")
    program = ELF[:18] + other.to_bytes(2, "little") + ELF[20:]
    assert f"env.tar is for Linux on {shown}, and this machine is" in refusal(
        pack(archive, {f"bin/python{VERSION}": program})
    )


@pytest.mark.parametrize("name", [f"bin/python{VERSION}", f"lib/libpython{VERSION}.so.1.0"])
def test_a_python_that_needs_a_newer_c_library_is_named(archive, monkeypatch, name):
    monkeypatch.setattr(machine, "glibc", lambda: (2, 3))
    whole = Path(BASE).read_bytes()
    members = {f"bin/python{VERSION}": ELF, name: whole}
    assert "env.tar is for glibc 2." in refusal(pack(archive, members))


def test_a_loader_that_is_not_here_is_named(archive):
    loader = b"/lib64/ld-linux-x86-64.so.2" if b"/lib64/ld-linux-x86-64.so.2" in ELF else b"/lib/ld-linux-aarch64.so.1"
    program = Path(BASE).read_bytes().replace(loader, b"/lib64/ld-musl-none.so.1".ljust(len(loader), b"\0"))
    assert "is for Linux with the loader /lib64/ld-musl-none.so.1, and this machine" in refusal(
        pack(archive, {f"bin/python{VERSION}": program})
    )


def test_a_library_that_needs_more_than_this_machine_has_is_a_doubt(archive, monkeypatch):
    monkeypatch.setattr(machine, "glibc", lambda: (2, 3))
    library = Path(BASE).read_bytes()  # any program that needs a C library
    [doubt] = examine_archive(pack(archive, venv() | {EXTENSION: library})).doubts
    assert doubt.startswith(f"{EXTENSION.rpartition('/')[2]} needs glibc 2.")
    assert doubt.endswith("and this machine has 2.3")


def test_the_python_that_a_virtual_environment_was_made_with_must_be_here(archive):
    assert refusal(pack(archive, venv(base="/opt/python/bin/python3.12"))) == (
        "The Python of the environment env.tar is /opt/python/bin/python3.12, which is not on this machine: a virtual "
        "environment brings none. Install that Python there, pack with venv-pack --python-prefix, or use conda-pack, which "
        "brings its own."
    )


@pytest.mark.parametrize("version", ["3.8", "3.10"])
def test_a_python_that_is_too_old_is_named(archive, version):
    assert refusal(pack(archive, venv(version=version))) == (
        f"The environment env.tar has Python {version}, and srv needs 3.11 or newer there. Make it again with a newer one."
    )


def test_an_environment_without_srv_is_told_with_the_command(archive):
    assert refusal(pack(archive, venv(srv=False))) == (
        "The environment env.tar does not have srv-inference: pip install srv-inference in the environment that it was packed "
        "of, and pack that again."
    )


def test_reasons_are_whole_in_the_index(archive):
    for members in (venv(base="/opt/python/bin/python3.12"), venv(srv=False), venv(version="3.10")):
        assert len(refusal(pack(archive, members))) < 280
