"""Former public names still work and warn."""

from __future__ import annotations

import pytest

import taurec


def test_probe_is_search() -> None:
    with pytest.warns(DeprecationWarning, match=r"taurec\.probe is now taurec\.search"):
        assert taurec.probe is taurec.search
    assert "probe" not in taurec.__all__
