"""Samples taken in quiet moments: other users of the machine must not decide what is faster. Pure, but for what it
is given."""
import time

LEAST_SHARE = 0.9  # Of the best look of the run that the looks before and behind a sample must reach.
TRIES = 6  # Of one sample.
WAITS = 40  # Looks before one try, PAUSE_S apart.
PAUSE_S = 0.5
FIRST_LOOKS = 20  # That say how fast the processors are when nobody disturbs them.


class Samples(list):
    """Values, how many others were thrown away because the machine was busy before or behind them, and how many of
    these were kept all the same, after too many tries or when the patience of the run was at its end."""

    def __init__(self, values=(), rejected=0, busy=0):
        super().__init__(values)
        self.rejected, self.busy = rejected, busy

    def map(self, function):
        """The same samples in another unit, or one of their parts."""
        return Samples(map(function, self), self.rejected, self.busy)


class QuietMoments:
    """`look()` gives speeds, the same ones in every call; `patience_s` is what a run waits and repeats at most."""

    def __init__(self, look, patience_s, clock=time.monotonic, pause=time.sleep):
        self.look, self.patience_s, self.clock, self.pause = look, patience_s, clock, pause
        self.best, self.rejected, self.busy = None, 0, 0
        for _ in range(FIRST_LOOKS):
            self.share()

    def share(self):
        """The least of the speeds now, as a share of the best of the run."""
        now = self.look()
        self.best = [max(pair) for pair in zip(now, self.best or now)]
        return min(speed / best for speed, best in zip(now, self.best))

    def is_quiet(self):
        return self.share() >= LEAST_SHARE

    def wait(self):
        """Until a look finds the machine quiet; whether one did."""
        start, quiet = self.clock(), False
        for _ in range(WAITS):
            quiet = self.is_quiet()
            if quiet or self.patience_s <= self.clock() - start:
                break
            self.pause(PAUSE_S)
        self.patience_s -= self.clock() - start
        return quiet

    def take(self, function, samples):
        """Appends one value of the function, of a quiet moment if one is found."""
        for attempt in range(TRIES):
            quiet = self.wait()
            start = self.clock()
            value = function()
            quiet = self.is_quiet() and quiet
            if quiet or attempt == TRIES - 1 or self.patience_s <= 0:
                break
            self.patience_s -= self.clock() - start
            samples.rejected += 1
            self.rejected += 1
        if not quiet:
            samples.busy += 1
            self.busy += 1
        samples.append(value)

    def describe(self):
        return {"least_share": LEAST_SHARE, "best": self.best, "rejected": self.rejected, "busy": self.busy}
