"""Secrets that would travel in an image: which files hold one, and which only look so."""

import base64
import json
import random
import string

import pytest

from srv.errors import SrvError
from srv_dockerfile import secret_files as module
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.files import travelling
from srv_dockerfile.secret_files import check_secrets, secret_files

letters = random.Random(7)


def some(length, alphabet=string.ascii_letters + string.digits):
    """Characters as a token has them; made here, so that this file holds no secret."""
    return "".join(letters.choices(alphabet, k=length))


def pem(kind, length=1200):
    body = base64.encodebytes(letters.randbytes(length)).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n"


BASE32 = string.ascii_uppercase + "234567"

#: Files that hold a secret, and the name under which it is told where that is another.
SECRETS = {
    "id_rsa": "anything",
    "keys/id_ed25519": "anything",
    ".netrc": "machine example.com login a password b",
    ".pypirc": "[pypi]",
    ".git-credentials": "https://a:b@example.com",
    ".htpasswd": "a:b",
    ".ssh/config": (".ssh", "Host x"),
    "home/.aws/credentials": ("home/.aws", "[default]"),
    ".kube/config": (".kube", "apiVersion: v1"),
    ".config/gcloud/x.db": (".config/gcloud", "x"),
    ".docker/config.json": json.dumps({"auths": {"r.example": {"auth": "dXNlcjpwYXNzd29yZA=="}}}),
    ".npmrc": f"//registry.example/:_authToken={some(36)}",
    "kaggle.json": "{}",
    "credentials.json": "{}",
    ".streamlit/secrets.toml": "x = 1",
    "deploy/terraform.tfstate": "{}",
    "store.p12": "x",
    "passwords.KDBX": "x",
    "putty.ppk": "x",
    "tls/server.pem": pem("CERTIFICATE") + pem("PRIVATE KEY"),
    "tls/key.pem": pem("RSA PRIVATE KEY"),
    "tls/encrypted.pem": pem("ENCRYPTED PRIVATE KEY"),
    "openssh": pem("OPENSSH PRIVATE KEY"),
    "pgp.asc": pem("PGP PRIVATE KEY BLOCK"),
    "tls/short.key": "-----BEGIN EC PRIVATE KEY-----\n",
    "short.json": json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\n"}),
    "service.json": json.dumps({"type": "service_account", "private_key": pem("PRIVATE KEY")}),
    "adc.json": json.dumps({"type": "authorized_user", "refresh_token": some(60)}),
    "load.py": f'token = "hf_{some(34)}"',
    "notebook.ipynb": json.dumps({"source": [f"login('ghp_{some(36)}')"]}),
    "fine.py": f"github_pat_{some(22)}_{some(59)}",
    "config.yaml": f"key: AKIA{some(16, BASE32)}",
    "settings.json": json.dumps({"keys": {"one": f"sha256:{some(64)}", "another": some(24)}}),
    "boto.cfg": f"aws_secret_access_key = {some(40)}",
    "openai.py": f"sk-proj-{some(40)}T3BlbkFJ{some(40)}",
    "anthropic.txt": f"sk-ant-api03-{some(93)}-AA",
    "gitlab.sh": f"curl -H 'PRIVATE-TOKEN: glpat-{some(20)}'",
    "pypi.toml": f"pypi-AgEIcHlwaS5vcmc{some(100)}",
    "gemini.js": f"AIza{some(35)}",
    "cluster.yaml": f"client-key-data: {some(200)}",
    "requirements.txt": "--extra-index-url https://me:hunter2@pypi.example/simple\n",
    "pip.conf": "[global]\nindex-url = https://me:hunter2@pypi.example/simple\n",
    "prod.env": "DB_PASSWORD=hunter22\n",
    "a/model-settings.json": json.dumps({"parameters": {"uri": f"https://anna:{some(9)}@models.internal/m.onnx"}}),
    "b/model-settings.json": json.dumps(
        {"parameters": {"uri": f"https://b.s3.amazonaws.com/m?X-Amz-Signature={some(64)}"}}
    ),
    "c/model-settings.json": json.dumps(
        {"parameters": {"uri": f"https://c.blob.core.windows.net/m?sp=r&sig={some(44)}"}}
    ),
    "d/settings.json": json.dumps({"storage": {"headers": {"https://models.internal": {"Authorization": some(20)}}}}),
    "sub/worker.env": "export OPENAI_API_KEY='abcdefgh'\n",
}

#: Files that hold none.
NONE = {
    "id_rsa.pub": f"ssh-rsa {some(300)} me@host",
    "tls/cert.pem": pem("CERTIFICATE"),
    "tls/public.pem": pem("PUBLIC KEY"),
    "ca-bundle.crt": pem("CERTIFICATE") * 50,
    "models.py": "def load(pem): assert pem.startswith('-----BEGIN PRIVATE KEY-----')\npassword = 'x'\n",
    "docs.md": "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----\nAKIAIOSFODNN7EXAMPLE, ghp_"
    + "x" * 36,
    "secrets.py": "import os\ntoken = os.environ['HF_TOKEN']\n",
    "tokenizer.json": json.dumps({"vocab": {some(letters.randint(1, 12)): i for i in range(20_000)}}),
    "vocab.txt": "\n".join(
        ["AKIA", "ghp_", "hf_", "password", "secret", "PRIVATE KEY", "BEGIN", "xoxb-", "token="] * 300
    ),
    "merges.txt": "\n".join(f"{some(3)} {some(4)}" for _ in range(20_000)),
    "config.json": json.dumps({"model_type": "llama", "auth": None, "max_token": 4096, "eos_token": "</s>"}),
    "special_tokens_map.json": json.dumps({"pad_token": "<pad>", "sep_token": "[SEP]"}),
    "settings.json": json.dumps({"keys": {"one": f"sha256:{some(64)}"}, "server_name": some(24)}),
    "image.ipynb": json.dumps({"image/png": base64.b64encode(letters.randbytes(300_000)).decode()}),
    "embeddings.csv": "\n".join(some(64) for _ in range(2000)),
    "hashes.txt": "\n".join(f"--hash=sha256:{some(64, string.hexdigits.lower())}" for _ in range(500)),
    "requirements-dev.txt": "--index-url https://me:${TOKEN}@pypi.example/simple\ngit+ssh://git@example.com/a.git\nx @ https://h:443/x\n",
    "pyproject.toml": "# https://user:password@example.com\n",
    ".npmrc": "//registry.example/:_authToken=${NPM_TOKEN}\nregistry=https://example.com\n",
    "train.env": "MAX_TOKENS=4096000\nEPOCHS=10\nDB_PASSWORD=\nAPI_KEY=$KEY\nSECRET_KEY=changeme\nTOKEN=<yours>\n",
    "a/model-settings.json": json.dumps({"parameters": {"uri": f"https://models.internal/m.onnx#sha256={some(64)}"}}),
    "b/model-settings.json": json.dumps(
        {"parameters": {"uri": "https://models.internal/m.onnx?version=20261130120000000"}}
    ),
    "b/settings.json": json.dumps({"storage": {"headers": {}}, "cors_settings": {"expose_headers": ["x-request-id"]}}),
    "weights.bin": pem("PRIVATE KEY"),  # never looked into
    "picture.dat": "\0" + pem("PRIVATE KEY"),
    "empty/id_rsa": "",
    "long.txt": "x" * (1 << 20) + pem("PRIVATE KEY"),
}


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text[1] if isinstance(text, tuple) else text)
    return folder


def found_in(folder, notes=None):
    return secret_files(travelling(folder, Ignore([])), [] if notes is None else notes)


def test_files_that_hold_a_secret_are_found_by_name_or_content(tmp_path):
    assert set(found_in(write(tmp_path, SECRETS))) == {
        text[0] if isinstance(text, tuple) else name for name, text in SECRETS.items()
    }


def test_files_that_only_look_so_are_no_secret(tmp_path):
    assert found_in(write(tmp_path, NONE)) == {}


def test_what_installed_packages_hold_is_no_secret(tmp_path):
    import certifi
    import numpy

    for package in (certifi, numpy):
        (tmp_path / package.__name__).symlink_to(package.__path__[0])
        assert found_in(tmp_path / package.__name__) == {}


def test_a_folder_of_too_many_files_is_looked_into_up_to_a_limit_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    write(tmp_path, {f"{number}.dat": "x" for number in range(5)} | {"z.pem": SECRETS["tls/key.pem"]})
    notes = []

    assert found_in(tmp_path, notes) == {"z.pem": "a private key"}
    assert " ".join(notes) == (
        "3 of 6 small files were not looked into for secrets, because there are so many. What no image needs can be left out "
        "in .dockerignore."
    )


# -- refused, and allowed ---------------------------------------------------------------------------------------------


@pytest.fixture
def made(plan):
    """A plan with two secrets, and further files."""

    def make(files=None):
        return plan({"tls/key.pem": SECRETS["tls/key.pem"], "models/.aws/config": "x", **(files or {})})

    return make


def test_secrets_that_would_travel_are_named_and_refused(made):
    with pytest.raises(SrvError) as refused:
        check_secrets(made(), [])

    assert str(refused.value) == (
        "Everybody who has the image could read what is secret: 'models/.aws' (credentials of AWS), 'tls/key.pem' (a private "
        "key). Name it in .dockerignore and give it to the container instead, as a mounted file or a variable; or, if it may "
        "be read, --allow models/.aws."
    )


@pytest.mark.parametrize("allowed", [["tls/key.pem", "models/.aws"], ["**/*.pem", "models"], ["**"]])
def test_what_is_allowed_travels(made, allowed):
    check_secrets(made(), allowed)


def test_a_pattern_that_allows_nothing_is_told(made):
    plan = made()
    check_secrets(plan, ["**", "tsl/key.pem"])
    assert [note for note in plan.notes if "--allow" in note] == [
        "--allow tsl/key.pem allows nothing: no file of that name was found to hold a secret."
    ]


@pytest.mark.parametrize(
    "lines", ["tls\nmodels/.aws", "!tls/key.pem\n!models/.aws", "*\n!models\n!tls/*.pem\n!**/.aws"]
)
def test_the_user_s_own_dockerignore_leaves_out_or_allows_by_name(made, lines):
    check_secrets(made({".dockerignore": lines}), [])


@pytest.mark.parametrize("lines", ["*\n!models\n!tls\n!models.py\n", "*\n!tls/*\n!models/**"])
def test_a_line_that_brings_back_a_whole_folder_allows_no_secret_in_it(made, lines):
    with pytest.raises(SrvError, match=r"'models/\.aws' .* 'tls/key\.pem'"):
        check_secrets(made({".dockerignore": lines}), [])


def test_a_key_of_tls_that_settings_name_is_a_secret_whatever_it_looks_like(plan):
    settings = {"settings.json": {"tls": {"certfile": "tls/cert.der", "keyfile": "tls/key.der"}}}

    made = plan(settings | {"tls/cert.der": "x", "tls/key.der": "x"})
    assert made.secret_files == {"tls/key.der": "the key of TLS that settings.json names"}

    made = plan({".dockerignore": "tls/key.der"})
    check_secrets(made, [])
    assert "The image has not what settings.json names for TLS. Mount it at /srv/app/tls/key.der." in made.notes


def test_a_plugin_may_name_secrets_and_clear_false_alarms(plan, site):
    hook = (
        "from srv import hookimpl\n@hookimpl\ndef srv_image_plan(plan):\n"
        "    del plan.secret_files['tls/key.pem']\n    plan.secret_files['models.py'] = 'a licence'\n"
    )
    site.add("srv-base", "[srv.plugins]\nbase = base_hooks\n", modules={"base_hooks": hook})

    with pytest.raises(SrvError, match=r"what is secret: 'models\.py' \(a licence\)\. Name"):
        check_secrets(plan({"tls/key.pem": SECRETS["tls/key.pem"]}), [])
