"""Model processes: models that run in processes of their own, which a supervisor starts, watches and replaces."""
