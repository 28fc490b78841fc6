"""The closer look at both medial temporal lobes: where it looks, sides, volumes, names."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from adclip.config import SMALL, ModelConfig
from adclip.domain import InputContract
from adclip.errors import ConfigError
from adclip.imaging.steps.grid import to_model_order
from adclip.imaging.volumes import medial_temporal
from adclip.model import close_up
from adclip.model.build import build_network
from adclip.model.close_up import CloseUp
from adclip.model.original import expected_shapes

CONFIG = dataclasses.replace(SMALL, stem=(), close_up=(8, 12), vocabulary=64)
OTHER_GRID = dataclasses.replace(
    CONFIG, contract=InputContract(shape=(64, 80, 72), spacing_mm=(2.6, 2.5, 2.4), center_mm=(0.0, -16.0, 4.0))
)

HALF_OUTSIDE = dataclasses.replace(
    CONFIG,
    contract=InputContract(shape=(96, 96, 64), spacing_mm=(2.0, 2.0, 1.0), center_mm=(20.0, -16.0, 40.0)),
    patch=(8, 8, 8),
)


def place_of(x: float, y: float, z: float, contract: InputContract) -> tuple[int, int, int]:
    """Index (D, H, W) of the voxel at a place in MNI millimetres, by way of the one axis switch."""
    column, row, plane = (
        round((mm - contract.affine_xyz[a, 3]) / contract.affine_xyz[a, a]) for a, mm in enumerate((x, y, z))
    )
    grid = torch.zeros(contract.shape_xyz)
    grid[column, row, plane] = 1
    d, h, w = (int(i) for i in torch.nonzero(torch.from_numpy(to_model_order(grid.numpy())))[0])
    return d, h, w


def test_the_box_is_where_the_segmenter_looks_and_tells_the_same_classes_apart() -> None:
    assert close_up.CLASSES == medial_temporal.CLASSES
    low = medial_temporal.BOX.affine_xyz[:3, 3]
    high = low + [size - 1 for size in medial_temporal.BOX.shape_xyz]
    for axis, span in enumerate((close_up.IN_MM, close_up.BACK_MM, close_up.UP_MM)):
        assert high[axis] - 1 <= max(span) <= high[axis]
        if axis:  # along X the other side's box has the other end
            assert low[axis] <= min(span) <= low[axis] + 1


@pytest.mark.parametrize(("x", "side", "column"), [(31.0, 0, 9), (-31.0, 1, 9), (3.0, 0, 23), (-49.0, 1, 0)])
def test_a_voxel_of_the_scan_is_found_on_its_own_side(x: float, side: int, column: int) -> None:
    images = torch.zeros(1, 1, *CONFIG.contract.shape)
    images[(0, 0, *place_of(x, -22.0, -18.0, CONFIG.contract))] = 1
    sides = CloseUp(CONFIG).cut_sides(images)
    assert sides.shape == (2, 1, *close_up.SHAPE)
    assert torch.nonzero(sides > 0.5).tolist() == [[side, 0, 13, 16, column]]
    assert sides.sum().item() == pytest.approx(1, abs=1e-4)


def test_a_mirrored_head_gives_the_same_tokens_on_the_other_side() -> None:
    torch.manual_seed(0)
    looks = CloseUp(CONFIG).eval()
    images = torch.rand(2, 1, *CONFIG.contract.shape)
    with torch.inference_mode():
        grid = looks.to_tokens(looks(images)).reshape(2, *CONFIG.token_grid, CONFIG.width)
        mirrored = looks.to_tokens(looks(images.flip(-1))).reshape(2, *CONFIG.token_grid, CONFIG.width)
    torch.testing.assert_close(mirrored.flip(3), grid, atol=2e-5, rtol=1e-4)
    assert (grid.abs().amax(-1) > 0).sum().item() < grid[..., 0].numel() / 4  # patches outside the boxes get nothing


@pytest.mark.parametrize("config", [CONFIG, OTHER_GRID])
def test_the_patches_shares_add_up_to_the_volume_that_was_told(config: ModelConfig) -> None:
    looks = CloseUp(config)
    told = torch.zeros(2, 9, *close_up.SHAPE)
    told[0, 6, 3:9, 10:20, 5:11] = 1.0
    told[1, 6, 3:9, 10:20, 5:8] = 0.5
    sides = looks.share_out(told)
    shares = sides.sum(dim=1)
    patch_mm3 = torch.tensor([a * b for a, b in zip(config.patch, config.contract.spacing_mm, strict=True)]).prod()
    assert sides.shape == (1, 2, config.patches, 9)
    assert (sides[0, 0, :, 6].sum() / sides[0, 1, :, 6].sum()).item() == pytest.approx(4, rel=1e-4)
    assert (shares[..., 6].sum() * patch_mm3).item() == pytest.approx((360 + 90) * 8.0, rel=1e-4)
    assert shares[..., :6].abs().max() == 0 and shares.max() <= 1.001
    wide = shares[0, :, 6].reshape(config.token_grid)
    right, left = wide[..., : wide.shape[-1] // 2].sum(), wide[..., wide.shape[-1] // 2 :].sum()
    assert (right / left).item() == pytest.approx(4, rel=1e-4)  # the patient's right comes first along W


def gathering(config: ModelConfig) -> CloseUp:
    """Return a closer look whose sums reach the read-out."""
    torch.manual_seed(0)
    looks = CloseUp(config).eval()
    torch.nn.init.normal_(looks.gather.weight)
    torch.nn.init.normal_(looks.gather.bias)
    return looks


@pytest.mark.parametrize("config", [CONFIG, OTHER_GRID])
def test_the_read_out_is_handed_the_volumes_of_both_sides(config: ModelConfig) -> None:
    looks = gathering(config)
    patch_mm3 = torch.tensor([a * b for a, b in zip(config.patch, config.contract.spacing_mm, strict=True)]).prod()
    told = torch.rand(2, 9, *close_up.SHAPE)
    with torch.inference_mode():
        summed = looks.sum_up(looks.share_out(told))
        right, left = (close_up.GAIN * told.sum(dim=(2, 3, 4)) * close_up.SPACING_MM**3 / patch_mm3).unbind(0)
        by_hand = looks.gather(torch.cat([right + left, right - left])[None])
    torch.testing.assert_close(summed, by_hand, rtol=1e-3, atol=1e-3)


def test_the_parts_of_the_sum_lie_where_the_volumes_lie() -> None:
    looks, told = gathering(CONFIG), torch.zeros(2, 9, *close_up.SHAPE)
    told[1, 6, 3:9, 10:20, 5:8] = 1.0  # a left hippocampus alone
    with torch.inference_mode():
        shares = looks.share_out(told)
        parts = looks.parts_of_sum(shares)
        torch.testing.assert_close(parts.sum(dim=1) + looks.gather.bias, looks.sum_up(shares))
    grid = parts[0].norm(dim=-1).reshape(CONFIG.token_grid)
    assert grid[..., : grid.shape[-1] // 2].max() == 0 and grid[..., grid.shape[-1] // 2 :].max() > 0


@pytest.mark.parametrize(
    "config", [CONFIG, OTHER_GRID, HALF_OUTSIDE], ids=["same grid", "other grid", "box half outside"]
)
def test_what_is_spread_over_voxels_is_what_is_shared_out_to_patches(config: ModelConfig) -> None:
    """Each other's counterpart: products with shares, patch by patch, are sums over the patch's voxels."""
    looks, draw = CloseUp(config), torch.Generator().manual_seed(0)
    told = torch.rand(2, 9, *close_up.SHAPE, generator=draw)
    worth = torch.randn(1, 2, config.patches, 9, generator=draw)
    shares = looks.share_out(told)
    voxels = looks.to_voxels(told * looks.spread(worth))
    assert voxels.shape == config.contract.shape
    by_patch = torch.nn.functional.avg_pool3d(voxels[None, None].double(), config.patch, divisor_override=1).flatten()
    torch.testing.assert_close(by_patch.float(), (worth * shares).sum(dim=(0, 1, 3)), rtol=1e-3, atol=1e-4)
    assert (shares.sum(dim=(0, 1, 3)) > 0).sum() > 5
    # the same where every patch is worth the same, which no membership tells: what lies outside of the scan counts nowhere
    whole = looks.to_voxels(told)
    by_patch = torch.nn.functional.avg_pool3d(whole[None, None].double(), config.patch, divisor_override=1).flatten()
    torch.testing.assert_close(by_patch.float(), shares.sum(dim=(0, 1, 3)), rtol=1e-3, atol=1e-4)


def test_what_a_share_is_worth_is_the_gradient_of_the_sum() -> None:
    looks, draw = gathering(CONFIG), torch.Generator().manual_seed(1)
    shares = torch.rand(1, 2, CONFIG.patches, 9, generator=draw, requires_grad=True)
    gradient = torch.randn(CONFIG.width, generator=draw)
    (wanted,) = torch.autograd.grad((looks.sum_up(shares)[0] * gradient).sum(), shares)
    for patch in (0, CONFIG.patches - 1):
        torch.testing.assert_close(looks.worth_of_sides(gradient), wanted[0, :, patch], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("x", "side"), [(31.0, 0), (-31.0, 1)])
def test_a_voxel_of_a_box_lies_on_its_own_side_of_the_scan(x: float, side: int) -> None:
    values = torch.zeros(2, 9, *close_up.SHAPE)
    values[side, 4, 13, 16, 9] = 3.0
    values[side, 6, 13, 16, 9] = -1.0
    voxels = CloseUp(CONFIG).to_voxels(values)
    assert torch.nonzero(voxels).tolist() == [list(place_of(x, -22.0, -18.0, CONFIG.contract))]
    patch_mm3 = torch.tensor([a * b for a, b in zip(CONFIG.patch, CONFIG.contract.spacing_mm, strict=True)]).prod()
    assert float(voxels.sum() * patch_mm3) == pytest.approx(2 * 8.0)


def test_until_it_is_taught_the_sum_adds_nothing_and_then_it_does() -> None:
    torch.manual_seed(0)
    network = build_network(CONFIG, None).eval()
    looks, images = network.vision_encoder.patch_embedding.close_up, torch.rand(1, 1, *CONFIG.contract.shape)
    assert looks is not None
    torch.nn.init.zeros_(looks.gather.weight)
    torch.nn.init.zeros_(looks.gather.bias)
    with torch.inference_mode():
        tower = network.vision_encoder
        states, without = tower(images), tower.encode(tower.patch_embedding(images))
        torch.testing.assert_close(states.cls, without.cls)
        torch.nn.init.normal_(looks.gather.weight)
        taught = tower(images)
    torch.testing.assert_close(taught.cls - without.cls, looks.sum_up(looks(images)))
    torch.testing.assert_close(taught.patches, states.patches)


@pytest.mark.parametrize("config", [CONFIG, dataclasses.replace(SMALL, close_up=(24, 48, 64), vocabulary=64)])
def test_the_names_of_the_file_are_those_of_the_network(config: ModelConfig) -> None:
    network = build_network(config, None)
    assert {name: tuple(value.shape) for name, value in network.named_parameters()} == expected_shapes(config)
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("config", [CONFIG, OTHER_GRID])
def test_the_rest_of_the_tower_sees_nothing_of_the_boxes_and_all_else(config: ModelConfig) -> None:
    looks = CloseUp(config)
    images = torch.rand(1, 1, *config.contract.shape) + 0.5
    rest = looks.blank(images)
    assert (
        looks.cut_sides(rest)[..., 1:-1, 1:-1, 1:-1].abs().max() < 1e-5
    )  # at the faces of another grid voxels lie across
    kept = rest == images
    assert ((rest == 0) | kept).all()
    x, y, z = config.contract.spacing_mm[::-1]
    blanked_mm3 = (~kept).sum().item() * x * y * z
    assert blanked_mm3 == pytest.approx(2 * 28 * 32 * 24 * 8.0, rel=0.001 if config is CONFIG else 0.1)
    assert kept[(0, 0, *place_of(0.0, -20.0, -20.0, config.contract))]  # the brain stem, between the boxes


def test_what_lies_in_the_box_changes_the_embedding_by_way_of_the_closer_look() -> None:
    torch.manual_seed(0)
    network = build_network(CONFIG, None)
    plain = build_network(dataclasses.replace(CONFIG, close_up=()), None)
    plain.load_state_dict(network.state_dict(), strict=False)
    images = torch.rand(1, 1, *CONFIG.contract.shape)
    with torch.inference_mode():
        assert (network.encode_image(images) - plain.encode_image(images)).abs().max() > 1e-4


@pytest.mark.parametrize("widths", [(8,), (8, 10)])
def test_channels_that_make_no_network_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="close_up"):
        dataclasses.replace(CONFIG, close_up=widths)
