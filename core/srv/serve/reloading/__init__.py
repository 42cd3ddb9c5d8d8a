"""`srv start --reload`: what changes on disk while somebody develops is taken in, and what is broken is not."""
