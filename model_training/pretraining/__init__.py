"""Teach a base model the language of behaviour without labels: its texts, and the two methods."""
