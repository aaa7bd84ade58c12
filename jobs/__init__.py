"""Programs for spark-submit: parse, open a session, call the pipeline of the same name, return its exit code."""
