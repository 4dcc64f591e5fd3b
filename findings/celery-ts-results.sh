#!/usr/bin/env bash
# celery-ts 1.2.3 (npm) with Celery 5.7.0: `Result.get()` never rejects for a task that failed, and does not wait for a
# task that has only started. It returns the field `result` of the first message about the task, whatever its `status`
# is. So a caller cannot distinguish a failure from a result, and with `task_track_started` it receives the worker's pid
# and host instead of the result.
#
# Seen on Node.js 20.20.2 and Python 3.11.7 with Redis 7.0.15 as broker and result backend:
#   add(1, 2): resolved with 3
#   a task that raises ValueError: resolved with {"exc_type":"ValueError","exc_message":["wrong"],"exc_module":"builtins"}
#   a task that runs for a second, with track_started: resolved with {"pid":…,"hostname":"celery@…"}
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
import time

from celery import Celery

url = f"redis://127.0.0.1:{os.environ['PORT']}"
app = Celery("tasks", broker=url, backend=url)


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("wrong")


@app.task(name="slow", track_started=True)
def slow():
    time.sleep(1)
    return "the result"
PYTHON
venv/bin/celery -A tasks worker --pool solo --loglevel INFO > worker.log 2>&1 &
started+=("$!")

cat > client.js <<'NODE'
const Celery = require("celery-ts");
const url = `redis://127.0.0.1:${process.env.PORT}`;
const client = Celery.createClient({ brokerUrl: url, resultBackend: url });

async function call(what, name, args) {
    const result = client.createTask(name).applyAsync({ args, kwargs: {} });
    const ended = await result.get(20000).then(
        (value) => `resolved with ${JSON.stringify(value)}`,
        (error) => `rejected with ${error}`,
    );
    console.log(`${what}: ${ended}`);
}

(async () => {
    await call("add(1, 2)", "add", [1, 2]);
    await call("a task that raises ValueError", "fail", []);
    await call("a task that runs for a second, with track_started", "slow", []);
    process.exit(0);
})();
NODE
node client.js | tee seen

if ! grep -q 'ValueError: resolved with {"exc_type"' seen || ! grep -q 'track_started: resolved with {"pid"' seen; then
    echo "The behaviour has changed: celery-ts looks at the status of a result." >&2
    exit 1
fi
