"""The parts of scripts/pictures."""
