from __future__ import annotations

from styleid_ray.model.footprint import PictureMemory
from styleid_ray.planning.memory import held_features, shard_memory


def test_the_smaller_side_of_a_shard_is_held_and_the_other_passes_by() -> None:
    picture = PictureMemory(content=10, style=20)
    few_contents = shard_memory(4, 50, picture, batch=8, steps=10)
    assert few_contents.features == 4 * 10 + 8 * 20
    few_styles = shard_memory(50, 4, picture, batch=8, steps=10)
    assert few_styles.features == 8 * 10 + 4 * 20
    assert few_styles.streamed == 2 * few_styles.features // 10
    assert shard_memory(3, 2, picture, batch=8, steps=10).features == 3 * 10 + 2 * 20


def test_the_side_that_takes_less_and_two_pictures_of_the_other_are_held_at_the_least() -> None:
    picture = PictureMemory(content=10, style=20)
    assert held_features(4, 50, picture) == 4 * 10 + 2 * 20
    assert held_features(50, 4, picture) == 4 * 20 + 2 * 10
    assert held_features(3, 1, picture) == 20 + 2 * 10
    assert held_features(3, 0, picture) == 2 * 10
