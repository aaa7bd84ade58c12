"""What users did before a date: timelines, numbers, recent events and their text, and labels. No files are read."""
