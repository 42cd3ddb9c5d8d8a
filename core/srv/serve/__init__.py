"""The processes: a launcher that holds the ports, gunicorn's master in it, and the workers that it forks."""
