"""The network, its batches, the bundle it is kept in and the predictor that serves it. No Spark."""
