"""The L2 term in the forms that published code uses; a paper's strength means nothing without its form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.run import L2Mode, L2On
from taurec.types import Batch, Embeddings

Counted = tuple[Tensor, Tensor]
"""[I] squared lengths of the items, and how often each is in the batch, as positive or negative."""


def l2_penalty(mode: L2Mode, on: L2On, embeddings: Embeddings, batch: Batch, counted: Counted | None = None) -> Tensor:
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
    adam       0: Adam's own weight decay does it                           IR-Benchmark
    ========== ============================================================ =========================

    ``on`` says which vectors: ``ego`` the tables, ``final`` what is scored, ``hops`` every layer's
    output (the BSL authors' LightGCN). The negatives enter by their counts, so no [B, N, D] is built.
    With ``counted`` the items' part is the value alone, for a caller who adds its gradient elsewhere
    (``gathered`` and ``sum`` only).
    """
    users, items = _tables(on, embeddings)
    if mode == "adam":
        return users.new_zeros(())
    if mode == "tables":
        return 0.5 * (fixed_sum(users.square()) + fixed_sum(items.square()))
    user_part = fixed_sum(F.embedding(batch.user, users).square())
    rows = batch.user.shape[0]
    if counted is not None:
        assert mode in ("gathered", "sum")
        total = 0.5 * (user_part + fixed_sum(counted[0] * counted[1]))
        return total / rows if mode == "gathered" else total
    item_part = fixed_sum(F.embedding(batch.item, items).square())
    ids = batch.negatives.ids
    negative_part = users.new_zeros(())
    if ids is not None:
        counts = torch.bincount(ids.reshape(-1), minlength=items.shape[0]).to(items.dtype)
        negative_part = fixed_sum(items.square().sum(-1) * counts)
    if mode == "unsquared":
        n_rows = 1 if ids is None else ids.numel()
        # A zero norm has no gradient: the square root is taken of at least the smallest normal float.
        tiny = torch.finfo(users.dtype).tiny
        norms = [part.clamp_min(tiny).sqrt() for part in (user_part, item_part, negative_part)]
        return norms[0] / rows + norms[1] / rows + norms[2] / n_rows
    total = 0.5 * (user_part + item_part + negative_part)
    return total / rows if mode == "gathered" else total


def _tables(on: L2On, embeddings: Embeddings) -> tuple[Tensor, Tensor]:
    if on == "final":
        return embeddings.user, embeddings.item
    if on == "hops" and embeddings.hops:
        n_users = embeddings.ego_user.shape[0]
        layers = torch.cat(embeddings.hops, dim=-1)  # [U + I, d (L + 1)]
        return layers[:n_users], layers[n_users:]
    return embeddings.ego_user, embeddings.ego_item


def fixed_sum(x: Tensor, width: int = 1024) -> Tensor:
    """The sum of all entries in fixed blocks: the same bits for any number of threads."""
    flat = x.reshape(-1)
    while flat.numel() > width:
        flat = F.pad(flat, (0, -flat.numel() % width)).reshape(-1, width).sum(1)
    return flat.sum()
