"""Makes bundles: data set, fine-tuning, metrics. Imports ulvspark, never the reverse; needs no Spark."""

import ulvspark  # noqa: F401 - before torch is imported: it sets how OpenMP's threads wait
