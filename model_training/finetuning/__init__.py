"""Fine-tuning a base model: configuration, phases, which weights learn, and the bundle it ends in."""
