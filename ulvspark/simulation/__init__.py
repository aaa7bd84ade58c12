"""A platform whose truth is known: users, products, what was bought and said, and why. Numpy over blocks of users."""
