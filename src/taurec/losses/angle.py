"""An angle added to that of a pair, by which losses ask more of some pairs than of others."""

from __future__ import annotations

import torch
from torch import Tensor

from taurec.losses.checks import checked_row_input

SMALLEST = 2e-7
"""Lower bound of 1 - cosine², at which the sine's slope would be infinite: a cosine of 1 - 1e-7."""


def cosine_plus_angle(cosine: Tensor, angle: Tensor | None, loss: str) -> Tensor:
    """[B] cos(min(theta + angle, pi)), with theta the angle whose cosine is given; -1 without gradient at the bound.

    It grows with the cosine, and its slope sin(theta + angle) / sin(theta) is larger where theta is small.

    Args:
        cosine: [B].
        angle: [B] in radians, from 0 to pi.
        loss: the name for messages.
    Raises: UsageError if angle is missing or does not fit.

    >>> cosine_plus_angle(torch.tensor([0.0, -1.0]), torch.tensor([0.5, 0.5]), "BC")
    tensor([-0.4794, -1.0000])
    """
    angle = checked_row_input("angle", angle, cosine, loss)
    sine = (1 - cosine.square()).clamp(min=SMALLEST).sqrt()
    turned = cosine * angle.cos() - sine * angle.sin()
    return torch.where(cosine < -angle.cos(), turned.new_tensor(-1.0), turned)
