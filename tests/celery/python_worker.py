"""Celery's worker for its own integration tests, in a separate process, as the reference for ours."""

import os

from celery import Celery

app = Celery("python_worker", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BACKEND"])
app.set_default()

from t.integration import tasks  # noqa: E402, the app has to exist first

app.register_task(tasks.ClassBasedAutoRetryTask())
