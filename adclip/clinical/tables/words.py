"""Words that studies use for the classes: only ever suggested, so that the user says what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

# Clear words alone. A complaint, a risk or a dementia without its cause is none of these.
_MEANING = {
    **dict.fromkeys(("hc", "nl", "ctl", "ctrl", "con", "hv", "control", "controls", "healthy", "healthy control", "healthy controls",
                     "normal", "normal control", "cognitively normal", "cognitively unimpaired", "cu", "elderly control"), "CN"),
    **dict.fromkeys(("emci", "lmci", "amci", "namci", "smci", "pmci", "mild cognitive impairment", "amnestic mci",
                     "non-amnestic mci", "mci due to ad"), "MCI"),
    **dict.fromkeys(("dat", "alzheimer", "alzheimers", "alzheimer's", "alzheimer's disease", "alzheimer disease", "alzheimers disease",
                     "probable ad", "possible ad", "ad dementia", "alzheimer's dementia", "dementia", "dem", "demented"), "AD"),
}  # fmt: skip


EXAMPLE, EXAMPLE_OF_NUMBERS = "HC=CN,aMCI=MCI,DAT=AD", "1=CN,2=MCI,3=AD"
_SEVERAL = 2  # people: a word that one row alone holds is that person's diagnosis


def suggest(words: Iterable[str]) -> str:
    """Return ``WORD=CLASS,...`` for the clear words of a column that several rows hold, empty if there are none.

    Examples
    --------
    >>> suggest(["HC", "MCI", "DAT", "x", "HC", "DAT"])
    'HC=CN,DAT=AD'
    """
    counts = Counter(word.strip() for word in words)
    known = {
        word: _MEANING[word.casefold()] for word in counts if word.casefold() in _MEANING and counts[word] >= _SEVERAL
    }
    return ",".join(f"{word}={meaning}" for word, meaning in known.items() if not set(word) & set(",=:`"))
