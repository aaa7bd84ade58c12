"""What every training run needs around it: its folder, device, progress, trackers and report."""
