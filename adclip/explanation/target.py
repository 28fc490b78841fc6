"""What is explained: a class against the others, one class against another, the score, or how like a phrase the scan is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from adclip.errors import ConfigError

AGAINST = "-"  # between the two classes of a contrast
TEXT_WORDS, TEXT_LETTERS = 6, 60  # of a phrase, in the name of a file


@dataclass(frozen=True)
class Target:
    """A number that a scan has, named.

    Parameters
    ----------
    name : str
        A class, the name of the score, `AD-CN` for a contrast, or the phrase itself.
    label : str or None
        The class that is explained; None for score and phrase.
    against : str or None
        The class that it is held against; None for the mean of all others.
    phrase : str or None
        Free text.
    score : str or None
        The score as people write it, `MMSE` for `mmse`; None for classes and phrases.
    """

    name: str
    label: str | None = None
    against: str | None = None
    phrase: str | None = None
    score: str | None = None

    @property
    def file_label(self) -> str:
        """The name in letters and digits alone, as BIDS has labels."""
        if self.phrase is not None:
            words = re.findall(r"[0-9a-zA-Z]+", self.phrase)[:TEXT_WORDS]
            return "text" + "".join(word[:1].upper() + word[1:].lower() for word in words)[:TEXT_LETTERS]
        if self.against is not None:
            return re.sub(r"[^0-9a-zA-Z]", "", f"{self.label}minus{self.against}")
        return re.sub(r"[^0-9a-zA-Z]", "", self.name)

    @property
    def described(self) -> str:
        """What the number is, in words."""
        if self.phrase is not None:
            return f"likeness of the scan to the text `{self.phrase}` (cosine before the cross-attention)"
        if self.against is not None:
            return f"score of {self.label} minus score of {self.against}"
        if self.label is not None:
            return f"score of {self.label} minus the mean of the other classes"
        return f"estimated {self.score or self.name}, in standard deviations of the training people"

    @property
    def reads_classes(self) -> bool:
        """Whether the number is one of the class scores, so that the report may take part in it."""
        return self.label is not None


def parse_target(
    text: str | None, phrase: str | None, labels: Sequence[str], score: str | None, score_name: str | None = None
) -> Target | None:
    """Return what `--target` and `--text` ask for; None for the predicted class.

    Parameters
    ----------
    text : str or None
        A class, two classes with a hyphen between them, or the name of the score.
    phrase : str or None
        Free text.
    labels : sequence of str
        The model's classes.
    score : str or None
        Key of the score that the model estimates.
    score_name : str or None
        The same as people write it.

    Raises
    ------
    ConfigError
        If it is none of these, two classes in more than one way, or both are given.
    """
    if phrase is not None:
        if text is not None:
            raise ConfigError.bad_value("--text", "is a target of its own and cannot stand beside --target")
        if not re.search(r"[0-9a-zA-Z]", phrase):
            raise ConfigError.bad_value("--text", "holds no word")
        return Target(phrase, phrase=phrase)
    if text is None:
        return None
    if text in labels:
        return class_target(text)
    if score is not None and text == score:
        return Target(text, score=score_name or score)
    contrasts = [Target(text, one, other) for one, other in permutations(labels, 2) if text == one + AGAINST + other]
    if len(contrasts) == 1:
        return contrasts[0]
    if contrasts:
        readings = " and ".join(f"{found.label} against {found.against}" for found in contrasts)
        raise ConfigError.bad_value("--target", f"`{text}` may be {readings}")
    names = [*labels, *([score] if score is not None else [])]
    example = f", or two classes such as {labels[-1]}{AGAINST}{labels[0]}" if len(labels) > 1 else ""
    raise ConfigError.bad_value("--target", f"`{text}` is not one of {', '.join(names)}{example}")


def class_target(label: str) -> Target:
    """Return the target that is a class against the mean of the others."""
    return Target(label, label)
