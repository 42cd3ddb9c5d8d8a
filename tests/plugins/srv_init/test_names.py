import keyword

import pytest
from distributions import installed_in

from srv.discovery import discover
from srv_init.kinds import SCAFFOLDS
from srv_init.name_check import NameTaken, check_free
from srv_init.names import BadName, Names, names_of


@pytest.mark.parametrize(
    "name, kind, names",
    [
        ("acme", "runtime", Names("acme", "srv-acme", "srv_acme", "Acme")),
        ("acme-2d_maps", "codec", Names("acme-2d_maps", "srv-acme-2d-maps", "srv_acme_2d_maps", "Acme2dMaps")),
        ("srv-acme", "plugin", Names("acme", "srv-acme", "srv_acme", "Acme")),
        ("srv_acme", "runtime", Names("acme", "srv-acme", "srv_acme", "Acme")),
        ("flats", "model", Names("flats", "flats-models", "flats_models", "Flats")),
        ("srv-flats", "model", Names("srv-flats", "srv-flats-models", "srv_flats_models", "SrvFlats")),
    ],
)
def test_every_name_follows_from_one(name, kind, names):
    assert names_of(name, SCAFFOLDS[kind]) == names


@pytest.mark.parametrize("kind", SCAFFOLDS)
@pytest.mark.parametrize(
    "name, sentence",
    [
        ("Acme", "small letters and digits.* Try 'acme'."),
        ("acme corp", "small letters and digits.* Try 'acme-corp'."),
        ("acme--corp", "small letters and digits.* Try 'acme-corp'."),
        ("../acme", "small letters and digits.* Try 'acme'."),
        ("3d-maps", "begins with a letter.* Try 'd-maps'."),
        ("Runtime", "small letters and digits.* Try 'acme-prices'."),
        ("", "Nothing can be called ''"),
        ("ünïcode", "small letters and digits"),
        ("a" * 31, "longer than 30 characters"),
        ("class", "a word of Python itself"),
        ("none", "a word of Python itself"),
        ("docs", "srv has routes of that name"),
    ],
)
def test_a_name_that_would_not_work_everywhere_is_refused(name, sentence, kind):
    with pytest.raises(BadName, match=sentence):
        names_of(name, SCAFFOLDS[kind])


@pytest.mark.parametrize("name", ["example", "foo", "runtime", "my-runtime", "my_plugin", "srv", "srv-demo"])
def test_a_placeholder_is_no_name_for_a_package(name):
    with pytest.raises(BadName, match="another package would have the same name"):
        names_of(name, SCAFFOLDS["plugin"])


def test_no_class_is_called_as_a_word_of_python():
    titles = [names_of(name, SCAFFOLDS["model"]).title for name in ("acme", "acme-none", "true-north")]
    assert not any(keyword.iskeyword(title) for title in titles)


def check(name, kind):
    check_free(names_of(name, SCAFFOLDS[kind]), SCAFFOLDS[kind], discover())


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_a_name_that_nobody_has_is_free(kind):
    check("unheard-of", kind)


@pytest.mark.parametrize(
    "name, kind, sentence",
    [
        ("np", "codec", "The content type 'np' is srv's own. Choose another name."),
        ("init", "runtime", "The import name 'srv_init' is srv's own. Choose another name."),
        ("workers", "plugin", "'workers' is a key of settings.json, where the plugin's section would stand."),
        ("inference", "model", None),
    ],
)
def test_what_is_srvs_own_is_taken(name, kind, sentence):
    if sentence is None:
        check(name, kind)
        return
    with pytest.raises(NameTaken) as refused:
        check(name, kind)
    assert str(refused.value).startswith(sentence)


def test_what_is_installed_is_taken(tmp_path):
    with installed_in(tmp_path) as site:
        site.add("srv-acme", "[srv.runtimes]\nprices = srv_other:Prices", modules={"srv_other": ""})
        with pytest.raises(NameTaken, match=r"The runtime 'prices' is brought by srv-acme 1\.0, which is installed\."):
            check("prices", "runtime")
        with pytest.raises(NameTaken, match=r"srv-acme 1\.0 is installed already\. .*pip uninstall srv-acme"):
            check("acme", "codec")
        with pytest.raises(NameTaken, match=r"The import name 'srv_other' is taken by .*srv_other\.py"):
            check("other", "plugin")
