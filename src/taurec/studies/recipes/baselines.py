"""Popularity, EASE and iALS on every set of the tables, at their best setting on validation."""

from __future__ import annotations

from taurec.studies.recipes.recipe import Published, Recipe

BARS = "BARS leaderboard (repository reczoo/BARS)"
CLAIM = "compared with every row of its set, at its best setting on validation"


def _row(data: str, model: str, published: Published | None = None) -> Recipe:
    return Recipe(data, {"model": model}, published, claim=CLAIM, usual_epochs=1, select="ndcg@20")


def yelp2018_popularity() -> Recipe:
    """Popularity on Yelp2018."""
    return _row("yelp2018", "popularity")


def yelp2018_ials() -> Recipe:
    """iALS on Yelp2018."""
    return _row("yelp2018", "ials")


def yelp2018_ease() -> Recipe:
    """EASE on Yelp2018: a dense matrix of 38,048 x 38,048."""
    return _row("yelp2018", "ease", Published(0.0657, 0.0552, BARS))


def gowalla_popularity() -> Recipe:
    """Popularity on Gowalla."""
    return _row("gowalla", "popularity")


def gowalla_ials() -> Recipe:
    """iALS on Gowalla."""
    return _row("gowalla", "ials")


def gowalla_ease() -> Recipe:
    """EASE on Gowalla: a dense matrix of 40,981 x 40,981."""
    return _row("gowalla", "ease", Published(0.1765, 0.1467, BARS))


def movielens_1m_popularity() -> Recipe:
    """Popularity on MovieLens-1M."""
    return _row("movielens-1m", "popularity")


def movielens_1m_ials() -> Recipe:
    """iALS on MovieLens-1M."""
    return _row("movielens-1m", "ials")


def movielens_1m_ease() -> Recipe:
    """EASE on MovieLens-1M."""
    return _row("movielens-1m", "ease")


def electronics_popularity() -> Recipe:
    """Popularity on Amazon-Electronics."""
    return _row("amazon-electronics", "popularity")


def electronics_ials() -> Recipe:
    """iALS on Amazon-Electronics."""
    return _row("amazon-electronics", "ials")


def electronics_ease() -> Recipe:
    """EASE on Amazon-Electronics."""
    return _row("amazon-electronics", "ease")
