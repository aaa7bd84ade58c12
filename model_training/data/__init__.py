"""The training set: read from Delta, split by date and user, made into batches."""
