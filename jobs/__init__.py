"""Programs for spark-submit: parse, open a session, call the stages, return an exit code."""
