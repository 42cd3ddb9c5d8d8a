"""The REST face: the Open Inference Protocol as a Falcon app."""
