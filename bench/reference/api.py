"""The API: accepts a request, publishes it as a task, and answers 202 after the broker's confirm."""

import time
import uuid

from flask import Flask, request

from tasks import app as celery
from tasks import authorize

TIMEOUT_NS = 5 * 10**9

app = Flask(__name__)


@app.route("/station/<uuid:station_id>/driver/<driver_token>/authorize", methods=["GET", "POST"])
def ask(station_id, driver_token):
    given = request.get_json(silent=True) or request.values
    callback_url = given.get("callback_url", "")
    if not callback_url.startswith(("http://", "https://")):
        return {"title": "callback_url is missing or no URL"}, 400
    request_id = str(uuid.uuid4())
    arguments = (station_id, driver_token, callback_url, time.time_ns() + TIMEOUT_NS)
    try:
        authorize.apply_async(arguments, task_id=request_id, retry=False)
    except celery.connection_for_write().connection_errors:
        return {"title": "the broker did not confirm"}, 503, {"Retry-After": "1"}
    message = "Request is being processed asynchronously. The result will be sent to the provided callback URL."
    return {"status": "accepted", "message": message, "request_id": request_id}, 202


@app.get("/readyz")
def ready():
    return {"status": "ready"}
