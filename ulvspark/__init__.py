"""ulvspark: nightly user value scores from a fine-tuned BERT, on Spark and Delta."""

__version__ = "0.1.0"
