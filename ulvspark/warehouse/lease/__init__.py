"""Leases: of several runs that write the same tables of a warehouse, one writes and the others wait or come again.

A lease is a small record below the warehouse's root. A run takes it, renews it while it works, and gives it back. A run
that was killed renews nothing, so its lease expires. Each taking raises the lease's number: whoever has lost the lease
without noticing finds a higher number before it commits.
"""

from typing import Final

INPUTS: Final = "inputs"
SCORES: Final = "scores"
TRAINING: Final = "training"
LOG: Final = "log"

NAMES = (INPUTS, SCORES, TRAINING, LOG)
"""All leases, in the order in which a run takes those it needs: so no two runs wait for each other.

``inputs``: events, products, users, quarantine. ``scores``: timelines, caches of vectors, score tables. ``training``:
training sets. ``log``, for the seconds of one commit: ulv_runs, ulv_published, populations.
"""
