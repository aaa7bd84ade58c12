"""What made-up users did, by head, with the labels that a test is not about filled in."""

import numpy as np

from model_training.data.outcome import Outcome


def outcome(
    users: int,
    *,
    spend: np.ndarray | None = None,
    churn: np.ndarray | None = None,
    tier: np.ndarray | None = None,
    price_sensitivity: np.ndarray | None = None,
    orders: np.ndarray | None = None,
) -> Outcome:
    """By default all spend 1 in one order, nobody leaves, all are in tier 0, and no price sensitivity is known."""
    return Outcome(
        {
            "tier": np.zeros(users, np.int64) if tier is None else tier.astype(np.int64),
            "spend": np.ones(users) if spend is None else spend,
            "churn": np.zeros(users) if churn is None else churn,
            "price_sensitivity": np.full(users, np.nan) if price_sensitivity is None else price_sensitivity,
            "orders": np.ones(users) if orders is None else orders,
        }
    )
