"""A Python client that publishes straight to the broker; prints the id and the callback URL of each confirmed call."""

import itertools
import sys
import time
import uuid

from celery import Celery

broker, queue_type, station, count, a_second, *drivers = sys.argv[1:]
app = Celery(broker=broker)
app.conf.task_default_queue_type = queue_type
app.conf.broker_transport_options = {"confirm_publish": True}
turns = itertools.cycle(zip(drivers[::2], drivers[1::2]))
for token, url in itertools.islice(turns, int(count)):
    arguments = [uuid.UUID(station), token, url, time.time_ns() + 3600 * 10**9]
    sent = app.send_task("authorization_worker.tasks.authorize", arguments)
    print(sent.id, url, flush=True)
    time.sleep(1 / float(a_second))
