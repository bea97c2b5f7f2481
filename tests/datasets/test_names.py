"""Names of exported pictures tell pairs apart, and say what they show."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from styleid_ray.datasets.names import Names


def test_a_picture_is_named_by_content_and_style() -> None:
    names = Names.of(["dog/1.jpg", "cat/2.jpg"], ["art/night.png"])
    assert names.stylised("dog/1.jpg", "art/night.png", 0) == "1__night"
    assert names.stylised("dog/1.jpg", "art/night.png", 3) == "1__night__3"
    assert names.original("cat/2.jpg") == "2"


def test_pictures_of_one_name_in_two_folders_are_told_apart_by_their_paths() -> None:
    names = Names.of(["cat/1.jpg", "dog/1.jpg"], ["s.png"])
    assert names.stylised("cat/1.jpg", "s.png", 0) == "cat_1__s"


def test_pictures_that_differ_in_their_extension_alone_get_a_hash() -> None:
    names = Names.of(["a.jpg", "a.png"], ["s.png"])
    first, second = (names.original(key) for key in ("a.jpg", "a.png"))
    assert first != second
    assert first.startswith("a-")


def test_names_hold_no_dots_which_webdataset_takes_for_the_end_of_a_name() -> None:
    names = Names.of(["IMG.2020.01.jpg"], ["van gogh – night.png"])
    assert (
        names.stylised("IMG.2020.01.jpg", "van gogh – night.png", 0)
        == "IMG_2020_01__van_gogh_night"
    )


KEYS = st.lists(
    st.text("ab_.-/é ", min_size=1, max_size=6).map(lambda t: t + ".png"), min_size=1, unique=True
)


@example(["a.png", "a_/a.png"], ["a.png"])
@given(KEYS, KEYS)
def test_no_two_pictures_of_an_export_share_a_name(contents, styles) -> None:
    names = Names.of(contents, styles)
    made = [names.stylised(c, s, k) for c in contents for s in styles for k in (0, 1)]
    made += [names.original(c) for c in contents]
    assert len({name.casefold() for name in made}) == len(made)
    assert all(re.fullmatch(r"[\w-]+", name) for name in made)


def test_pairs_of_one_content_style_and_k_are_told_apart_by_their_ids() -> None:
    names = Names.of(["1.jpg"], ["s.png"], ids=True)
    assert names.stylised("1.jpg", "s.png", 0, "0123456789abcdef") == "1__s__0123456789ab"
