"""`srv doctor` tells of models that run a class of MLServer's where srv has a runtime for the same files."""

import json

from srv.cli.diagnostics import native_findings

SKLEARN = {"implementation": "mlserver_sklearn.SKLearnModel"}
MODULES = {
    "mlserver_sklearn": "",
    "hooks_of_mlserver": "",
    "native": "from srv import Runtime\nclass Native(Runtime): ...",
}


def lay(folder, **models):
    for name, settings in models.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    return folder


def test_a_native_runtime_that_is_installed_is_told_with_the_models_that_could_have_it(site, tmp_path):
    site.add("srv-mlserver", "[srv.plugins]\nmlserver = hooks_of_mlserver\n", modules=MODULES)
    site.add("srv-sklearn", "[srv.runtimes]\nsklearn = native:Native\n")
    folder = lay(tmp_path / "models", a=SKLEARN, b=SKLEARN, c={"implementation": "mine.Own"})

    (finding,) = native_findings.examine(folder, site.discover())

    assert finding.what == (
        "mlserver_sklearn.SKLearnModel of MLServer serves 'a', 'b', and the runtime 'sklearn' of srv-sklearn is installed, "
        "which serves the same files natively."
    )
    assert '"prefer_native": true' in finding.remedy


def test_nothing_is_told_where_no_native_runtime_is_installed_and_where_the_settings_are_broken(site, tmp_path):
    site.add("srv-mlserver", "[srv.plugins]\nmlserver = hooks_of_mlserver\n", modules=MODULES)
    folder = lay(tmp_path / "models", a=SKLEARN)

    assert [*native_findings.examine(folder, site.discover())] == []
    (folder / "settings.json").write_text("{")
    assert [*native_findings.examine(folder, site.discover())] == []
    assert [*native_findings.examine(None, site.discover())] == []
