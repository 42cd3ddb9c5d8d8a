"""Which plugin fetches a URI, and that no error of one tells a secret."""

import pytest

from srv.hooks import Hooks
from srv.hooks.errors import NoStorage, StorageContested, StorageUnused
from srv.storage import FetchFailed, NoAccess

SOURCE = """
from srv.hookspecs import hookimpl
from srv.storage import *

class Shelf(Fetch):
    def __init__(self, uri):
        self.uri = uri

    def etag(self):
        {etag}

    def download(self, folder, download):
        return folder

@hookimpl
def srv_storage(uri, settings):
    {answer}
"""
ANSWER = 'return Shelf(uri) if uri.startswith("shelf://") else None'
SECRET = "shelf://anna:p%40ssw0rd@host/book?X-Amz-Signature=0123456789abcdef&x=1"


@pytest.fixture
def add(site):
    """Install a plugin that fetches `shelf://`."""

    def add(distribution, *, answer=ANSWER, etag='return "1"'):
        module = distribution.replace("-", "_") + "_hooks"
        site.add(
            distribution,
            f"[srv.plugins]\nshelf = {module}\n",
            modules={module: SOURCE.format(answer=answer, etag=etag)},
        )

    return add


def test_srv_storage_of_the_plugin_that_knows_the_scheme_answers(site, add):
    add("blind-shelf", answer="return None")
    add("good-shelf", etag="return self.uri")

    fetch = Hooks.start(site.discover()).storage("shelf://book")

    assert (fetch.etag(), fetch.plugin.distribution, fetch.local()) == ("shelf://book", "good-shelf", None)


def test_a_scheme_that_nobody_fetches_is_named_with_the_package_that_brings_it(site):
    hooks = Hooks.start(site.discover())

    with pytest.raises(NoStorage, match=r"fetches 's3://'.*\(s3://bucket/key\).*pip install srv-storage"):
        hooks.storage("s3://bucket/key")
    with pytest.raises(NoStorage, match=r"fetches 'hf://'.*`pip install 'srv-storage\[hf\]'`"):
        hooks.storage("hf://acme/iris")
    with pytest.raises(NoStorage, match=r"fetches 'abfss://'.*`pip install srv-storage`"):
        hooks.storage("abfss://container@account.dfs.core.windows.net/key")
    with pytest.raises(NoStorage, match=r"fetches 'shelf://'.*Install a package that brings it"):
        hooks.storage("shelf://book")


def test_a_plugin_that_would_fetch_and_is_disabled_is_told_instead_of_what_to_install(site):
    site.add("srv-storage", "[srv.plugins]\nremote_storage = never_imported\n")
    hooks = Hooks.start(site.discover(disable=["srv-storage"]))

    with pytest.raises(
        StorageUnused, match=r"'remote_storage' of srv-storage 1\.0 .*fetches 'hf://'.*is disabled: "
    ) as raised:
        hooks.storage("hf://acme/iris")
    assert "pip install" not in str(raised.value)


def test_a_scheme_of_two_distributions_is_nobodys_until_prefer_says(site, add):
    add("first-shelf")
    add("second-shelf")

    with pytest.raises(StorageContested, match=r'first-shelf and second-shelf.*\{"storage:shelf": "first-shelf"\}'):
        Hooks.start(site.discover()).storage("shelf://book")

    plugins = site.discover(prefer={"storage:shelf": "Second_Shelf"})
    assert Hooks.start(plugins).storage("shelf://book").plugin.distribution == "second-shelf"
    assert plugins.unmatched() == []


def test_a_plugin_that_answers_something_else_is_named(site, add):
    add("odd-shelf", answer="return 7")

    with pytest.raises(
        FetchFailed, match=r"odd-shelf .* answered srv_storage with a int, not with a srv.storage.Fetch"
    ):
        Hooks.start(site.discover()).storage("shelf://book")


@pytest.mark.parametrize(
    "etag",
    [
        'raise NoAccess(f"no access to {self.uri}")',
        'raise OSError(f"cannot open {self.uri}")',
        'raise ValueError("the password is p@ssw0rd, the signature 0123456789abcdef")',
        'raise ValueError("x" * 280 + "0123456789abcdef")',
    ],
)
def test_what_a_plugin_raises_shows_no_secret_of_the_uri(site, add, etag):
    add("loud-shelf", etag=etag)
    fetch = Hooks.start(site.discover()).storage(SECRET)

    with pytest.raises(FetchFailed) as caught:
        fetch.etag()

    told = str(caught.value)
    assert [secret for secret in ("ssw0rd", "01234567", "anna") if secret in told] == []
    assert caught.value.__suppress_context__
    assert "***" in told


def test_an_error_of_a_plugin_keeps_its_class_because_it_decides_what_srv_does(site, add):
    add("closed-shelf", etag='raise NoAccess("closed")')

    with pytest.raises(NoAccess, match=r"^closed\.$"):
        Hooks.start(site.discover()).storage("shelf://book").etag()
