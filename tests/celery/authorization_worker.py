"""The Python worker that Voltgate's replaces: the same task, with Celery's own options against losing tasks."""

import json
import re
import sys
import time
import urllib.request
import uuid

from celery import Celery

broker, queue_type, acl_url, node = sys.argv[1:]
app = Celery("authorization_worker", broker=broker)
app.conf.task_default_queue_type = queue_type
WELL_FORMED = re.compile("[A-Za-z0-9._~-]{20,80}")


def decide(station_id, driver_token, expiry_time_ns):
    if not WELL_FORMED.fullmatch(driver_token):
        return "invalid"
    if time.time_ns() >= expiry_time_ns:
        return "unknown"
    url = f"{acl_url}/station/{station_id}/driver/{driver_token}/acl"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return "allowed" if json.load(answer)["allowed"] else "not_allowed"


# Without acks_late and reject_on_worker_lost, Celery acknowledges a task before it runs, and loses it when it is
# killed.
@app.task(
    name="authorization_worker.tasks.authorize",
    bind=True,
    ignore_result=True,
    acks_late=True,
    reject_on_worker_lost=True,
)
def authorize(self, station_id: uuid.UUID, driver_token, callback_url, expiry_time_ns):
    status = decide(station_id, driver_token, expiry_time_ns)
    body = {"station_id": str(station_id), "driver_token": driver_token, "status": status}
    headers = {"content-type": "application/json", "webhook-id": self.request.id, "user-agent": "python"}
    request = urllib.request.Request(callback_url, json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=30).close()


app.worker_main(["worker", "--pool=prefork", "-c", "4", "-n", node, "--loglevel=INFO", "-Q", "celery"])
