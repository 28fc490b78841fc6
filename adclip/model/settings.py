"""Sizes of the network, and the parts that are added to a base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from adclip.domain import InputContract
from adclip.errors import ConfigError
from adclip.settings.setting import Setting, Settings

LAST_TEXT_TOKEN = 482  # method: 512 positions of BERT less 30 prompts


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class PromptConfig(Settings):
    """The parts that prompt tuning adds; every one can be resized or switched off."""

    SECTION: ClassVar[str] = "Parts added to the base"

    visual_prompts: Annotated[int, Setting("Learned tokens per block of the image tower; 0 for none.", at_least=0,
        source="VPT-deep, Jia et al. 2022, arXiv:2203.12119: overwritten at each block; 20 in arXiv:2509.07613")] = 20
    prompt_depth: Annotated[int | None, Setting("Number of leading blocks with visual prompts; default all.", at_least=0)] = None
    text_prompts: Annotated[int, Setting("Learned tokens before the words of a report; 0 for none.", at_least=0,
        source="30 in arXiv:2509.07613")] = 30
    mmse_token: Annotated[bool, Setting("An extra token that learns the MMSE.")] = True
    cross_attention: Annotated[bool, Setting("Let scan and report attend to each other.")] = True
    prompts_before_cls: Annotated[bool, Setting("Text prompts before [CLS], as published, rather than behind it.",
        note="Before, [CLS] moves to position `text_prompts`; behind, the words keep the positions that BERT taught them.")] = False
    new_projections: Annotated[bool, Setting("Projections from random numbers, as published, rather than the base's.")] = False
    raw_scale: Annotated[bool, Setting("Multiply by the logit scale itself, as published, rather than its exponential.")] = False
    lora_rank: Annotated[int, Setting("Rank of learned updates of the image tower's attention; 0 for none.", at_least=0,
        source="LoRA, Hu et al. 2021, arXiv:2106.09685")] = 0
    whole: Annotated[bool, Setting("Train the base's own weights as well.")] = False
    published_input: Annotated[bool, Setting("Scans as z-scored cubes on positions of another grid, as published.")] = False

    @classmethod
    def paper(cls) -> Self:
        """Return the parts as arXiv:2509.07613 has them."""
        return cls(prompts_before_cls=True, new_projections=True, raw_scale=True, published_input=True)
# fmt: on


@dataclass(frozen=True)
class ModelConfig(Settings):
    """Sizes of both towers. The defaults are M3D-CLIP's (Bai et al. 2024, arXiv:2404.00578).

    Parameters
    ----------
    contract : InputContract
        Grid and intensity rule of the image tower.
    patch : tuple of int
        Patch size along D, H, W in voxels.
    stem : tuple of int
        Channels of the convolutional stem's levels, each of which halves the grid; empty (as in M3D-CLIP) for none.
    close_up : tuple of int
        Channels of the network that looks closer at both medial temporal lobes, at 2, 4, 8 ... mm; empty for none.
    width, depth, heads, mlp_width : int
        Of the image tower.
    text_width, text_depth, text_heads, text_mlp_width, vocabulary, text_positions : int
        Of the text tower.
    embedding : int
        Width of the shared space.
    fusion_heads : int
        Heads of the cross-attention.

    Notes
    -----
    A base without a text tower (a bare ViT) has `text_depth` 0.
    """

    contract: InputContract
    patch: tuple[int, int, int] = (4, 16, 16)
    stem: tuple[int, ...] = ()
    close_up: tuple[int, ...] = ()
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    text_width: int = 768
    text_depth: int = 12
    text_heads: int = 12
    text_mlp_width: int = 3072
    vocabulary: int = 30522
    text_positions: int = 512
    embedding: int = 768
    fusion_heads: int = 8

    def __post_init__(self) -> None:
        for size, part in zip(self.contract.shape, self.patch, strict=True):
            if size % part:
                raise ConfigError.bad_value("patch", f"{self.contract.shape} is not a multiple of {self.patch}")
            if part % 2 ** len(self.stem):
                raise ConfigError.bad_value("stem", f"{self.patch} cannot be halved {len(self.stem)} times")
        for channels in self.stem:
            if channels % max(channels // 8, 1):
                raise ConfigError.bad_value("stem", f"{channels} channels are no multiple of 8")
        if len(self.close_up) == 1 or any(channels % 4 for channels in self.close_up):
            raise ConfigError.bad_value("close_up", f"{self.close_up}: two numbers or more, multiples of 4, are needed")
        for width, heads in ((self.width, self.heads), (self.text_width, self.text_heads),
                             (self.embedding, self.fusion_heads)):  # fmt: skip
            if width % heads:
                raise ConfigError.bad_value("heads", f"width {width} is not a multiple of {heads} heads")

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """Patches along D, H, W."""
        d, h, w = (size // part for size, part in zip(self.contract.shape, self.patch, strict=True))
        return d, h, w

    @property
    def patches(self) -> int:
        """Number of patch tokens."""
        d, h, w = self.token_grid
        return d * h * w

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        data = dict(data)
        data["contract"] = InputContract.from_dict(data["contract"])
        data["patch"] = tuple(data["patch"])
        data["stem"] = tuple(data.get("stem", ()))
        data["close_up"] = tuple(data.get("close_up", ()))
        return super().from_dict(data)


# 32 x 256 x 256 axial-first, patches 4 x 16 x 16 (M3DCLIPConfig). The box covers the MNI brain with about 10 mm to spare
# above and below: 160 mm high, 204.8 mm square in plane.
M3D_CLIP = ModelConfig(
    contract=InputContract(shape=(32, 256, 256), spacing_mm=(5.0, 0.8, 0.8), center_mm=(0.0, -17.0, 5.0))
)

# The small size of the builtin model: 2 mm voxels, 16 mm patches, 1,200 tokens, and convolutions before them that see what is
# smaller than a patch, such as the border of a hippocampus. The box holds the whole template brain (x +-72, y -107..73, z -72..82 mm).
SMALL = ModelConfig(
    contract=InputContract(shape=(80, 96, 80), spacing_mm=(2.0, 2.0, 2.0), center_mm=(0.0, -17.0, 5.0)),
    patch=(8, 8, 8),
    stem=(24, 64, 128),
    close_up=(24, 48, 64),
    width=128,
    depth=4,
    heads=4,
    mlp_width=512,
    text_width=128,
    text_depth=3,
    text_heads=4,
    text_mlp_width=512,
    vocabulary=0,  # filled from the vocabulary file when the model is built
    embedding=128,
    fusion_heads=4,
)
