"""Inference with one model: a request is checked, decoded, batched, run and encoded."""
