#!/usr/bin/env bash
# ocpp 2.1.0 (PyPI) as an endpoint of OCPP 1.6: two error codes stand the wrong way round. OCPP-J 1.6, section 4.2.3: NotImplemented is
# "Requested Action is not known by receiver", NotSupported is "Requested Action is recognized but not supported by the receiver". The
# library answers NotSupported to an action that it does not know, and NotImplemented to one that it knows and has no handler for.
# A central system that learns from the code what a charger can do learns the opposite.
#
# Seen on Python 3.11.7:
#   FlyToTheMoon (no action of 1.6)     NotSupported
#   GetDiagnostics (without a handler)  NotImplemented
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"${PYTHON:-python3}" -m venv venv
venv/bin/pip -q --disable-pip-version-check install ocpp==2.1.0

cat > codes.py <<'PYTHON'
import asyncio
import json
import logging

from ocpp.v16 import ChargePoint

logging.getLogger("ocpp").setLevel(logging.CRITICAL)


class Connection:
    def __init__(self):
        self.sent = []

    async def send(self, text):
        self.sent.append(text)


async def code(action, payload):
    connection = Connection()
    await ChargePoint("CP-1", connection).route_message(json.dumps([2, "1", action, payload]))
    kind, _, code, *_ = json.loads(connection.sent[0])
    assert kind == 4, connection.sent
    return code


async def main():
    unknown = await code("FlyToTheMoon", {})
    unhandled = await code("GetDiagnostics", {"location": "https://example.com/"})
    print(f"FlyToTheMoon (no action of 1.6)     {unknown}")
    print(f"GetDiagnostics (without a handler)  {unhandled}")
    assert (unknown, unhandled) == ("NotSupported", "NotImplemented"), "it has changed"


asyncio.run(main())
PYTHON
venv/bin/python codes.py
