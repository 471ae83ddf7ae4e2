"""Where a figure comes from."""

from __future__ import annotations

import re

from taurec import provenance


def test_the_commit_is_that_of_the_checkout() -> None:
    assert re.fullmatch(
        r"[0-9a-f]{7,40}(-dirty)?|release|unknown|v?[\d.]+(-\d+-g[0-9a-f]+)?(-dirty)?", provenance.commit()
    )
