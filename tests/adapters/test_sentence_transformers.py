"""The loss in its host: sentence-transformers, with a small encoder that is made here."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from taurec import LOSSES
from taurec.adapters import SentenceTransformerLoss
from taurec.data import debian
from taurec.errors import UsageError
from taurec.losses import BSL, SSM, DirectAU, HardnessSSM, ScoreLoss, SoftInfoNCE

B, D = 6, 8
ROLES = ["library", "headers", "manual", "plugin", "server", "client", "fonts", "data"]
TOPICS = ["image", "audio", "network", "python", "kernel", "mail", "printer", "compiler"]


def vectors(columns: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(B, D, generator=generator, requires_grad=True) for _ in range(columns)]


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True)


class Words(nn.Module):
    """An encoder without transformers: the mean of the vectors of a text's words."""

    def __init__(self, vocabulary: int = 40):
        super().__init__()
        self.words = nn.Embedding(vocabulary, D)

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"sentence_embedding": self.words(features["input_ids"]).mean(1)}


def test_the_value_is_that_of_the_loss_on_scores_worked_out_by_hand() -> None:
    anchor, positive, hard = vectors(3)
    texts = unit(torch.cat([positive, hard]))
    scores = unit(anchor) @ texts.T
    pos, neg = scores[:, :B].diag(), scores.masked_fill(torch.eye(B, 2 * B, dtype=torch.bool), -math.inf)
    for loss in (SSM(0.05), HardnessSSM(0.1, 3.0)):
        found = SentenceTransformerLoss(Words(), loss).of_vectors([anchor, positive, hard])
        torch.testing.assert_close(found, loss(pos, neg).mean())
    own = (unit(anchor) * unit(hard)).sum(1, keepdim=True)
    found = SentenceTransformerLoss(Words(), SSM(0.05), negatives="own").of_vectors([anchor, positive, hard])
    torch.testing.assert_close(found, SSM(0.05)(pos, own).mean())


def test_the_similarity_is_that_of_the_texts_and_a_constant() -> None:
    anchor, positive, hard = vectors(3)
    texts = unit(torch.cat([positive, hard])).detach()
    loss, mask = SoftInfoNCE(0.1, alpha=0.5), torch.eye(B, 2 * B, dtype=torch.bool)
    scores = (unit(anchor) @ unit(torch.cat([positive, hard])).T).masked_fill(mask, -math.inf)
    pos = (unit(anchor) * unit(positive)).sum(1)
    found = SentenceTransformerLoss(Words(), loss).of_vectors([anchor, positive, hard])
    wanted = loss(pos, scores, similarity=texts[:B] @ texts.T).mean()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(x, positive, retain_graph=True)[0] for x in (found, wanted)))
    own = SentenceTransformerLoss(Words(), loss, negatives="own").of_vectors([anchor, positive, hard, hard])
    assert torch.isfinite(own)


def test_equal_texts_are_no_negatives_and_equal_anchors_are_one_user() -> None:
    anchor, positive = vectors(2)
    who, which = torch.tensor([0, 0, 1, 2, 3, 4]), torch.tensor([0, 1, 2, 2, 3, 4])
    scores = unit(anchor) @ unit(positive).T
    same = (who[:, None] == who) | (which[:, None] == which)
    neg = scores.masked_fill(same, -math.inf)
    found = SentenceTransformerLoss(Words(), SSM(0.05)).of_vectors([anchor, positive], [who, which])
    torch.testing.assert_close(found, SSM(0.05)(scores.diag(), neg).mean())
    loose = SentenceTransformerLoss(Words(), SSM(0.05), mask="diagonal").of_vectors([anchor, positive], [who, which])
    neg = scores.masked_fill(torch.eye(B, dtype=torch.bool), -math.inf)
    torch.testing.assert_close(loose, SSM(0.05)(scores.diag(), neg).mean())
    neg = scores.masked_fill(same, -math.inf)
    bsl = SentenceTransformerLoss(Words(), BSL(0.2, 0.1)).of_vectors([anchor, positive], [who, which])
    torch.testing.assert_close(bsl, BSL(0.2, 0.1)(scores.diag(), neg, group=who).mean())


def test_texts_are_compared_by_their_tokens() -> None:
    model = Words()
    ids = torch.tensor([[1, 2], [1, 2], [3, 4], [5, 6]]), torch.tensor([[7, 0, 0], [8, 9, 1], [8, 9, 2], [7, 0, 0]])
    columns = [{"input_ids": x} for x in ids]
    got = SentenceTransformerLoss(model, "ssm:0.1")(columns)
    found = [model(c)["sentence_embedding"] for c in columns]
    wanted = SentenceTransformerLoss(model, "ssm:0.1").of_vectors(
        found, [torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 2, 0])]
    )
    torch.testing.assert_close(got, wanted)
    with pytest.raises(UsageError, match=r"have no input_ids \[B, length\]; use mask='diagonal'"):
        SentenceTransformerLoss(lambda f: {"sentence_embedding": found[0]}, "ssm")([{}, {}])  # type: ignore[arg-type]


def test_a_loss_of_vectors_gets_those_of_the_pairs() -> None:
    anchor, positive = vectors(2)
    found = SentenceTransformerLoss(Words(), DirectAU()).of_vectors([anchor, positive])
    torch.testing.assert_close(found, DirectAU()(unit(anchor), unit(positive)))


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_trains_or_is_refused_when_it_is_made(name: str) -> None:
    declared = LOSSES.build(name)
    more = declared.more_positives if isinstance(declared, ScoreLoss) else 0
    if more or declared.needs - {"group", "similarity"}:
        with pytest.raises(UsageError, match="texts have none; use a loss of the scores alone"):
            SentenceTransformerLoss(Words(), name)
        return
    made = SentenceTransformerLoss(Words(), name, score="neg_sq_dist" if name == "mcl" else "cosine")
    given = vectors(3)
    value = made.of_vectors(given, [torch.tensor([0, 0, 1, 2, 3, 4]), torch.arange(B)])
    value.backward()
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in given[:2])


def test_what_makes_no_sense_is_refused() -> None:
    for field in ("score", "negatives", "mask"):
        with pytest.raises(UsageError, match=f"unknown {field} 'al'"):
            SentenceTransformerLoss(Words(), "ssm", **{field: "al"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="DirectAU is defined on cosine scores, got score='dot'"):
        SentenceTransformerLoss(Words(), "directau", score="dot")
    with pytest.raises(UsageError, match="loss must be a name such as"):
        SentenceTransformerLoss(Words(), SSM)  # type: ignore[arg-type]
    column = {"input_ids": torch.ones(2, 3, dtype=torch.int64)}
    with pytest.raises(UsageError, match="has 2 columns of texts; give an anchor, a positive and a negative"):
        SentenceTransformerLoss(Words(), "ssm", negatives="own")([column, column])
    with pytest.raises(UsageError, match="has 1 column of texts; give an anchor and a positive"):
        SentenceTransformerLoss(Words(), "ssm")([column])
    with pytest.raises(UsageError, match="a text in each row; got 2, 1 vectors"):
        SentenceTransformerLoss(Words(), "ssm")([column, {"input_ids": column["input_ids"][:1]}])
    with pytest.raises(UsageError, match="MSCL needs more, which"):
        SentenceTransformerLoss(Words(), "mscl")


def test_vectors_that_are_not_finite_are_not_hidden() -> None:
    anchor, positive = vectors(2)
    with torch.no_grad():
        anchor[1, 0] = torch.nan
    assert SentenceTransformerLoss(Words(), "ssm").of_vectors([anchor, positive]).isnan()


@pytest.mark.parametrize("columns", [2, 4])
def test_it_is_the_loss_of_sentence_transformers(columns: int) -> None:
    hosts = pytest.importorskip("sentence_transformers").sentence_transformer.losses
    given = vectors(columns)
    theirs = hosts.MultipleNegativesRankingLoss(Words(), scale=20.0)
    ours = SentenceTransformerLoss(Words(), "ssm:0.05")
    pairs = [(ours, theirs)]
    modes = {"all_negatives"} | ({"in_batch_negatives"} if columns == 2 else set())
    for mode in modes:
        theirs = hosts.MultipleNegativesRankingLoss(Words(), scale=20.0, hardness_mode=mode, hardness_strength=5.0)
        pairs.append((SentenceTransformerLoss(Words(), HardnessSSM(0.05, 5.0)), theirs))
    for ours, theirs in pairs:
        found, wanted = ours.of_vectors(given), theirs.compute_loss_from_embeddings(given, torch.empty(0))
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        for x in given:
            slopes = (torch.autograd.grad(value, x, retain_graph=True)[0] for value in (found, wanted))
            torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


def two_towers(words: list[str]) -> Any:
    """A small encoder of texts whose words and parts of words between signs are these."""
    host = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Punctuation, Sequence, Whitespace

    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Sequence([Whitespace(), Punctuation("removed")])
    torch.manual_seed(0)
    return host.SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=32)], device="cpu")


def train(
    model: Any, loss: nn.Module, folder: Path, anchors: list[str], positives: list[str], steps: int, batch: int = 32
) -> None:
    """Steps of SentenceTransformerTrainer."""
    import sentence_transformers as host
    from datasets import Dataset

    arguments = host.SentenceTransformerTrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=batch, learning_rate=0.05, use_cpu=True,
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    pairs = Dataset.from_dict({"anchor": anchors, "positive": positives})
    host.SentenceTransformerTrainer(model=model, args=arguments, train_dataset=pairs, loss=loss).train()


def similarities(model: Any, anchors: list[str], texts: list[str]) -> torch.Tensor:
    one, two = (model.encode(given, convert_to_tensor=True) for given in (anchors, texts))
    return unit(one) @ unit(two).T


@pytest.mark.parametrize("loss", ["sl:0.1", "soft-infonce"])
def test_a_two_tower_model_of_package_names_learns(loss: str, tmp_path: Path) -> None:
    """Pairs of a question and the name of a package; afterwards each question finds its own package."""
    questions = [f"a {role} for {topic}" for topic in TOPICS for role in ROLES]
    packages = [f"lib{topic} {role}s" for topic in TOPICS for role in ROLES]
    model = two_towers(sorted({word for text in questions + packages for word in text.split()}))

    def found() -> float:
        first = similarities(model, questions, packages).argmax(1)
        return float((first == torch.arange(len(questions))).float().mean())

    before = found()
    train(model, SentenceTransformerLoss(model, loss, mask="diagonal"), tmp_path, questions, packages, steps=60)
    assert before < 0.1
    assert found() > 0.9


def test_names_of_debian_packages_find_what_they_need(tmp_path: Path) -> None:
    """Pairs of the built-in log, a source package and one that it needs, by their names; some are held out.

    What nearly every package needs is left out: a batch repeats it, so it is its own negative.
    """
    log = debian.load()
    needed_by = np.bincount(log.indices, minlength=log.n_items)[log.indices]
    kept = np.random.default_rng(0).permutation(np.flatnonzero((needed_by >= 5) & (needed_by <= 100)))
    sources, needs = (np.array(v.decode(at[kept])) for v, at in ((log.users, log.user_of), (log.items, log.indices)))
    asked, learned = slice(500), slice(500, None)
    names = np.concatenate([sources[learned], needs[learned]])
    model = two_towers(sorted({word for name in names for word in re.split(r"[^a-z0-9]+", name)}))
    candidates, own = np.unique(needs, return_inverse=True)

    def rank() -> float:
        """Share of the candidates before the one that is needed, the mean over the pairs held out."""
        scores = similarities(model, sources[asked].tolist(), candidates.tolist())
        return float((scores > scores.gather(1, torch.from_numpy(own[asked, None]))).float().mean())

    before = rank()
    loss = SentenceTransformerLoss(model, "sl:0.1", mask="diagonal")
    train(model, loss, tmp_path, sources[learned].tolist(), needs[learned].tolist(), steps=100, batch=256)
    assert rank() < 0.8 * before
