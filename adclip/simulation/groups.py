"""The three groups of people: how common each is, and how ill."""

from __future__ import annotations

GROUPS = ("CN", "MCI", "AD")
GROUP_SHARES = (0.36, 0.28, 0.36)

# Severity s: mean and sd per group; the groups overlap. s is unitless, 0 at the centre of CN. Means, spreads and the curve
# of `scores.mmse_at` were fitted together to the published MMSE of the three groups.
SEVERITY = {"CN": (0.0, 0.65), "MCI": (0.91, 0.65), "AD": (2.4, 0.44)}
