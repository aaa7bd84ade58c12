"""A file a job: the story of each program from top to bottom."""
