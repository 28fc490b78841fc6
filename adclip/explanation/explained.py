"""One scan whose answer is explained: the explained number of the scan, and of changed versions of it, on the road of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from adclip.domain import Visit
from adclip.explanation.target import Target, class_target
from adclip.model.numbers import check_embeddings
from adclip.prediction.answer import Answer
from adclip.prediction.scoring import Records, Scores, score_texts

if TYPE_CHECKING:
    from adclip.model.network import ImageTokens, Network, TextTokens
    from adclip.prediction.evidence import Evidence
    from adclip.prediction.predictor import Predictor

AT_ONCE = 16  # versions of a scan in one pass: more gain nothing on a CPU, and a large tower would fill the memory
LARGE_TOWER, FEW_AT_ONCE = 20_000_000, 4  # parameters


class Explained:
    """A scan, what is known beside it, and the number that is to be explained.

    The report is encoded once, so that a thousand versions of the scan cost their passes through the image tower alone.

    Parameters
    ----------
    predictor : Predictor
    image : Tensor (1, 1, D, H, W)
        In [0, 1] on the predictor's device.
    evidence : Evidence
    target : Target or None
        None is the class that `predict` names.
    reference : Tensor (1, 1, D, H, W), optional
        The image that "nothing to see" is: where a method starts from or a patch is replaced. All 0 by default.

    Attributes
    ----------
    answer : Answer
        What `predict` says, from the very same pass.
    target : Target
    patches, shares : Tensor
        The scan as the tower's blocks take it, see `VisionTower.embed`.
    tokens : ImageTokens
        The scan as the report meets it.
    """

    def __init__(
        self,
        predictor: Predictor,
        image: Tensor,
        evidence: Evidence,
        target: Target | None,
        reference: Tensor | None = None,
    ) -> None:
        self.predictor, self.image, self.evidence = predictor, image, evidence
        self.reference = torch.zeros_like(image) if reference is None else reference
        reader = predictor.reader
        with torch.no_grad():
            self._texts = reader.reports([evidence.completed or Visit()])
            self._bare = reader.bare()
            self.patches, self.shares = self.network.vision_encoder.embed(image)
            self.tokens = self.network.patches_to_tokens(self.patches, self.shares)
            check_embeddings(
                self.tokens.cls, "scan"
            )  # as `predict` does: a map of an answer that it refuses would be one of nothing
            scores = score_texts(self.network, self.tokens, self._texts, self._bare)
            self.answer: Answer = predictor.to_answer(scores, evidence)
            self.target = class_target(predictor.diagnosis(self.answer)) if target is None else target
            phrase = self.target.phrase
            self._phrase = None if phrase is None else reader.encode([phrase], 1)
        self._reference_patches: tuple[Tensor, Tensor | None] | None = None

    @property
    def network(self) -> Network:
        """The model's network."""
        return self.predictor.reader.network

    @property
    def grid(self) -> tuple[int, int, int]:
        """Patches along D, H, W."""
        return self.network.vision_encoder.token_grid

    @property
    def of_score(self) -> bool:
        """Whether the score is explained, which has a read-out token of its own."""
        return self.target.label is None and self.target.phrase is None

    def number(self, tokens: ImageTokens, records: Records | None = None) -> Tensor:
        """Return the explained number (B,) of encoded versions of the scan; the caller decides about gradients."""
        if self._phrase is not None:
            return likeness(tokens, self._phrase)
        if self.of_score:
            assert tokens.mmse is not None
            return tokens.mmse
        scores: Scores = score_texts(self.network, tokens, self._texts, self._bare, records)
        return number_of_classes(self.target, self.predictor.decide(scores, self.evidence), self.predictor.labels)

    def of_images(self, images: Tensor) -> Tensor:
        """Return the explained number (B,) of versions (B, 1, D, H, W) of the scan."""
        return self.number(self.network.image_tokens(images))

    def of_patches(self, patches: Tensor, shares: Tensor | None) -> Tensor:
        """Return the explained number (B,) of versions (B, patches, width) whose patches are embedded already."""
        return self.number(self.network.patches_to_tokens(patches, shares))

    @property
    def reference_patches(self) -> tuple[Tensor, Tensor | None]:
        """The reference as the tower's blocks take it."""
        if self._reference_patches is None:
            with torch.no_grad():
                self._reference_patches = self.network.vision_encoder.embed(self.reference)
        return self._reference_patches

    @torch.no_grad()
    def replaced(self, masks: Tensor, by: tuple[Tensor, Tensor | None] | None = None) -> Tensor:
        """Return the explained number of versions in which some patches are those of another image.

        The patches are replaced behind the embedding, so that the scan is embedded once, and no edge is made between a patch and its
        neighbours. Where a patch is embedded by itself, as in M3D-CLIP, this is the same as replacing its voxels.

        Parameters
        ----------
        masks : Tensor (N, patches), bool
            True where a patch is replaced.
        by : tuple, optional
            Patches and shares of the other image; those of the reference by default.

        Returns
        -------
        Tensor (N,)
        """
        other_patches, other_shares = self.reference_patches if by is None else by
        numbers = []
        for some in masks.split(self.at_once):
            chosen = some[:, :, None].to(self.patches.device)
            patches = torch.where(chosen, other_patches, self.patches)
            shares = None
            if self.shares is not None and other_shares is not None:
                shares = torch.where(chosen[:, None], other_shares, self.shares)
            numbers.append(self.of_patches(patches, shares))
        return torch.cat(numbers)

    @property
    def at_once(self) -> int:
        """How many versions of a scan go through the tower together."""
        size = sum(weight.numel() for weight in self.network.vision_encoder.parameters())
        return AT_ONCE if size <= LARGE_TOWER else FEW_AT_ONCE

    def gradient(self, inputs: list[Tensor], number: Callable[[], Tensor]) -> list[Tensor]:
        """Return gradients of the sum of numbers at inputs that ask for one; 0 where a number does not hang on an input."""
        with torch.enable_grad():
            found = torch.autograd.grad(number().sum(), inputs, allow_unused=True, materialize_grads=True)
        return list(found)

    def brain_patches(self) -> Tensor:
        """Return which patches hold brain, (patches,), bool."""
        means = torch.nn.functional.adaptive_avg_pool3d(self.image, self.grid)
        return means.flatten() > 0


def number_of_classes(target: Target, decided: Tensor, labels: Sequence[str]) -> Tensor:
    """Return the explained number (B,) of class scores (B, K).

    Raises
    ------
    ValueError
        If the target is no class.
    """
    if target.label is None:
        raise ValueError(f"{target.name} is no class")
    place = list(labels).index(target.label)
    if target.against is not None:
        return decided[:, place] - decided[:, list(labels).index(target.against)]
    others = torch.cat([decided[:, :place], decided[:, place + 1 :]], dim=1)
    return decided[:, place] - others.mean(dim=1)


def likeness(image: ImageTokens, phrase: TextTokens) -> Tensor:
    """Return the cosine (B,) of scans and one phrase, before the cross-attention."""
    return cosine_similarity(image.cls.float(), phrase.cls[:, 0].float(), dim=-1)
