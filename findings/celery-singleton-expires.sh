#!/usr/bin/env bash
# celery-singleton 0.3.1 with Celery 5.7.0 and Redis: a task that expires before a worker takes it blocks its name and
# arguments for ever. The lock is released in on_success and on_failure, and Celery calls neither for a task that it
# revokes because of `expires`. With the default `lock_expiry` (none) every later call returns the revoked task's
# result, and nothing is published.
#
# Seen on Python 3.11.7 with Redis 7.0.15:
#   the first call, with expires=1, while no worker runs: REVOKED
#   the second call, with a worker that waits for work: the first call's id, REVOKED
#   the lock: still there, expires: never
set -euo pipefail
folder=$(mktemp -d)
started=()
cleanup() {
    for process in "${started[@]}"; do kill "$process" 2> "$folder/kill.log" || true; done
    wait
    rm -rf "$folder"
}
trap cleanup EXIT
cd "$folder"

"${PYTHON:-python3}" -m venv venv
venv/bin/pip -q --disable-pip-version-check install celery==5.7.0 celery-singleton==0.3.1 redis==8.1.0 packaging==25.0
PORT=$(venv/bin/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT
redis-server --port "$PORT" --bind 127.0.0.1 --save '' --dir "$folder" > redis.log &
started+=("$!")

cat > tasks.py <<'PYTHON'
import os

from celery import Celery
from celery_singleton import Singleton

url = f"redis://127.0.0.1:{os.environ['PORT']}"
app = Celery("tasks", broker=url, backend=url)


@app.task(base=Singleton)
def add(x, y):
    return x + y
PYTHON

cat > client.py <<'PYTHON'
import os
import sys
import time

import redis

from tasks import add

step = sys.argv[1]
if step == "publish":
    print(add.apply_async((1, 2), expires=1).id)
else:
    first = add.AsyncResult(sys.argv[2])
    until = time.monotonic() + 30
    while not first.ready() and time.monotonic() < until:
        time.sleep(0.1)
    print(f"the first call, with expires=1, while no worker runs: {first.state}")
    second = add.delay(1, 2)
    time.sleep(3)
    which = "the first call's id" if second.id == first.id else "an id of its own"
    print(f"the second call, with a worker that waits for work: {which}, {second.state}")
    store = redis.Redis(port=int(os.environ["PORT"]))
    for lock in store.keys("SINGLETONLOCK*"):
        print(f"the lock: still there, expires: {'never' if store.ttl(lock) == -1 else store.ttl(lock)}")
PYTHON

until redis-cli -p "$PORT" ping > ping.log 2>&1; do sleep 0.1; done
first=$(venv/bin/python client.py publish)
sleep 2
venv/bin/celery -A tasks worker --pool solo --loglevel INFO > worker.log 2>&1 &
started+=("$!")
venv/bin/python client.py observe "$first" | tee seen

if ! grep -q "first call's id, REVOKED" seen || ! grep -q 'still there, expires: never' seen; then
    echo "The behaviour has changed: an expired task no longer keeps celery-singleton's lock." >&2
    exit 1
fi
