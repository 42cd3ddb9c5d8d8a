"""The codecs that come with srv: np, str, base64, datetime, json and pd, each registered by an entry point of its own."""
