"""How good a saved bundle is: measures, their uncertainty, segments, and the report."""
