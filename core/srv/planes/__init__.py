"""The data plane and the model plane, with what both count and limit."""
