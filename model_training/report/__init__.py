"""The evaluation as a page, in the terminal and as files."""
