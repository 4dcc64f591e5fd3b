#!/usr/bin/env bash
# danihodovic's celery-exporter (PyPI: prometheus-exporter-celery 0.11.2) with Celery 5.5.3: a task that has expired is
# counted as a revoked task of the name `None`. For such a task a worker sends `task-revoked` without `task-received`,
# and only the latter carries the name. So an alert on revoked tasks of one name never fires for expired ones.
#
# Seen on Python 3.11.7 with Redis 7.0.15 as broker, after one call of `add` and one with `expires` in the past:
#   celery_task_succeeded_total{…,name="add",queue_name="celery"} 1.0
#   celery_task_revoked_total{…,name="None",queue_name="celery"} 1.0
#   celery_task_revoked_total{…,name="add",queue_name="celery"} 0.0
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

# The exporter requires Python 3.11 or 3.12.
"${PYTHON:-python3}" -m venv venv
venv/bin/pip -q --disable-pip-version-check install celery==5.5.3 kombu==5.5.4 prometheus-exporter-celery==0.11.2 packaging==25.0 \
    'setuptools<81'
read -r PORT METRICS < <(venv/bin/python -c '
import socket
servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(server.getsockname()[1] for server in servers))')
export PORT
redis-server --port "$PORT" --bind 127.0.0.1 --save '' --dir "$folder" > redis.log &
started+=("$!")
until redis-cli -p "$PORT" ping > ping.log 2>&1; do sleep 0.1; done

cat > tasks.py <<'PYTHON'
import os

from celery import Celery

app = Celery("tasks", broker=f"redis://127.0.0.1:{os.environ['PORT']}")


@app.task(name="add", ignore_result=True)
def add(x, y):
    return x + y
PYTHON
venv/bin/python -c 'from src.cli import cli; cli()' --broker-url "redis://127.0.0.1:$PORT" --host 127.0.0.1 \
    --port "$METRICS" > exporter.log 2>&1 &
started+=("$!")
venv/bin/celery -A tasks worker -E --pool solo --loglevel INFO > worker.log 2>&1 &
started+=("$!")

metrics() { curl -sf "http://127.0.0.1:$METRICS/metrics" > metrics || true; }
for _ in $(seq 60); do
    metrics
    if grep -q '^celery_worker_up.* 1.0' metrics; then break; fi
    sleep 0.5
done
venv/bin/python -c 'from tasks import add; add.delay(1, 2); add.apply_async((1, 2), expires=-1)'
for _ in $(seq 60); do
    metrics
    if grep -q '^celery_task_revoked_total.* 1.0' metrics && grep -q '^celery_task_succeeded_total.* 1.0' metrics; then break; fi
    sleep 0.5
done
{ grep -E '^celery_task_(succeeded|revoked)_total' metrics || true; } | tee seen

if ! grep -q 'revoked.*name="None".* 1.0' seen || ! grep -q 'succeeded.*name="add".* 1.0' seen; then
    echo "The behaviour has changed: the exporter counts an expired task by its name." >&2
    exit 1
fi
