import pytest

from rlcompress.cli.progress import SearchBar, with_point
from rlcompress.envs import Problem
from rlcompress.searches import Progress


def test_lines_tell_the_best_candidate_the_front_and_the_time_left(
    problem: Problem, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 0.0
    outcomes = [problem.evaluate(problem.space.snapped(problem.space.uniform(bits)), "test") for bits in (8, 6, 4)]
    with SearchBar(clock=lambda: seconds) as bar:
        for done in range(1, 7):
            bar(Progress("search", done, 30, 12.3, outcomes[done - 1] if done <= 3 else None))
            seconds += 2.0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "evaluations 1/30, best candidate 12.3 %, front 1"
    assert lines[-1].startswith("evaluations 6/30, best candidate 12.3 %, front ")
    assert lines[-1].endswith(", 48 s left")  # five steps took 10 seconds


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchBar(quiet=True) as bar:
        bar(Progress("search", 1, 2))
    assert capsys.readouterr().err == ""


def test_before_anything_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchBar() as bar:
        bar(Progress("search", 1, None))
    assert capsys.readouterr().err == "evaluations 1, none allowed yet, front 0\n"


def test_a_front_keeps_what_nothing_beats() -> None:
    front: list[tuple[float, float]] = []
    for point in ((50.0, 1.0), (40.0, 2.0), (60.0, 3.0), (50.0, 1.0), (60.0, 0.5)):
        front = with_point(front, point)
    assert front == [(60.0, 0.5)]
