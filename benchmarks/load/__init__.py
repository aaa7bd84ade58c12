"""The first load of a platform and the next day, beside a plain MERGE: ``python -m benchmarks.load``."""
