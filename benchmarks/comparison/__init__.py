"""What bench compares: users, the encoders that score them, their memory, and the tables of the results."""
