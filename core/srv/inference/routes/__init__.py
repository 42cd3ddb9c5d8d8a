"""Routes of runtimes: paths that a runtime's class declares, and the methods that answer there."""
