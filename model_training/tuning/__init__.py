"""Which weights learn, and how fast: freezing, layer-wise learning rates, adapters."""
