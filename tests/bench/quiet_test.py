"""Which samples are kept, which are taken again, and that it ends."""
import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import quiet
from quiet import QuietMoments, Samples


class Machine:
    """Looks that follow each other as told, the last one for ever; a clock that pauses, looks and work move."""

    def __init__(self, looks, work_s=10):
        self.looks = iter(itertools.chain([[1.0, 1.0]] * quiet.FIRST_LOOKS, looks, itertools.repeat(looks[-1])))
        self.now, self.work_s, self.runs = 0, work_s, 0

    def look(self):
        return next(self.looks)

    def pause(self, seconds):
        self.now += seconds

    def work(self):
        self.now += self.work_s
        self.runs += 1
        return self.runs

    def moments(self, patience_s=1000):
        return QuietMoments(self.look, patience_s, clock=lambda: self.now, pause=self.pause)


QUIET, AT_LIMIT, BUSY, HALF_BUSY = [1.0, 1.0], [0.9, 1.0], [0.8, 0.8], [1.0, 0.89]


@pytest.mark.parametrize("looks, kept, rejected", [
    ([QUIET, QUIET], 1, 0),
    ([AT_LIMIT, AT_LIMIT], 1, 0),
    ([QUIET, BUSY, QUIET, QUIET], 2, 1),
    ([QUIET, HALF_BUSY, QUIET, QUIET], 2, 1),  # One kind of work on one processor is enough.
    ([QUIET, BUSY] * 5 + [QUIET], 6, 5),
])
def test_a_sample_is_taken_again_until_the_look_behind_it_is_quiet(looks, kept, rejected):
    machine, samples = Machine(looks), Samples()
    machine.moments().take(machine.work, samples)
    assert (samples, samples.rejected, samples.busy) == ([kept], rejected, 0)


def test_it_waits_for_a_quiet_moment_before_it_runs():
    machine, samples = Machine([BUSY, BUSY, BUSY, QUIET, QUIET]), Samples()
    machine.moments().take(machine.work, samples)
    assert machine.runs == 1 and samples.rejected == 0 and machine.now == 3 * quiet.PAUSE_S + machine.work_s


def test_the_last_of_too_many_tries_is_kept_and_counted():
    machine, samples = Machine([BUSY]), Samples()
    moments = machine.moments()
    moments.take(machine.work, samples)
    assert (samples, samples.rejected, samples.busy) == ([quiet.TRIES], quiet.TRIES - 1, 1)
    assert machine.now == quiet.TRIES * (quiet.WAITS * quiet.PAUSE_S + machine.work_s)
    assert moments.describe() == {"least_share": 0.9, "best": [1.0, 1.0], "rejected": 5, "busy": 1}


def test_patience_is_of_the_whole_run():
    """Waiting costs 20 s a try and a rejected sample 10."""
    machine, samples = Machine([BUSY]), Samples()
    moments = machine.moments(patience_s=45)
    for _ in range(4):
        moments.take(machine.work, samples)
    assert (len(samples), samples.busy, samples.rejected) == (4, 4, 1)
    assert machine.now < 45 + 4 * machine.work_s + quiet.WAITS * quiet.PAUSE_S


def test_a_better_look_raises_what_counts_as_quiet():
    machine = Machine([[2.0, 1.0], QUIET, QUIET])
    moments = machine.moments()
    assert moments.is_quiet() and not moments.is_quiet() and moments.best == [2.0, 1.0]


def test_the_same_samples_in_another_unit_keep_their_counts():
    doubled = Samples([1, 2], rejected=3, busy=1).map(lambda value: 2 * value)
    assert (doubled, doubled.rejected, doubled.busy) == ([2, 4], 3, 1)
