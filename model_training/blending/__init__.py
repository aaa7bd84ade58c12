"""Fits what a bundle holds beside its network: trees, a linear model, the weights of the parts, a calibration."""
