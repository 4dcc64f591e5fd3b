"""Celery's worker for its own integration tests, in a process of its own: what ours is compared with."""

import os

from celery import Celery

app = Celery("python_worker", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BACKEND"])
app.set_default()

from t.integration import tasks  # noqa: E402, the app has to be there first

app.register_task(tasks.ClassBasedAutoRetryTask())
