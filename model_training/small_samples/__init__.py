"""Learning from a few hundred labels or fewer: the samples that are drawn, and the ways to learn from them."""
