"""What secrets look like: names of files that hold them, and texts that are one.

Each is definite: a file is found by the name that a program gives to its credentials, or by a text whose form its
issuer reserves for secrets. Nothing here judges by how random a text looks, because vocabularies and weights do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from pathlib import PurePosixPath

#: Folders of credentials in a person's home, by the last parts of their path.
FOLDERS = {
    ".aws": "credentials of AWS",
    ".azure": "credentials of Azure",
    ".config/gcloud": "credentials of Google Cloud",
    ".gnupg": "keys of GnuPG",
    ".kube": "credentials of Kubernetes",
    ".oci": "credentials of Oracle Cloud",
    ".password-store": "passwords",
    ".snowflake": "credentials of Snowflake",
    ".ssh": "keys of SSH",
}

#: Files by their names, in small letters; the first that fits.
FILES = {
    "id_rsa": "a private key of SSH",
    "id_dsa": "a private key of SSH",
    "id_ecdsa": "a private key of SSH",
    "id_ed25519": "a private key of SSH",
    "id_ecdsa_sk": "a private key of SSH",
    "id_ed25519_sk": "a private key of SSH",
    ".netrc": "passwords of hosts",
    "_netrc": "passwords of hosts",
    ".pypirc": "passwords of package indexes",
    ".git-credentials": "passwords of Git",
    ".pgpass": "passwords of PostgreSQL",
    ".my.cnf": "passwords of MySQL",
    ".htpasswd": "passwords of a web server",
    ".dockercfg": "passwords of registries",
    ".s3cfg": "credentials of S3",
    ".boto": "credentials of Boto",
    ".databrickscfg": "credentials of Databricks",
    ".vault-token": "a token of Vault",
    "kaggle.json": "a key of Kaggle",
    "credentials.json": "credentials",
    "credentials.y*ml": "credentials",
    "credentials.toml": "credentials",
    "credentials.ini": "credentials",
    "credentials.csv": "credentials",
    "*_credentials.csv": "credentials",
    "*accesskeys.csv": "keys of AWS",
    "rootkey.csv": "keys of AWS",
    "application_default_credentials.json": "credentials of Google Cloud",
    "client_secret*.json": "a client's secret of Google",
    "secrets.json": "secrets",
    "secrets.y*ml": "secrets",
    "secrets.toml": "secrets",
    "secrets.ini": "secrets",
    ".secrets": "secrets",
    ".secrets.*": "secrets",
    "*.tfstate": "the state of Terraform, which holds passwords",
    "*.tfstate.backup": "the state of Terraform, which holds passwords",
    "*.p12": "a store of keys",
    "*.pfx": "a store of keys",
    "*.jks": "a store of keys",
    "*.keystore": "a store of keys",
    "*.keytab": "keys of Kerberos",
    "*.kdbx": "a store of passwords",
    "*.kdb": "a store of passwords",
    "*.ppk": "a private key of PuTTY",
}


@dataclass(frozen=True)
class Shape:
    """A text that is a secret; `marker` stands in each, and is found much faster than the whole."""

    kind: str
    marker: bytes
    form: re.Pattern[bytes]
    #: Names of the files in which it is one, in small letters; None for all.
    files: re.Pattern[str] | None = None


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def _shape(kind: str, marker: str, form: str, *files: str) -> Shape:
    return Shape(kind, marker.encode(), re.compile(form.encode()), _any_of(files) if files else None)


#: No letter, digit or `_` beside it.
_BEGIN, _END = r"(?<![A-Za-z0-9_-])", r"(?![A-Za-z0-9_-])"
#: Files that name addresses of package indexes and repositories.
_ADDRESSES = (
    "*requirements*.txt",
    "*constraints*.txt",
    "*requirements*.in",
    "pip.conf",
    "pip.ini",
    ".condarc",
    "environment*.y*ml",
    "conda*.y*ml",
    "pyproject.toml",
    "poetry.toml",
    "uv.toml",
    "uv.lock",
    "poetry.lock",
    "pipfile*",
    ".gitmodules",
    "*.env",
    "*model-settings.json",
)

SHAPES = (
    _shape(
        "a private key",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){0,400}?[A-Za-z0-9+/]{40}",
    ),
    # A file that is nothing but a key, however short, is no text about keys.
    _shape(
        "a private key", "PRIVATE KEY", r"\A\s*-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY", "*.pem", "*.key", "*.p8"
    ),
    _shape("a key of Google Cloud", '"service_account"', r"\"private_key\"\s*:\s*\"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    _shape("a private key of SSH", "SSH2 ENCRYPTED PRIVATE KEY", r"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"),
    _shape("a private key of PuTTY", "PuTTY-User-Key-File-", r"\APuTTY-User-Key-File-\d"),
    _shape("a private key of age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{50}"),
    _shape("a key of AWS", "AKIA", rf"{_BEGIN}AKIA[A-Z2-7]{{16}}{_END}"),
    _shape("a key of AWS", "ASIA", rf"{_BEGIN}ASIA[A-Z2-7]{{16}}{_END}"),
    _shape(
        "a key of AWS",
        "aws_secret_access_key",
        r"aws_secret_access_key[\"']?\s*[=:]\s*[\"']?([A-Za-z0-9/+]{40})(?![\w/+])",
    ),
    _shape("a key of Azure", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{86}==)"),
    _shape("a key of Google", "AIza", rf"{_BEGIN}AIza[A-Za-z0-9_-]{{35}}{_END}"),
    _shape("a client's secret of Google", "GOCSPX-", rf"{_BEGIN}GOCSPX-[A-Za-z0-9_-]{{28}}{_END}"),
    _shape("credentials of Google Cloud", '"authorized_user"', r"\"refresh_token\"\s*:\s*\"[^\"]{20,}\""),
    _shape("a token of GitHub", "github_pat_", rf"{_BEGIN}github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{_END}"),
    *(
        _shape("a token of GitHub", f"gh{letter}_", rf"{_BEGIN}gh{letter}_[A-Za-z0-9]{{36,}}{_END}")
        for letter in "pousr"
    ),
    _shape("a token of GitLab", "glpat-", rf"{_BEGIN}glpat-[A-Za-z0-9_.-]{{20,}}"),
    _shape("a token of Hugging Face", "hf_", rf"{_BEGIN}hf_[A-Za-z0-9]{{34,}}{_END}"),
    _shape("a key of OpenAI", "T3BlbkFJ", rf"{_BEGIN}sk-[A-Za-z0-9_-]{{20,}}T3BlbkFJ[A-Za-z0-9_-]{{20,}}"),
    _shape("a key of Anthropic", "sk-ant-", rf"{_BEGIN}sk-ant-[a-z]+\d\d-[A-Za-z0-9_-]{{80,}}"),
    _shape("a token of PyPI", "pypi-AgE", rf"{_BEGIN}pypi-AgE[A-Za-z0-9_-]{{50,}}"),
    _shape("a token of npm", "npm_", rf"{_BEGIN}npm_[A-Za-z0-9]{{36}}{_END}"),
    _shape("a token of Docker Hub", "dckr_pat_", rf"{_BEGIN}dckr_pat_[A-Za-z0-9_-]{{27}}"),
    _shape("a token of Databricks", "dapi", rf"{_BEGIN}dapi[0-9a-f]{{32}}(?:-\d)?{_END}"),
    _shape("a token of Slack", "xox", rf"{_BEGIN}xox[abeoprs]-[0-9]{{8,}}-[A-Za-z0-9-]{{10,}}"),
    _shape("a key of Stripe", "k_live_", rf"{_BEGIN}[sr]k_live_[A-Za-z0-9]{{20,}}{_END}"),
    _shape("a key of SendGrid", "SG.", rf"{_BEGIN}SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}{_END}"),
    _shape("credentials of Kubernetes", "client-key-data:", r"client-key-data:\s*[\"']?[A-Za-z0-9+/=]{40}"),
    _shape(
        "passwords of registries", '"auth', r"\"auth\"\s*:\s*\"[A-Za-z0-9+/=]{8,}\"", "config.json", "*dockerconfig*"
    ),
    # Those of the plugin srv_keys, which takes a digest as well.
    _shape(
        "API keys of callers, not their sha256 digests",
        '"keys"',
        r"\"keys\"\s*:\s*\{[^{}]*?:\s*\"((?!sha256:)[^\"]{16,})\"",
        "settings.json",
    ),
    # Those of the plugin srv_storage.
    _shape(
        "headers for web servers",
        '"headers"',
        r"\"headers\"\s*:\s*\{\s*\"https?://[^{}]*\{[^{}]*?:\s*\"([^\"]{8,})\"",
        "settings.json",
    ),
    _shape(
        "a signed address",
        "ig",
        r"://[^\s\"]*[?&](?:X-Amz-Signature|X-Goog-Signature|Signature|sig)=([A-Za-z0-9%+/=_-]{20,})",
        "*model-settings.json",
    ),
    _shape("a token of npm", "_auth", r"_(?:authToken|auth)\s*=\s*[\"']?([^\s\"'$]{8,})", ".npmrc"),
    _shape("a token of npm", "npmAuth", r"npmAuth(?:Token|Ident)\s*:\s*[\"']?([^\s\"'$]{8,})", ".yarnrc.yml"),
    _shape("a password in an address", "://", r"://[^/\s:@\"'${]+:([^/\s:@\"'${]{3,})@", *_ADDRESSES),
    _shape(
        "a password among variables",
        "=",
        r"(?im)^[ \t]*(?:export[ \t]+)?\w*(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY|CREDENTIALS?)"
        r"[ \t]*=[ \t]*[\"']?(?!\d+\b)([^\s\"'#$<{*][^\s\"'#]{5,})",
        "*.env",
        ".flaskenv",
        "env.*",
    ),
)
#: What stands where a secret would, in examples.
_EXAMPLE = re.compile(
    rb"\A(?:pass|password|passwd|pwd|token|secret)\Z|example|changeme|change_me|placeholder|your[-_ ]|x{6}|\*{4}|0{8}|1234567",
    re.IGNORECASE,
)


_FILE = _any_of(FILES)


def kind_by_name(name: str) -> tuple[str, str] | None:
    """Return the file or folder that holds secrets by its name, and what they are; None where the name says nothing."""
    if "/." in f"/{name}":
        for above in PurePosixPath(name).parents:
            kind = next((kind for folder, kind in FOLDERS.items() if f"/{above}".endswith(f"/{folder}")), None)
            if kind is not None:
                return str(above), kind
    last = name.rpartition("/")[2].lower()
    if _FILE.match(last) is None:
        return None
    return name, next(kind for pattern, kind in FILES.items() if fnmatchcase(last, pattern))


def kinds_in(name: str, text: bytes) -> Iterator[str]:
    """Yield what secrets stand in the text of a file."""
    last = name.rpartition("/")[2].lower()
    for shape in SHAPES:
        if shape.marker not in text or (shape.files is not None and shape.files.match(last) is None):
            continue
        if any(_is_one(found) for found in shape.form.finditer(text)):
            yield shape.kind


def _is_one(found: re.Match[bytes]) -> bool:
    """Whether a text is a secret and no example of one."""
    said = found[found.lastindex or 0]
    return _EXAMPLE.search(said) is None and len(set(said)) >= min(8, len(said) - 2)
