"""Tables in: source mapping, quarantine, behaviour as of a date, labels, and the text BERT reads.

``text``, ``population`` and ``features`` are plain Python: training and serving import them without Spark.
"""
