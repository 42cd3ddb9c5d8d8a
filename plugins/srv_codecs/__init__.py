"""The codecs that come with srv: np and str, each registered by an entry point of its own."""
