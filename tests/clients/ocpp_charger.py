"""A charger of PyPI ocpp: a session with all of its messages, then commands until it is reset."""
import asyncio, sys
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import AuthorizationStatus, DataTransferStatus, RegistrationStatus
from websockets.asyncio.client import connect

url, name, tag = sys.argv[1:]
reset = asyncio.Event()


class Charger(ChargePoint):
    @on("TriggerMessage")
    def trigger(self, requested_message, **_):
        return call_result.TriggerMessage(status="Accepted")

    @on("GetConfiguration")
    def configuration(self, key=None, **_):
        known = {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
        return call_result.GetConfiguration(configuration_key=[known])

    @on("Reset")
    def reset(self, type):
        reset.set()
        return call_result.Reset(status="Accepted")


async def session(charger):
    async def ask(request):
        # An error of the gateway is raised.
        return await charger.call(request, suppress=False)

    booted = await ask(call.BootNotification("One", "Acme", firmware_version="1.2", meter_type="M"))
    assert booted.status == RegistrationStatus.accepted and booted.interval == 300, booted
    assert (await ask(call.Heartbeat())).current_time.endswith("Z")
    await ask(call.StatusNotification(1, "NoError", "Preparing", timestamp="2026-11-01T09:59:00Z"))
    authorized = await ask(call.Authorize(tag))
    assert authorized.id_tag_info["status"] == AuthorizationStatus.accepted, authorized
    start = call.StartTransaction(1, tag, 1000, "2026-11-01T10:00:00Z")
    started = await ask(start)
    assert started.id_tag_info["status"] == AuthorizationStatus.accepted, started
    assert (await ask(start)).transaction_id == started.transaction_id
    await ask(call.StatusNotification(1, "NoError", "Charging", timestamp="2026-11-01T10:00:01Z"))
    sample = {"value": "4500", "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    value = {"timestamp": "2026-11-01T10:30:00Z", "sampled_value": [sample]}
    await ask(call.MeterValues(1, [value], transaction_id=started.transaction_id))
    stop = call.StopTransaction(
        8000, "2026-11-01T11:00:00Z", started.transaction_id, reason="Local", id_tag=tag, transaction_data=[value]
    )
    stopped = await ask(stop)
    assert stopped.id_tag_info["status"] == AuthorizationStatus.accepted, stopped
    await ask(stop)
    await ask(call.StatusNotification(1, "NoError", "Available", timestamp="2026-11-01T11:00:01Z"))
    data = await ask(call.DataTransfer("Acme", data="x"))
    assert data.status == DataTransferStatus.unknown_vendor_id, data
    await ask(call.DiagnosticsStatusNotification("Idle"))
    await ask(call.FirmwareStatusNotification("Installed"))
    await ask(call.SecurityEventNotification("StartupOfTheDevice", "2026-11-01T11:00:00Z", "none"))
    assert (await ask(call.SignCertificate("csr"))).status == "Rejected"
    await ask(call.LogStatusNotification("Uploaded", 1))
    await ask(call.SignedFirmwareStatusNotification("Installed", 1))
    await reset.wait()


async def main():
    async with connect(f"{url}/ocpp/{name}", subprotocols=["ocpp1.6"], compression=None) as socket:
        assert socket.subprotocol == "ocpp1.6"
        charger = Charger(name, socket)
        listening = asyncio.create_task(charger.start())
        await asyncio.wait_for(session(charger), 60)
        # The answer to the reset is written.
        await asyncio.sleep(0.5)
        listening.cancel()


asyncio.run(main())
