"""A pair's id follows from its fields alone, and tells any two pairs apart."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from styleid_ray.planning import shard_name
from styleid_ray.planning.identity import id_array, id_column, ids_digest
from tests.planning.ids import pair_ids


def test_ids_are_the_same_on_every_machine_and_in_every_version():
    ids = pair_ids(["a/ä.png"], ["s.png"], [0], [0.5], [None], "0123456789abcdef")
    assert ids == ["8d4fd6ba4e9779ca0660e623c23cc697"]
    assert shard_name(np.array(ids, "S32")) == "shard-2a77ae8193e87a51"


def test_each_field_makes_another_id():
    fields = [("a", "b", 0, None, None, "f")]
    fields += [("ab", "", 0, None, None, "f"), ("b", "a", 0, None, None, "f")]
    fields += [("a", "b", 1, None, None, "f"), ("a", "b", 0, 0.75, None, "f")]
    fields += [("a", "b", 0, None, 0.75, "f"), ("a", "b", 0, None, None, "g")]
    fields += [("a", "b", 0, 0.0, None, "f"), ("a\0b", "", 0, None, None, "f")]
    ids = [pair_ids([c], [s], [k], [g], [t], f)[0] for c, s, k, g, t, f in fields]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", i) for i in ids)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
pair = st.tuples(text, text, st.integers(0, 2**31 - 1), st.none() | st.floats(0, 1))


@settings(max_examples=50, deadline=None)
@given(st.lists(pair, min_size=1, max_size=20))
def test_an_id_does_not_depend_on_the_pairs_beside_it(pairs):
    c, s, k, g = (list(column) for column in zip(*pairs, strict=True))
    together = pair_ids(c, s, k, g, None, "f")
    assert together == [pair_ids([c], [s], [k], [g], None, "f")[0] for c, s, k, g in pairs]
    assert len(set(together)) == len(set(pairs))


def test_no_parameters_of_their_own_is_the_same_as_none_given():
    assert pair_ids(["a"], ["b"], [0], None, None, "f") == pair_ids(
        ["a"], ["b"], [0], [None], [None], "f"
    )


def test_a_shard_is_named_after_its_pairs_in_whatever_order():
    a, b, c = np.array(pair_ids(["a", "b", "c"], ["s"] * 3, [0] * 3, None, None, "f"), "S32")
    assert name_of(a, b) == name_of(b, a) != name_of(a, c)
    assert re.fullmatch("shard-[0-9a-f]{16}", name_of(a))


def name_of(*ids: bytes) -> str:
    return shard_name(np.array(ids, "S32"))


def test_ids_go_through_an_arrow_column_unchanged():
    ids = np.array(pair_ids(["a", "b"], ["s", "s"], [0, 0], None, None, "f"), "S32")
    column = id_column(ids)
    assert column.type == pa.string()
    assert column.to_pylist() == ids.astype(str).tolist()
    assert np.array_equal(id_array(column), ids)
    assert np.array_equal(id_array(column.slice(1)), ids[1:])


def test_the_digest_of_ids_does_not_depend_on_their_order_and_tells_sets_apart():
    ids = np.array(pair_ids([str(i) for i in range(50)], ["s"] * 50, [0] * 50, None, None, "f"))
    ids = ids.astype("S32")
    assert ids_digest(ids) == ids_digest(ids[::-1].copy())
    assert (
        len({ids_digest(ids), ids_digest(ids[1:]), ids_digest(ids[:-1]), ids_digest(ids[:0])}) == 4
    )
