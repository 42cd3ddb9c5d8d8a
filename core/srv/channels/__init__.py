"""Channels between the processes of a server: frames over a Unix socket, tensors in shared memory, nothing pickled."""
