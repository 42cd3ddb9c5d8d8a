"""srv: a model-inference server that discovers everything it can do. The front door for people who write plugins."""
