"""Flags of maps: what makes one doubtful."""

from __future__ import annotations

FLAT_MAP = "flat_map"
NO_BETTER_THAN_CHANCE = "map_no_better_than_chance"
UNCERTAIN = "map_not_surely_better_than_chance"
DISAGREE = "references_disagree"
SAME_WITHOUT_WEIGHTS = "map_hangs_little_on_weights"
UNSTABLE = "map_changes_between_rescans"
SAME_FOR_ANY_TEXT = "map_is_the_same_for_any_text"
ONE_WAY_ALONE = "map_better_than_chance_one_way_alone"
# maps with one of these are not to be believed; a flat one is no map at all
NOT_BELIEVED = frozenset(
    {NO_BETTER_THAN_CHANCE, DISAGREE, ONE_WAY_ALONE, SAME_WITHOUT_WEIGHTS, UNSTABLE, SAME_FOR_ANY_TEXT}
)
