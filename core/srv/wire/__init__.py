"""Tensors as bytes and text, in the forms that both faces read and write."""
