import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv.repository.version_order import highest, version_key

VERSIONS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,12}", fullmatch=True)


@pytest.mark.parametrize(
    "lower, higher",
    [
        ("9", "10"),
        ("v9", "v10"),
        ("1.9", "2.0"),
        ("1.9", "1.10"),
        ("9", "v10"),
        ("2.0", "10.0"),
        ("2.0rc1", "2.0"),
        ("2.0rc1", "2"),
        ("2.0.dev3", "2.0a1"),
        ("2.0a1", "2.0beta1"),
        ("2.0b2", "2.0rc1"),
        ("2.0rc9", "2.0rc10"),
        ("1.0", "1.0-gpu"),
        ("1.0-gpu", "1.0.1"),
        ("2023-12-31", "2024-01-15"),
        ("latest", "0"),
        ("canary", "production"),
        ("1", "V2"),
    ],
)
def test_versions_are_ordered_as_people_count(lower, higher):
    assert version_key(lower) < version_key(higher)
    assert highest([higher, lower]) == higher
    assert highest([lower, higher]) == higher


def test_the_highest_of_one_version_is_that_one():
    assert highest(["3"]) == "3"


@pytest.mark.fuzz
@given(
    st.lists(VERSIONS, min_size=1, max_size=6).flatmap(lambda texts: st.tuples(st.just(texts), st.permutations(texts)))
)
def test_the_highest_does_not_depend_on_the_order_in_which_versions_are_found(found):
    one_way, another = found
    assert highest(one_way) == highest(another)


@given(VERSIONS, VERSIONS)
def test_no_two_versions_are_equal(one, other):
    assert (version_key(one) == version_key(other)) == (one == other)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["", "v", "V", "1.", "release-"]))
def test_numbers_count_as_numbers_wherever_they_stand(one, other, before):
    assert (version_key(f"{before}{one}") < version_key(f"{before}{other}")) == (one < other)


@given(st.text(max_size=20))
def test_any_text_has_a_place(text):
    assert version_key(text) == version_key(text)
