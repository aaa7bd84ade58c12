"""Runs of jobs: their rows in ``ulv_runs``, and what holds for every run from its first line to its last."""
