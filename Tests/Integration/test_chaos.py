"""A minute of everything at once; `Tests/chaos` runs as long as one wants."""

from Chaos.player import BROKEN_OFF, UNANSWERED
from Chaos.run import Run
from Support.case import SANITIZED, Case

SECONDS = 25

# What a machine that is busy with other things can bring about as well as a fault.
LATE = (BROKEN_OFF, UNANSWERED, "no answer after", "no answer on its stream after", "half an answer", "come to an end")


class Chaos(Case):
    seconds = 120

    def play(self, seed, **options):
        run = Run(self.folder, self.authority, seed, SECONDS, say=lambda line: None, **options)
        self.gateways.append(run.gateway)
        wrong = run.play()
        self.once = any(not any(late in what for late in LATE) for what in wrong)
        self.assertEqual(wrong, [], f"seed {seed}")
        self.assertGreater(run.counts["200"], 100 if SANITIZED else 1000, run.counts)

    def test_few_connections_and_little_time(self):
        self.play(seed=1)

    def test_default_limits(self):
        self.play(seed=2, plain_limits=True)
