"""What a bundle blends: predictions of the network, trees and a linear model, then calibrated."""
