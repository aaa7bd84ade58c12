"""What changed in a table since a version of it, so that tables made from it and loads into it read only that."""
