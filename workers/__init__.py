"""The worker processes: Celery tasks that find their use case and call it, and the scheduler's loop."""
