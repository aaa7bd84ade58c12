"""What users did as of a date: timelines, numbers, recent events, text and labels. No I/O of its own."""
