"""Models: loaded, kept and unloaded, each with the modules of its own folder."""
