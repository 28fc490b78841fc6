"""Settings of how an answer is told: for which shares of the classes, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from adclip.prediction.prevalence import check_prevalence, parse_prevalence
from adclip.settings.setting import Setting, Settings


def _check_prevalence(flag: str, text: Any) -> None:
    parse_prevalence(text)


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class Telling(Settings):
    """What `predict` and `explain` share."""

    SECTION: ClassVar[str] = "How the answer is told"

    prevalence: Annotated[str | None, Setting("How common each class is among people like these: shifts all probabilities, and tells "
        "those for equal shares beside them.", metavar="CN=.6,MCI=.3,AD=.1", check=_check_prevalence,
        source="Saerens et al. 2002, Neural Computation 14:21-41")] = None

    @property
    def shares(self) -> dict[str, float] | None:
        """Class -> share as given; None where classes count as equally common."""
        return None if self.prevalence is None else parse_prevalence(self.prevalence)

    def check(self, labels: Sequence[str]) -> None:
        """Say what a model with these classes cannot tell, before any scan is read.

        Raises
        ------
        ConfigError
            If a class is unknown or has no share.
        """
        if self.shares is not None:
            check_prevalence(self.shares, labels)
