import pytest

from taurec.errors import UsageError
from taurec.studies.names import LENGTH, Hashed


def test_equal_for_equal_ids_within_one_salt_only():
    a, b = Hashed("one"), Hashed("two")
    assert a.user("7") == Hashed("one").user("7")
    assert a.user("7") != b.user("7")
    assert a.user("7")[5:] != a.item("7")[5:]
    assert a.items(["x", "y", "x"])[0] == a.items(["x", "y", "x"])[2]


def test_without_a_salt_nobody_can_try_ids_out():
    assert Hashed().user("7") != Hashed().user("7")
    assert "salt" not in repr(Hashed())


def test_short_and_distinct():
    texts = Hashed("s").users(map(str, range(50_000)))
    assert len(set(texts)) == 50_000
    assert {len(t) for t in texts} == {len("user-") + LENGTH}


def test_any_text_is_an_id():
    assert len({Hashed("s").item(t) for t in ("", " ", "é", "\ud800", "<b>")}) == 5


@pytest.mark.parametrize("salt", ["", "x" * 65, "é" * 33])
def test_a_salt_of_another_length_is_refused(salt):
    with pytest.raises(UsageError, match="1 to 64 bytes"):
        Hashed(salt)
