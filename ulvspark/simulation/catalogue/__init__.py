"""What a simulated platform sells: products, their words, prices, pictures, and how they belong together."""
