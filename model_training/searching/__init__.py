"""The search for the best training configuration: what it tries, and the study that remembers every trial."""
