"""The closest points of two straight lines, and of two arcs of great circles, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""[...] the weights of x1, x2, y1, y2: the points are w1 x1 + w2 x2 and w3 y1 + w4 y2."""


def closest_on_segments(x1: Tensor, x2: Tensor, y1: Tensor, y2: Tensor) -> Weights:
    """The closest points of the straight lines from x1 to x2 and from y1 to y2, all [..., D].

    With d = x2 - x1, e = y2 - y1, r = x1 - y1, the squared distance |r + a d - b e|^2 is convex in (a, b), so its
    minimum over the unit square is the free minimum if that lies inside, else the best of the four sides.

    Returns: weights [...] (1 - a, a, 1 - b, b).

    >>> corner = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.0, 0.8], [0.0, 0.0, 1.0]])
    >>> [round(float(w), 4) for w in closest_on_segments(*corner)]
    [0.8, 0.2, 1.0, 0.0]
    """
    d, e, r = x2 - x1, y2 - y1, x1 - y1
    dd, ee, de, dr, er = (_dot(p, q) for p, q in ((d, d), (e, e), (d, e), (d, r), (e, r)))
    determinant = dd * ee - de * de
    zero, one = torch.zeros_like(dd), torch.ones_like(dd)
    inside = _quotient(de * er - ee * dr, determinant), _quotient(dd * er - de * dr, determinant)
    sides = [(zero, _unit(_quotient(er, ee))), (one, _unit(_quotient(er + de, ee)))]
    sides += [(_unit(_quotient(-dr, dd)), zero), (_unit(_quotient(de - dr, dd)), one)]
    fits = (determinant > 1e-12 * dd * ee) & _within(inside[0], 1.0) & _within(inside[1], 1.0)
    a, b = (torch.stack([p, *(s[k] for s in sides)]) for k, p in enumerate(inside))
    square = dd * a * a + ee * b * b - 2 * de * a * b + 2 * dr * a - 2 * er * b
    square[0] = square[0].masked_fill(~fits, math.inf)
    best = square.argmin(0, keepdim=True)
    a, b = a.gather(0, best)[0], b.gather(0, best)[0]
    return 1 - a, a, 1 - b, b


def closest_on_arcs(x1: Tensor, x2: Tensor, y1: Tensor, y2: Tensor) -> Weights:
    """The closest points of the arcs of great circles from x1 to x2 and from y1 to y2, all [..., D] of length 1.

    With x(s) = x1 cos s + n sin s, y(t) = y1 cos t + m sin t, the product of the points is

        <x(s), y(t)> = p cos(s - t - f) + q cos(s + t - g),     p, q >= 0

    so its free maxima are s = (f + g) / 2, t = (g - f) / 2 and both plus pi. On a side it is a cosine of one angle.
    The maximum over the rectangle is the best of those inside it, the maxima of the four sides, and the four corners.

    Returns: weights [...] of the four vectors.

    >>> corner = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.5**0.5], [0.0, 0.0, 1.0]])
    >>> [round(float(w), 4) for w in closest_on_arcs(*corner)]
    [0.7071, 0.7071, 1.0, 0.0]
    """
    cos_s, cos_t = _dot(x1, x2).clamp(-1, 1), _dot(y1, y2).clamp(-1, 1)
    end_s, end_t = _angle(x1, x2), _angle(y1, y2)
    sin_s, sin_t = end_s.sin(), end_t.sin()
    point = end_s < 1e-6, end_t < 1e-6  # arcs without length: their second direction does not matter
    xy = _dot(x1, y1)
    xm = _quotient(_dot(x1, y2) - cos_t * xy, sin_t).masked_fill(point[1], 0.0)
    ny = _quotient(_dot(x2, y1) - cos_s * xy, sin_s).masked_fill(point[0], 0.0)
    nm = _dot(x2, y2) - cos_s * _dot(x1, y2) - cos_t * _dot(x2, y1) + cos_s * cos_t * xy
    nm = _quotient(nm, sin_s * sin_t).masked_fill(point[0] | point[1], 0.0)
    zero = torch.zeros_like(xy)
    f, g = torch.atan2(ny - xm, xy + nm), torch.atan2(ny + xm, xy - nm)
    free = [((f + g) / 2 + turn, (g - f) / 2 + turn) for turn in (0.0, math.pi)]
    free = [(s.remainder(2 * math.pi), t.remainder(2 * math.pi)) for s, t in free]
    places = [*free, (zero, zero), (zero, end_t), (end_s, zero), (end_s, end_t)]
    for s in (zero, end_s):
        places.append((s, torch.atan2(xm * s.cos() + nm * s.sin(), xy * s.cos() + ny * s.sin())))
    for t in (zero, end_t):
        places.append((torch.atan2(ny * t.cos() + nm * t.sin(), xy * t.cos() + xm * t.sin()), t))
    s, t = (torch.stack([p[k] for p in places]) for k in (0, 1))
    product = (xy * t.cos() + xm * t.sin()) * s.cos() + (ny * t.cos() + nm * t.sin()) * s.sin()
    allowed = (s >= 0) & (s <= end_s) & (t >= 0) & (t <= end_t)
    best = product.masked_fill(~allowed, -math.inf).argmax(0, keepdim=True)
    s, t = s.gather(0, best)[0], t.gather(0, best)[0]
    first, second = _on_arc(s, end_s, point[0]), _on_arc(t, end_t, point[1])
    return *first, *second


def _on_arc(angle: Tensor, end: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of the two ends of an arc at an angle from the first."""
    first, second = (_quotient((end - angle).sin(), end.sin()), _quotient(angle.sin(), end.sin()))
    return first.masked_fill(point, 1.0), second.masked_fill(point, 0.0)


def _angle(x: Tensor, y: Tensor) -> Tensor:
    """The angle between vectors of length 1; below pi, where an arc would not be unique."""
    return (2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))).clamp_max(math.pi - 1e-3)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1)


def _quotient(over: Tensor, under: Tensor) -> Tensor:
    """over / under, and 0 where that is not defined."""
    return torch.where(
        under == 0, torch.zeros_like(over), over / torch.where(under == 0, torch.ones_like(under), under)
    )


def _unit(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


def _within(x: Tensor, end: float) -> Tensor:
    return (x >= 0) & (x <= end)
