"""Reads a company's tables: maps them to the contract, checks each row, and puts prices into words."""
