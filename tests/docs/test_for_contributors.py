"""What is written for contributors is so: paths are there, commands run, the example applies; forms are what GitHub reads."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from guides import TOP, blocks, console, same

PAGES = [TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", TOP / "docs/architecture.md"]
FORMS = sorted((TOP / ".github/ISSUE_TEMPLATE").glob("*.yml"))
OURS = ("core/", "plugins/", "tests/", "scripts/", "docs/", "contrib/", ".ci/")


def without_coverage():
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "SRV_"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_for_contributors_names_are_there(page):
    named = re.findall(r"`([^`\s]+)", page.read_text())
    missing = [name for name in named if name.startswith(OURS) and not (TOP / name).exists()]
    assert missing == []


def test_each_row_of_where_a_change_goes_names_what_to_change_and_what_holds_it():
    table = re.search(r"^\| To add .*?\n\n", (TOP / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    rows = [line.strip("|").split("|") for line in table[0].strip().splitlines()[2:]]
    assert {"a hook", "a setting", "a datatype", "a runtime that people install", "a codec"} <= {
        row[0].strip() for row in rows
    }
    assert [row[0] for row in rows if len(row) != 4 or not all(cell.strip() for cell in row)] == []


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", console(TOP / "CONTRIBUTING.md"), ids=lambda command: command.text[:40])
def test_the_commands_for_one_test_do_what_the_page_says(command):
    done = subprocess.run(
        ["bash", "-c", command.text], cwd=TOP, env=without_coverage(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert same(command.printed, done.stdout)


@pytest.mark.e2e
def test_the_example_of_a_setting_applies_and_srv_reads_tells_and_describes_it(tmp_path):
    for root in ("core", "plugins"):
        shutil.copytree(TOP / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    page = blocks(TOP / "CONTRIBUTING.md")
    (change,) = [block.text for block in page if block.language == "diff"]
    (line,) = [block.text.strip() for block in page if block.text.startswith("| `max_guests`")]
    subprocess.run(["git", "apply"], input=change, cwd=tmp_path, text=True, check=True)
    environ = without_coverage() | {"PYTHONPATH": f"{tmp_path / 'core'}:{tmp_path / 'plugins'}", "SRV_MAX_GUESTS": "9"}

    def said(*words):
        run = [sys.executable, *words]
        return subprocess.run(run, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    described = said("-c", "from srv.settings.reference import reference; print(reference())")
    told = said("-m", "srv", "settings")

    assert line in described.splitlines()
    assert re.search(r"^max_guests +9 +SRV_MAX_GUESTS$", told, re.MULTILINE)


def test_every_hook_for_commits_is_local_and_runs_a_script_of_this_repository():
    document = yaml.safe_load((TOP / ".pre-commit-config.yaml").read_text())
    hooks = [(repository["repo"], hook["entry"]) for repository in document["repos"] for hook in repository["hooks"]]
    assert hooks
    assert [entry for place, entry in hooks if place != "local" or not os.access(TOP / entry, os.X_OK)] == []


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_for_issues_has_what_github_asks_of_it(form):
    document = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert set(document) <= {"blank_issues_enabled", "contact_links"}
        return
    assert all(document[key] for key in ("name", "description", "body"))
    asked = [each for each in document["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in asked} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(each["attributes"]["label"] for each in asked)
    identifiers = [each["id"] for each in asked]
    assert len(set(identifiers)) == len(identifiers) > 0


def test_the_policy_for_vulnerabilities_names_no_address_and_no_person():
    text = (TOP / "SECURITY.md").read_text()
    assert "Report a\nvulnerability" in text or "Report a vulnerability" in text
    assert re.findall(r"[\w.]+@[\w.]+|https?://", text) == []


def test_the_editors_settings_keep_to_the_formatters():
    text = (TOP / ".editorconfig").read_text()
    length = re.search(r"^line-length = (\d+)$", (TOP / "ruff.toml").read_text(), re.MULTILINE)
    assert f"max_line_length = {length[1]}\n" in text
    assert text.startswith("root = true\n")
