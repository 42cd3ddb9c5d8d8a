"""srv's own gunicorn worker: an HTTP/1.1 server in which one thread leads and the others follow."""
