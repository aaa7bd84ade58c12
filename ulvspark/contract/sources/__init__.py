"""What a source's YAML says beside where its tables are: about values, and limits of a load."""
