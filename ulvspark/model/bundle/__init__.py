"""A trained model as a folder: written whole, checked when loaded, kept in a store."""
