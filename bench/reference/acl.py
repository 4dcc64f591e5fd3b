"""The access lists over HTTP: sets in Redis, as acl-service keeps them."""

import os

import redis
from flask import Flask, request

app = Flask(__name__)
lists = redis.Redis.from_url(os.environ["REDIS_URL"])


def key(station_id):
    return f"station:{station_id}:allowlist"


@app.get("/station/<uuid:station_id>/driver/<driver_token>/acl")
def check(station_id, driver_token):
    return {"allowed": bool(lists.sismember(key(station_id), driver_token))}


@app.put("/station/<uuid:station_id>/acl")
def allow(station_id):
    lists.sadd(key(station_id), *request.get_json()["driver_tokens"])
    return {"success": True, "new_size": lists.scard(key(station_id))}


@app.get("/readyz")
def ready():
    lists.ping()
    return {"status": "ready"}
