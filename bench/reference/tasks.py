"""The task: decide one request, write the record, call the client back. It uses Celery's own features throughout."""

import os
import re
import time
from pathlib import Path

import redis
import requests
from celery import Celery
from celery.signals import worker_process_init, worker_ready

TOKEN = re.compile(r"[A-Za-z0-9\-._~]{20,80}")
ACL = os.environ.get("AUTHORIZATION_SERVICE_URL", "")
CALLBACK_TIMEOUT = 5
RETENTION = 30 * 24 * 3600
MAX_ATTEMPTS = 8

app = Celery("authorization_worker", broker=os.environ["BROKER_URL"])
app.conf.update(
    # The same safety as Voltgate: quorum queue, persistent messages, confirms, acknowledged when done.
    task_default_queue_type="quorum",
    task_default_delivery_mode="persistent",
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_detect_quorum_queues=True,
    # Results and events are not used.
    task_ignore_result=True,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_pool_limit=32,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
)

# One of each per process of the pool, created after the fork, so that connections are kept alive and not shared.
http = None
records = None


@worker_process_init.connect
def connect(**_):
    global http, records
    http = requests.Session()
    # Otherwise each request looks for proxies in the environment and for passwords in ~/.netrc.
    http.trust_env = False
    records = redis.Redis.from_url(os.environ["REDIS_URL"])


@worker_ready.connect
def ready(**_):
    Path(os.environ["READY_FILE"]).touch()


def decide(station_id, driver_token, expiry_time_ns):
    if not TOKEN.fullmatch(driver_token):
        return "invalid"
    while (left := (expiry_time_ns - time.time_ns()) / 1e9) > 0:
        try:
            answer = http.get(f"{ACL}/station/{station_id}/driver/{driver_token}/acl", timeout=left)
            answer.raise_for_status()
            return "allowed" if answer.json()["allowed"] else "not_allowed"
        except requests.RequestException:
            time.sleep(0.1)
    return "unknown"


@app.task(bind=True, name="authorization_worker.tasks.authorize", max_retries=MAX_ATTEMPTS - 1)
def authorize(self, station_id, driver_token, callback_url, expiry_time_ns, record=None, status=None):
    if record is None:
        record = f"log:authorize:{time.time_ns()}:{station_id}:{driver_token}"
        status = decide(station_id, driver_token, expiry_time_ns)
        decision = {
            "station_id": str(station_id),
            "driver_token": driver_token,
            "status": status,
            "callback_url": callback_url,
            "callback_status": "pending",
            "request_id": self.request.id,
        }
        # The record is written before the callback.
        with records.pipeline(transaction=False) as pipe:
            pipe.hset(record, mapping=decision).expire(record, RETENTION).execute()
    body = {"station_id": str(station_id), "driver_token": driver_token, "status": status}
    try:
        answer = http.post(
            callback_url,
            json=body,
            headers={"webhook-id": self.request.id, "webhook-timestamp": str(int(time.time()))},
            timeout=CALLBACK_TIMEOUT,
            allow_redirects=False,
        )
        records.hset(record, "callback_status", answer.status_code)
        answer.raise_for_status()
    except requests.RequestException as error:
        arguments = (station_id, driver_token, callback_url, expiry_time_ns, record, status)
        raise self.retry(args=arguments, exc=error, countdown=2**self.request.retries)
