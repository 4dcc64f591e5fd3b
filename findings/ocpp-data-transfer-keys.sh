#!/usr/bin/env bash
# ocpp 2.1.0 (PyPI): the data of a vendor loses the names of its members. In OCPP 2.0.1 the `data` of a DataTransfer is any JSON,
# which only the vendor understands. The library rewrites its keys like those of OCPP's own messages: to snake case for the
# handler, and to camel case, by rules of its own, in the answer. A handler that returns the data as it came answers with other data.
#
# Seen on Python 3.11.7:
#   sent      {"associatedEVSE": 1, "EVSEId": 2, "maxPower_kW": 3, "SoC": 80}
#   handler   {"associated_evse": 1, "evse_id": 2, "max_power_kw": 3, "soc": 80}
#   answered  {"asSoCiatedEvse": 1, "evseId": 2, "maxPowerKw": 3, "SoC": 80}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"${PYTHON:-python3}" -m venv venv
venv/bin/pip -q --disable-pip-version-check install ocpp==2.1.0

cat > echo.py <<'PYTHON'
import asyncio
import json

from ocpp.routing import on
from ocpp.v201 import ChargePoint, call_result

SENT = {"associatedEVSE": 1, "EVSEId": 2, "maxPower_kW": 3, "SoC": 80}
HANDLED = {"associated_evse": 1, "evse_id": 2, "max_power_kw": 3, "soc": 80}
ANSWERED = {"asSoCiatedEvse": 1, "evseId": 2, "maxPowerKw": 3, "SoC": 80}
handled = []


class Connection:
    def __init__(self):
        self.sent = []

    async def send(self, text):
        self.sent.append(text)


class Peer(ChargePoint):
    @on("DataTransfer")
    def data_transfer(self, vendor_id, data=None, **_):
        handled.append(data)
        return call_result.DataTransfer(status="Accepted", data=data)


async def main():
    connection = Connection()
    call = [2, "1", "DataTransfer", {"vendorId": "Acme", "data": SENT}]
    await Peer("CP-1", connection).route_message(json.dumps(call))
    answered = json.loads(connection.sent[0])[2]["data"]
    for name, value in (("sent", SENT), ("handler", handled[0]), ("answered", answered)):
        print(f"{name:9} {json.dumps(value)}")
    assert (handled[0], answered) == (HANDLED, ANSWERED), "it has changed"


asyncio.run(main())
PYTHON
venv/bin/python echo.py
