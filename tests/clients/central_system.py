"""A central system of PyPI `ocpp`. It prints what it takes, and sends the CALLs that it reads from standard input."""
import asyncio, itertools, json, sys
from datetime import datetime, timezone
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
ids = itertools.count(101)
now = lambda: datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
class Central(ChargePoint):
    def note(self, action, **kw):
        print(json.dumps([action, kw]), flush=True)
    @on("BootNotification")
    def boot(self, **kw):
        self.note("boot", **kw)
        return call_result.BootNotification(current_time=now(), interval=300, status="Accepted")
    @on("Heartbeat")
    def heartbeat(self): return call_result.Heartbeat(current_time=now())
    @on("StatusNotification")
    def status(self, **kw):
        self.note("status", **kw)
        return call_result.StatusNotification()
    @on("Authorize")
    def authorize(self, id_tag):
        self.note("authorize", id_tag=id_tag)
        return call_result.Authorize(id_tag_info={"status": "Invalid" if id_tag == "STRANGER" else "Accepted"})
    @on("StartTransaction")
    def start_transaction(self, **kw):
        number = next(ids)
        self.note("start", number=number, **kw)
        return call_result.StartTransaction(transaction_id=number, id_tag_info={"status": "Accepted"})
    @on("MeterValues")
    def meter(self, **kw):
        self.note("meter", **kw)
        return call_result.MeterValues()
    @on("StopTransaction")
    def stop_transaction(self, **kw):
        self.note("stop", **kw)
        return call_result.StopTransaction()
    @on("FirmwareStatusNotification")
    def firmware(self, **kw): return call_result.FirmwareStatusNotification()
    @on("DiagnosticsStatusNotification")
    def diagnostics(self, **kw): return call_result.DiagnosticsStatusNotification()
central = None  # The charger that connected last.
async def serve(socket):
    global central
    central = Central(socket.request.path.rsplit("/", 1)[-1], socket)
    try: await central.start()
    except websockets.ConnectionClosed: pass
async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = await websockets.serve(serve, "127.0.0.1", port, subprotocols=["ocpp1.6"])
    print(json.dumps(["listens", server.sockets[0].getsockname()[1]]), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        action, arguments = json.loads(line)
        try: answer = vars(await central.call(getattr(call, action)(**arguments), suppress=False))
        except Exception as error: answer = {"error": repr(error)}
        print(json.dumps(["answer", answer], default=str), flush=True)
    server.close()
asyncio.run(main())
