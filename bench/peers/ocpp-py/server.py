"""A central system on PyPI `ocpp` that validates every message and keeps nothing: a peer for `bench ocpp`. Argument: the port."""
import asyncio
import itertools
import sys
from datetime import datetime, timezone

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result

ACCEPTED = {"status": "Accepted"}
numbers = itertools.count(1)


def now():
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class Central(ChargePoint):
    @on("BootNotification")
    def boot(self, **_):
        return call_result.BootNotification(current_time=now(), interval=300, status="Accepted")

    @on("Heartbeat")
    def heartbeat(self):
        return call_result.Heartbeat(current_time=now())

    @on("Authorize")
    def authorize(self, **_):
        return call_result.Authorize(id_tag_info=ACCEPTED)

    @on("StatusNotification")
    def status(self, **_):
        return call_result.StatusNotification()

    @on("MeterValues")
    def meter_values(self, **_):
        return call_result.MeterValues()

    @on("StartTransaction")
    def start_transaction(self, **_):
        return call_result.StartTransaction(transaction_id=next(numbers), id_tag_info=ACCEPTED)

    @on("StopTransaction")
    def stop_transaction(self, **_):
        return call_result.StopTransaction()


async def serve(socket):
    try:
        await Central(socket.request.path.rsplit("/", 1)[-1], socket).start()
    except websockets.ConnectionClosed:
        pass


def ready(connection, request):
    return connection.respond(200, "ready\n") if request.path == "/readyz" else None


async def main():
    port = int(sys.argv[1])
    async with websockets.serve(serve, "127.0.0.1", port, subprotocols=["ocpp1.6"], process_request=ready):
        await asyncio.Future()


asyncio.run(main())
