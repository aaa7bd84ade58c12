"""Spark around the model: encode who changed, decide for everyone, give tiers."""
