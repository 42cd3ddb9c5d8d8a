"""The diagnostics of `srv doctor`: each module examines one subject and returns findings."""
