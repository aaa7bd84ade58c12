"""How fast a platform is simulated, whether its truths can be found, and how it compares with real platforms."""
