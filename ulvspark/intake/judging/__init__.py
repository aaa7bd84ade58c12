"""Which rows of a source are loaded: what is wrong with each, which are the same, and what a load says of them."""
