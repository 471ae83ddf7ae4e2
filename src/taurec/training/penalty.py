"""The L2 term in the forms of published code; a published strength is meaningful only with its form."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.kernels.sums import fixed_sum
from taurec.run import L2Mode, L2On
from taurec.types import Batch, Embeddings


class RowCounts(NamedTuple):
    """How often each table row occurs in a batch, for tables whose optimizer adds the L2 gradient by these counts.

    Attributes:
        user: [U]; item: [I], as positive or negative; float32. None leaves the gradient to autograd.
        square: [I] squared lengths of the item vectors, where they are already known.
        decayed: whether the optimizer adds the gradient of mode ``tables`` to every row, as a decay.
    """

    user: Tensor | None = None
    item: Tensor | None = None
    square: Tensor | None = None
    decayed: bool = False


def l2_penalty(
    mode: L2Mode, on: L2On, embeddings: Embeddings, batch: Batch, counted: RowCounts | None = None
) -> Tensor:
    """The L2 term of one step, to be multiplied by its strength.

    With u, p, n the gathered vectors of users, positives and negatives (un-normalised; a row that
    occurs twice counts twice; in-batch and full-catalogue negatives add no n) and B rows:

    ========== ============================================================ =========================
    mode       value                                                        used by
    ========== ============================================================ =========================
    gathered   (|u|^2 + |p|^2 + |n|^2) / (2 B)                              LightGCN, BSL
    sum        (|u|^2 + |p|^2 + |n|^2) / 2                                  SSM (TensorFlow)
    tables     |W|^2 / 2 over the whole tables                              SimpleX (RecBox)
    unsquared  |u| / B + |p| / B + |n| / rows(n), Frobenius norms           SELFRec
    adam       0: applied as Adam's weight decay                          IR-Benchmark
    ========== ============================================================ =========================

    Where users are made from histories and have no table, u of an ``ego`` term is the vector of the pair's item in
    histories.
    ``on`` says which vectors: ``ego`` the tables, ``final`` what is scored, ``hops`` every layer's
    output (the BSL authors' LightGCN). The negatives enter by their counts, so no [B, N, D] is built.
    Tables with ``counted`` rows contribute their value without gradient (``gathered`` and ``sum`` only); decayed tables
    contribute 0, because not all of their rows are available.
    """
    users, items = _tables(on, embeddings)
    if mode == "adam" or (counted is not None and counted.decayed):
        return users.new_zeros(())
    if mode == "tables":
        return 0.5 * (fixed_sum(users.square()) + fixed_sum(items.square()))
    rows, ids = batch.user.shape[0], batch.negatives.drawn()
    user_at = embeddings.of_pairs(batch)[0] if on == "final" and _of_rows(embeddings) else batch.user
    if on != "final" and embeddings.of_histories:
        user_at = batch.item
    counted = counted or RowCounts()
    assert counted == RowCounts() or mode in ("gathered", "sum")
    negative_part = users.new_zeros(())
    if counted.user is not None:
        user_part = _value(users, counted.user, [batch.user])
    else:
        user_part = fixed_sum(F.embedding(user_at, users).square())
    if counted.square is not None and counted.item is not None:
        item_part = fixed_sum(counted.square * counted.item)
    elif counted.item is not None:
        item_part = _value(items, counted.item, [batch.item] if ids is None else [batch.item, ids])
    else:
        item_part = fixed_sum(F.embedding(batch.item, items).square())
        if ids is not None:
            counts = torch.bincount(ids, minlength=items.shape[0]).to(items.dtype)
            negative_part = fixed_sum(items.square().sum(-1) * counts)
    if mode == "unsquared":
        n_rows = 1 if ids is None else max(ids.numel(), 1)
        # A zero norm has no gradient: the square root is taken of at least the smallest normal float.
        tiny = torch.finfo(users.dtype).tiny
        norms = [part.clamp_min(tiny).sqrt() for part in (user_part, item_part, negative_part)]
        return norms[0] / rows + norms[1] / rows + norms[2] / n_rows
    total = 0.5 * (user_part + item_part + negative_part)
    return total / rows if mode == "gathered" else total


def _of_rows(embeddings: Embeddings) -> bool:
    """Whether the vectors of users are those of a batch, not of all users."""
    return embeddings.by_row or embeddings.left_out is not None


def count(batch: Batch, n_users: int, n_items: int) -> RowCounts:
    """The number of occurrences of each user and item in a batch."""
    ids = batch.negatives.drawn()
    items = torch.bincount(batch.item, minlength=n_items)
    if ids is not None:
        items += torch.bincount(ids, minlength=n_items)
    return RowCounts(torch.bincount(batch.user, minlength=n_users).to(torch.float32), items.to(torch.float32))


@torch.no_grad()
def _value(table: Tensor, counts: Tensor, ids: list[Tensor]) -> Tensor:
    """``sum_r counts[r] |table[r]|^2``, computed from the ids where there are few."""
    if 4 * sum(len(i) for i in ids) < len(table):
        return fixed_sum(F.embedding(torch.cat(ids), table).square())
    return fixed_sum(table.square().sum(-1) * counts.to(table.dtype))


def _tables(on: L2On, embeddings: Embeddings) -> tuple[Tensor, Tensor]:
    if on == "final":
        return embeddings.user, embeddings.item
    if on == "hops" and embeddings.hops:
        n_users = embeddings.ego_user.shape[0]
        layers = torch.cat(embeddings.hops, dim=-1)  # [U + I, d (L + 1)]
        return layers[:n_users], layers[n_users:]
    return embeddings.ego_user, embeddings.ego_item
