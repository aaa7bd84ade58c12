"""Makes bundles: data set, fine-tuning, metrics. Imports ulvspark, never the reverse; needs no Spark."""
