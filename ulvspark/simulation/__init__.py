"""A platform with known truth: users with latent value, churn hazard and price elasticity, and what they did."""
