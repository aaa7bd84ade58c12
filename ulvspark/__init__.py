"""ulvspark: nightly user value scores from a fine-tuned BERT, on Spark and Delta."""

import os

__version__ = "0.1.0"

# torch computes with OpenMP, whose idle threads by default keep a core busy while they wait. On a host where another
# process is busy, a training step then takes 540 to 700 ms; with threads that sleep while they wait it takes 48 to 72.
# OpenMP reads this once, when torch is loaded, so it stands here: our programs and Spark's Python workers import
# ulvspark before torch. A value that the user has set is kept.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
