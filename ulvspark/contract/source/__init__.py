"""A source as its YAML describes it: where its tables are, what their values mean, and the limits of a load."""
