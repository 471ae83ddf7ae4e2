"""The family of closed forms against a dense reference, golden values and identities."""

from __future__ import annotations

import numpy as np
import pytest

from taurec.baselines import DAN, EASE, EDLAE, RDLAE, RLAE, NormalisedEASE
from taurec.data.interactions import Interactions
from taurec.errors import UsageError

T5 = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], dtype=float)
MIRROR = [2, 1, 0, 3]
"""Items 0 and 2 of T5 are mirror images of each other."""


def log_of(x: np.ndarray) -> Interactions:
    return Interactions.from_pairs(*np.nonzero(x))


def dense(x: np.ndarray, ridge, b: float = 0, xi: float = 0, into=1.0, out=1.0) -> np.ndarray:
    """The definition: the multiplier mu where the diagonal would exceed xi."""
    n, items = x.sum(1), x.shape[1]
    lam = np.broadcast_to(np.asarray(ridge, dtype=float), items)
    p = np.linalg.inv(x.T @ (x * n[:, None] ** -b) + np.diag(lam))
    diagonal = np.diagonal(p)
    mu = np.where(1 - lam * diagonal > xi, (1 - xi) / diagonal - lam, 0.0)
    weights = np.eye(items) - p * (lam + mu)
    np.fill_diagonal(weights, 0.0)
    return np.broadcast_to(into, items)[:, None] * weights * np.broadcast_to(out, items)


def random_x(users: int, items: int) -> np.ndarray:
    x = (np.random.default_rng(4).random((users, items)) < 0.35).astype(float)
    x[0], x[:, 0] = 1, 1
    return x


def dan(x: np.ndarray, l2: float, alpha: float, beta: float, drop: float, xi: float = 0) -> np.ndarray:
    d = x.sum(0)
    return dense(x, l2 + drop / (1 - drop) * d, beta, xi, d**alpha, d**-alpha)


def normalised(x: np.ndarray, l2: float, rows: float, columns: float, output: float) -> np.ndarray:
    """Step by step as the formula has it, not by the identity that the class uses."""
    d, n = x.sum(0), x.sum(1)
    y = n[:, None] ** (-rows / 2) * x * d**-columns
    b = dense(y, l2 * (y * y).sum(0).mean())
    return d[:, None] ** -columns * b * d**output


GOLDEN = [
    (
        EASE(l2=2),
        [0, 4 / 11, -0.012658227848, 5 / 22],
        [0.405063291139, 0, -0.181818181818],
        [0.253164556962, -0.181818181818],
    ),
    (
        EDLAE(l2=1, drop=0.25),
        [0, 0.366666666667, -0.018518518519, 0.227272727273],
        [0.407407407407, 0, -0.181818181818],
        [0.277777777778, -0.2],
    ),
    (
        DAN(l2=1, alpha=0.2, beta=0.3, drop=0.25),
        [0, 0.328499883257, -0.005881687441, 0.221153826240],
        [0.354645408334, 0, -0.155945157349],
        [0.228912307367, -0.149515926545],
    ),
    (
        RLAE(l2=2, xi=0.4),
        [0, 0.218181818182, -0.007594936709, 0.136363636364],
        [0.6 * 0.405063291139, 0, 0.6 * -0.181818181818],
        [0.6 * 0.253164556962, 0.6 * -0.181818181818],
    ),
    (
        RDLAE(l2=1, drop=0.25, xi=0.3),
        [0, 0.7 * 0.366666666667, 0.7 * -0.018518518519, 0.7 * 0.227272727273],
        [0.7 * 0.407407407407, 0, 0.7 * -0.181818181818],
        [0.7 * 0.277777777778, 0.7 * -0.2],
    ),
    (
        NormalisedEASE(l2=1 / 1.1123724357, rows=0.5, columns=0.25, output=0.25),
        [0, 0.325392233520, -0.013692582125, 0.207069963255],
        [0.349672216438, 0, -0.142857142857],
        [0.253423145531, -0.162696116760],
    ),
    (
        NormalisedEASE(l2=1 / 1.1123724357, rows=0.5, columns=0.25, output=0.1),
        [0, 0.275955462161, -0.011612271097, 0.186621900176],
        None,
        None,
    ),
    (
        NormalisedEASE(l2=1, rows=0.5, columns=0.25, output=0.2),
        [0, 0.292200536901, -0.003151197286, 0.186950884285],
        None,
        None,
    ),
]


@pytest.mark.parametrize(("model", "first", "second", "last"), GOLDEN, ids=lambda v: type(v).__name__)
def test_golden_values(model, first, second, last) -> None:
    w = model.fit(log_of(T5)).weights()
    np.testing.assert_allclose(w[0], first, rtol=2e-6, atol=1e-9)
    np.testing.assert_allclose(w[2][MIRROR], first, rtol=2e-6, atol=1e-9)
    if second is not None:
        np.testing.assert_allclose(w[1], [*second[:2], second[0], second[2]], rtol=2e-6)
        np.testing.assert_allclose(w[3], [*last, last[0], 0], rtol=2e-6)


def test_scores_of_dan() -> None:
    """The score of the first user, who has items 0 and 1."""
    scores = DAN(l2=1, alpha=0.2, beta=0.3, drop=0.25).fit(log_of(T5)).block(np.array([0]))[0]
    np.testing.assert_allclose(scores, [0.354645408334, 0.328499883257, 0.348763720893, 0.06520866889], rtol=2e-6)


@pytest.mark.parametrize("shape", [(40, 13), (13, 40), (530, 20), (6, 600)])
def test_the_dense_definition_on_either_side(shape) -> None:
    """More users than items and fewer, in one block and in several."""
    x = random_x(*shape)
    d, log = x.sum(0), log_of(x)
    pairs = [
        (EASE(3.0), dense(x, 3.0)),
        (EDLAE(2.0, 0.4), dense(x, 2.0 + 0.4 / 0.6 * d)),
        (EDLAE(0.0, 0.4), dense(x, 0.4 / 0.6 * d)),
        (RLAE(3.0, 0.3), dense(x, 3.0, xi=0.3)),
        (RLAE(3.0, 1.0), dense(x, 3.0, xi=1.0)),
        (RDLAE(2.0, 0.4, 0.5), dense(x, 2.0 + 0.4 / 0.6 * d, xi=0.5)),
        (DAN(2.0, 0.3, 0.6, 0.2, 0.1), dan(x, 2.0, 0.3, 0.6, 0.2, 0.1)),
        (NormalisedEASE(0.7, 0.4, 0.3, 0.15), normalised(x, 0.7, 0.4, 0.3, 0.15)),
    ]
    for model, expected in pairs:
        found = model.fit(log).weights()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=type(model).__name__)


@pytest.mark.parametrize("shape", [(40, 13), (13, 40)])
def test_identities(shape) -> None:
    log = log_of(random_x(*shape))

    def weights(model) -> np.ndarray:
        return model.fit(log).weights()

    def same(one, other) -> None:
        np.testing.assert_allclose(weights(one), weights(other), rtol=1e-5, atol=1e-7)

    same(EDLAE(3.0, 0.0), EASE(3.0))
    same(RLAE(3.0, 0.0), EASE(3.0))
    same(RDLAE(3.0, 0.2, 0.0), EDLAE(3.0, 0.2))
    same(RDLAE(3.0, 0.0, 0.3), RLAE(3.0, 0.3))
    same(DAN(3.0, 0.0, 0.0, 0.2, 0.3), RDLAE(3.0, 0.2, 0.3))
    same(NormalisedEASE(2.0, 0.0, 0.0, 0.0), EASE(2.0 * log.item_counts.mean()))
    same(NormalisedEASE(2.0, 0.0, 0.5, 0.5), EDLAE(0.0, 2 / 3))
    same(RLAE(1.0, 0.9999), RLAE(1.0, 1.0))


def test_a_bound_that_only_some_columns_reach() -> None:
    """Otherwise RLAE is EASE times a number, and the test above would hold nothing."""
    x = random_x(40, 13)
    p = np.linalg.inv(x.T @ x + 3.0 * np.eye(13))
    diagonal = 1 - 3.0 * np.diagonal(p)
    xi = float(np.sort(diagonal)[5:7].mean())
    reached = diagonal > xi
    assert reached.sum() == 7
    w, ease = RLAE(3.0, xi).fit(log_of(x)).weights(), EASE(3.0).fit(log_of(x)).weights()
    np.testing.assert_allclose(w[:, reached], (1 - xi) * ease[:, reached], rtol=1e-5, atol=1e-7)
    assert (np.abs(w - (1 - xi) * ease).max(0)[~reached] > 1e-6).all()


def test_items_without_users_need_no_ridge() -> None:
    log = log_of(random_x(40, 13))
    empty = log.take(log.indices != 5)
    w = EDLAE(0.0, 0.3).fit(empty).weights()
    assert np.isfinite(w).all()
    assert (w[5] == 0).all()
    assert (w[:, 5] == 0).all()


@pytest.mark.parametrize(
    ("cls", "settings", "word"),
    [
        (EDLAE, {"l2": 0.0, "drop": 0.0}, "not both 0"),
        (EDLAE, {"l2": 1.0, "drop": 1.0}, "drop < 1"),
        (RLAE, {"l2": 0.0}, "l2 above 0"),
        (RLAE, {"xi": 1.1}, "xi <= 1"),
        (RDLAE, {"l2": -1.0}, "l2 >= 0"),
        (RDLAE, {"xi": -0.1}, "0 <= xi"),
        (DAN, {"alpha": float("nan")}, "finite exponents"),
        (DAN, {"drop": -0.1}, "drop"),
        (NormalisedEASE, {"l2": 0.0}, "l2 above 0"),
        (NormalisedEASE, {"output": float("inf")}, "finite exponents"),
    ],
)
def test_wrong_settings_are_refused(cls, settings, word) -> None:
    with pytest.raises(UsageError, match=word):
        cls(**settings)
