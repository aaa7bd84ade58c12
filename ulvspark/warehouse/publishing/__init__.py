"""From staged scores to published ones: the checks, the gates, and the commits."""
