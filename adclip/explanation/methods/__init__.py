"""Ways to explain a number by the scan: each takes an `Explained` and returns its `Relevance`, and knows no other."""

from __future__ import annotations

from collections.abc import Callable

from adclip.explanation.explained import Explained
from adclip.explanation.methods.grad_eclip import grad_eclip, grad_eclip_single_head
from adclip.explanation.methods.gradients import (
    gradient_x_input,
    integrated_gradients,
    patch_integrated_gradients,
    smoothgrad,
)
from adclip.explanation.methods.occlusion import occlusion
from adclip.explanation.methods.rollout import attention_rollout
from adclip.explanation.relevance import Relevance

Method = Callable[[Explained], Relevance]

METHODS: dict[str, Method] = {
    "grad-eclip": grad_eclip,
    "grad-eclip-single-head": grad_eclip_single_head,
    "attention-rollout": attention_rollout,
    "gradient-x-input": gradient_x_input,
    "smoothgrad": smoothgrad,
    "integrated-gradients": integrated_gradients,
    "patch-integrated-gradients": patch_integrated_gradients,
    "occlusion": occlusion,
}
# Methods whose map is of what differs from the reference image.
FROM_REFERENCE = ("integrated-gradients", "patch-integrated-gradients", "occlusion")
