#!/usr/bin/env bash
# celery-ts 1.2.3 (npm) with Celery 5.7.0: the soft and the hard time limit are swapped. Celery's header `timelimit` is
# [hard, soft]; celery-ts sends [soft, hard]. With a soft limit of 10 and a hard limit of 20 seconds, a worker kills the
# task after 10 seconds, and the exception of the soft limit, which the task could catch, is never raised.
#
# Seen on Node.js 20.20.2 and Python 3.11.7 with Redis 7.0.15 as broker and result backend:
#   softTimeLimit 10, hardTimeLimit 20: the worker reads {"hard":10,"soft":20}
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
venv/bin/pip -q --disable-pip-version-check install celery==5.7.0 redis==8.1.0 packaging==25.0
npm --silent --prefix "$folder" install celery-ts@1.2.3
PORT=$(venv/bin/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT
redis-server --port "$PORT" --bind 127.0.0.1 --save '' --dir "$folder" > redis.log &
started+=("$!")
until redis-cli -p "$PORT" ping > ping.log 2>&1; do sleep 0.1; done

cat > tasks.py <<'PYTHON'
import os

from celery import Celery

url = f"redis://127.0.0.1:{os.environ['PORT']}"
app = Celery("tasks", broker=url, backend=url)


# Celery's own names for the two limits, as its worker reads the message.
@app.task(name="limits", bind=True)
def limits(self):
    hard, soft = self.request.timelimit
    return {"hard": hard, "soft": soft}


# Celery's own client, to compare.
def by_celery():
    return limits.apply_async(soft_time_limit=10, time_limit=20).get(timeout=20)
PYTHON
venv/bin/celery -A tasks worker --pool solo --loglevel INFO > worker.log 2>&1 &
started+=("$!")

cat > client.js <<'NODE'
const Celery = require("celery-ts");
const url = `redis://127.0.0.1:${process.env.PORT}`;
const appId = "3f0c2a52-5a3a-4f0b-9f0e-6f0d5c1b7a11";
const task = new Celery.Task({
    appId,
    backend: Celery.createBackend(appId, url),
    brokers: [Celery.createBroker(url)],
    failoverStrategy: (brokers) => brokers[0],
    name: "limits",
    softTimeLimit: 10,
    hardTimeLimit: 20,
});
task.applyAsync({ args: [], kwargs: {} }).get(20000).then((limits) => {
    console.log(`softTimeLimit 10, hardTimeLimit 20: the worker reads ${JSON.stringify(limits)}`);
    process.exit(0);
});
NODE
node client.js | tee seen
venv/bin/python -c 'import json, tasks; print("Celery, the same limits:", json.dumps(tasks.by_celery()))' | tee -a seen

if ! grep -q 'reads {"hard":10,"soft":20}' seen || ! grep -q 'limits: {"hard": 20, "soft": 10}' seen; then
    echo "The behaviour has changed: celery-ts no longer swaps the two time limits." >&2
    exit 1
fi
