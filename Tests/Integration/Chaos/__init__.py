"""Everything at once, from a seed: clients that leave, upstreams that lie, names that are slow, reloads, lost hours.

What must hold through all of it: an answer is wholly its own asker's or visibly broken, nobody waits without an end,
and when all have left, nothing is left of them.
"""
