"""The tables of a company as Spark frames, and what is said where one cannot be read."""
