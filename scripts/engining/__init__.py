"""What `scripts/engine` is made of."""
