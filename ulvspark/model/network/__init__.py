"""The neural network: the base encoder's vectors, a user's events in sequence, and the heads."""
