"""A training run on its machine: its folder, devices, progress, trackers and summary."""
