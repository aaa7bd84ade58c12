"""The columns of a mapping: what may be mapped, what an expression gives, and the value that becomes of it."""
