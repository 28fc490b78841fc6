"""The curves of a smaller hippocampus in words, and as a table."""

from __future__ import annotations

from adclip.explanation.what_if_image import ImageWhatIf
from adclip.imaging.volumes.own_structures import OF_TEMPLATE
from adclip.told import Curve

HARDLY = 0.01  # of a probability: less is not called a move, and two moves that differ by less are called equal
# What a smaller hippocampus speaks for: the known direction of the disease. No other class has one.
RISES, FALLS = ("AD",), ("CN",)


def tell(found: ImageWhatIf, label: str = "AD") -> tuple[str, ...]:
    """Say in a few sentences what the curves show of one class.

    Parameters
    ----------
    found : ImageWhatIf
        With a factor below 1.
    label : str
        One of its classes.

    Returns
    -------
    tuple of str
        The moves from present to the smallest factor; which of both is the larger; that nothing moves, or that the class moves against what the
        disease does, where that is so; what happens on the way, where the curve turns; what else a reader must know.
    """
    percent = f"{100 * found.image.points[0].value:.0f} %"
    image = _Move.of(found.image, label)
    sentence = f"Shrinking the hippocampi in the image to {percent} {image.told(label)}"
    if found.table is None:
        sentences = [f"{sentence}.", "The answer reads no hippocampal volume, so the table has no such curve."]
        if not image.is_one:
            sentences.append(f"The image alone does not make {label} hang on the size of the hippocampi.")
        sentences += image.oddities("the image", label)
    else:
        table = _Move.of(found.table, label)
        verdict = _compare(image, table, label)
        sentences = [f"{sentence}; the same in the table {table.told(label)}: {verdict}."]
        sentences += image.oddities("the image", label) + table.oddities("the table", label)
        if found.both is not None and (image.is_one or table.is_one):
            sentences.append(f"Both together end at {found.both.points[0].probabilities[label]:.2f}.")
    if OF_TEMPLATE in found.flags:
        sentences.append("No hippocampi were found in this scan: where the template has them, the image was shrunk.")
    return tuple(sentences)


class _Move:
    """From the present probability to that at the smallest factor."""

    def __init__(self, values: list[float]) -> None:
        self.values = values  # from the present one on
        self.start, self.end = values[0], values[-1]
        self.size = self.end - self.start

    @classmethod
    def of(cls, curve: Curve, label: str) -> _Move:
        points = [point for point in curve.points if point.value <= 1]
        return cls([point.probabilities[label] for point in reversed(points)])

    @property
    def is_one(self) -> bool:
        return abs(self.size) >= HARDLY

    def told(self, label: str) -> str:
        verb = f"moves {label}" if self.is_one else f"hardly moves {label}"
        return f"{verb} from {self.start:.2f} to {self.end:.2f}"

    def oddities(self, where: str, label: str) -> list[str]:
        """Say what goes against the disease, or back and forth."""
        told = []
        if self.is_one and ((label in RISES and self.size < 0) or (label in FALLS and self.size > 0)):
            direction = "falls" if self.size < 0 else "rises"
            told.append(
                f"In {where} {label} {direction} as the hippocampi shrink, which is the opposite of what the disease does: do not take this answer for one that reads such a loss there."
            )
        low, high = min(self.values), max(self.values)
        ends = sorted((self.start, self.end))
        if ends[0] - low >= HARDLY or high - ends[1] >= HARDLY:
            told.append(f"In {where} the way there turns: it leads over {low if ends[0] - low >= high - ends[1] else high:.2f}.")  # fmt: skip
        return told


def _compare(image: _Move, table: _Move, label: str) -> str:
    if not image.is_one and not table.is_one:
        return f"neither makes {label} hang on the size of the hippocampi"
    if image.is_one and table.is_one and image.size * table.size < 0:
        return "the two pull the answer in opposite directions"
    if abs(abs(image.size) - abs(table.size)) < HARDLY:
        return "both move the answer about as much"
    return f"the {'image' if abs(image.size) > abs(table.size) else 'table'} moves the answer more"


def what_if_to_tsv(found: ImageWhatIf) -> str:
    """Return the curves as the text of a table.

    Parameters
    ----------
    found : ImageWhatIf

    Returns
    -------
    str
        A row for each curve and factor: `multiplied` (image, table or both), `factor`, `obtained` (what the hippocampi of the image became;
        `n/a` for the table), `is_present`, and a column of probabilities for each class.
    """
    labels = list(found.image.points[0].probabilities)
    lines = ["\t".join(["multiplied", "factor", "obtained", "is_present", *labels])]
    for curve in found.curves:
        for place, point in enumerate(curve.points):
            obtained = "n/a" if curve is found.table else f"{found.obtained[place]:.4f}"
            shares = [f"{point.probabilities[label]:.6f}" for label in labels]
            present = str(point.is_present).lower()
            lines.append("\t".join([curve.column, f"{point.value:g}", obtained, present, *shares]))
    return "\n".join(lines) + "\n"
