"""What is fitted around a fine-tuned network: trees, a linear model, their weights, the calibration."""
