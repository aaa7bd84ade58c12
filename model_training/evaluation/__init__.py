"""How good a saved bundle is: measures, their uncertainty, segments, and the truth of a simulation."""
