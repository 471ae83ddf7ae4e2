import pytest

from taurec.errors import DataError, UsageError
from taurec.studies.audit.fairness.groups import read_attribute


def write(tmp_path, text, name="users.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_a_column_as_text(tmp_path):
    path = write(tmp_path, 'userId,age,name\n007, 30 ,"Bo, x"\n\n8,31,Z\n7,,Z\n8,31,Z\n')
    assert read_attribute(path, "age") == (["007", "8", "7"], ["30", "31", ""])


def test_tabs_a_mark_and_a_named_column(tmp_path):
    path = write(tmp_path, "\ufeffwho\tland\nann\tfi\n", "users.tsv")
    assert read_attribute(path, "land", user="who") == (["ann"], ["fi"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "users.csv:1: empty file"),
        ("user,age\nann\n", "users.csv:2: 1 cells, and the header has 2"),
        ("user,age\n ,1\n", "users.csv:2: no user id in column 'user'"),
        ("user,age\nann,1\nbob,2\nann,2\n", "users.csv:4: user 'ann' has age '2' here and '1' before"),
    ],
)
def test_faults_in_a_file(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_attribute(write(tmp_path, text), "age")


@pytest.mark.parametrize(
    ("text", "user", "said"),
    [
        ("user,ages\n", None, "no column 'age'; did you mean 'ages'?"),
        ("who,age\n", None, "none of the columns who, age has a usual name"),
        ("user,uid,age\n", None, "several of the columns"),
        ("who,age\n", "whom", "no column 'whom'; did you mean 'who'?"),
        ("age,b\n", "age", "no column 'age'"),
    ],
)
def test_columns_that_are_not_there(tmp_path, text, user, said):
    with pytest.raises(UsageError) as caught:
        read_attribute(write(tmp_path, text), "age", user)
    assert said in str(caught.value)


def test_no_file_and_no_utf_8(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_attribute(tmp_path / "none.csv", "age")
    with pytest.raises(DataError, match="not UTF-8"):
        read_attribute(write(tmp_path, "user,age\nannø,1\n", encoding="latin-1"), "age")
