from taurec.data.check import check as look
from taurec.data.interactions import Interactions
from taurec.report.terminal import parts
from taurec.studies.check import LogCheck, check, day
from taurec.studies.names import Hashed


def lines_of(found, width=80):
    import io

    from rich.console import Console

    stream = io.StringIO()
    for part in parts(found, width):
        Console(file=stream, width=width).print(part)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_figures_of_a_small_log():
    log = Interactions.from_pairs([0, 0, 1], [0, 1, 0], time=[0.0, 86400.0, 3.0])
    lines = lines_of(LogCheck("a.csv", (), look(log), {}))
    assert lines[0] == "a.csv"
    assert "pairs 3 (75.000% of all user-item pairs)" in lines
    assert "times 1970-01-01 to 1970-01-02" in lines
    assert "a user 1 1 1 1 1 1 2" in lines


def test_warnings_come_first_and_are_counted():
    log = Interactions.from_pairs([0, 1, 1], [0, 0, 1], time=[7.0, 7.0, 7.0])
    found = LogCheck("a.csv", (), look(log), {})
    levels = [row[0] for row in found.tables()[-1].rows]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == "warning"
    assert found.verdict()[0].startswith("1 warning, 4 notes")


def test_days_no_calendar_has():
    assert (day(-86400.0), day(float("1e300"))) == ("1969-12-31", "1e+300")


def test_hashed_names_leave_no_id_anywhere(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\nAnna,tea\nanna,tea\nBert,null\n")
    plain, hashed = (str(check(str(path), reading={}, names=names).document()) for names in (None, Hashed("salt")))
    assert "Anna" in plain
    assert "null" in plain
    assert "Anna" not in hashed
    assert "'null'" not in hashed
    assert "user-" in hashed
