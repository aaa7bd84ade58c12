"""A loaded bundle at work: histories to vectors, vectors and numbers to scores."""
