"""The pool of threads: each task once, errors come back, callers from several threads."""

import threading

import pytest

from taurec.kernels import pool


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_task_runs_once(threads):
    seen = []
    pool.run(seen.append, 100, threads)
    assert sorted(seen) == list(range(100))
    pool.run(seen.append, 0, threads)
    assert len(seen) == 100


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_here(threads):
    def task(index):
        if index == 3:
            raise ZeroDivisionError("three")

    with pytest.raises(ZeroDivisionError, match="three"):
        pool.run(task, 10, threads)
    seen = []
    pool.run(seen.append, 4, threads)
    assert sorted(seen) == [0, 1, 2, 3]


def test_callers_do_not_disturb_each_other():
    totals = {}

    def caller(name):
        seen = []
        for _ in range(20):
            pool.run(seen.append, 10, 2)
        totals[name] = sum(seen)

    callers = [threading.Thread(target=caller, args=(name,)) for name in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(timeout=30)
    assert totals == dict.fromkeys(range(4), 20 * 45)
