"""A minute of everything at once; `Tests/chaos` runs as long as one wants."""

from Chaos.run import Run
from Support.case import SANITIZED, Case

SECONDS = 25


class Chaos(Case):
    seconds = 120

    def play(self, seed, **options):
        run = Run(self.folder, self.authority, seed, SECONDS, say=lambda line: None, **options)
        self.gateways.append(run.gateway)
        self.assertEqual(run.play(), [], f"seed {seed}")
        self.assertGreater(run.counts["200"], 100 if SANITIZED else 1000, run.counts)

    def test_few_connections_and_little_time(self):
        self.play(seed=1)

    def test_default_limits(self):
        self.play(seed=2, plain_limits=True)
