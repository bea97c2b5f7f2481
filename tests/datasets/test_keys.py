"""Keys of a million pictures are one array."""

from __future__ import annotations

import pyarrow as pa

from styleid_ray.datasets.keys import Keys


def test_keys_are_equal_to_a_tuple_of_them() -> None:
    keys = Keys(str(i) for i in range(200_000))
    assert keys == tuple(map(str, range(200_000)))
    assert (len(keys), keys[7], keys[-1]) == (200_000, "7", "199999")
    assert keys[2:4] == ("2", "3")
    assert keys.take(pa.array([5, 1])) == ("5", "1")
    assert keys != ("0",)
    assert Keys() == ()


def test_keys_take_little_more_than_their_letters() -> None:
    keys = Keys(f"folder/{i:08d}.jpg" for i in range(100_000))
    assert keys.array.nbytes < 100_000 * (19 + 5)


def test_keys_without_others_name_the_first_few() -> None:
    missing = Keys(["a", "b\n", "c", "d", "e"]).without(Keys(["c"]))
    assert missing == ("a", "b\n", "d", "e")
    assert missing.first_few() == "a, b\\n, d and 1 more"
    assert Keys(["a"]).first_few() == "a"
    assert not Keys(["a"]).without(Keys(["a"]))
