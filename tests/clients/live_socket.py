"""A client of `GET /ws/live`. Arguments: the URL of platform-api, the key. It ends when the service has stopped."""

import asyncio
import json
import sys

import httpx
import websockets

url, key = sys.argv[1:]
headers = {"Authorization": f"Bearer {key}"}
http = httpx.Client(base_url=url, headers=headers)


def connect(query=""):
    return websockets.connect(f"{url.replace('http', 'ws')}/ws/live{query}", additional_headers=headers)


def create(charger):
    answer = http.post("/api/v1/stations", json={"charger": charger})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def received(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 60))


async def main():
    async with connect() as socket, connect("?events=charger,station") as stations:
        for number in range(1, 4):
            station = create(f"HAM-{number}")
            message = await received(socket)
            assert (message["id"], message["event"]) == (number, "station"), message
            assert message["data"]["station_id"] == station, message
            assert message["data"]["type"] == "station.created", message
            assert await received(stations) == message
        await asyncio.wait_for(await socket.ping(b"hello"), 60)
    # The same events as those of the stream.
    with httpx.stream("GET", f"{url}/api/v1/live", headers={**headers, "Last-Event-ID": "2"}, timeout=60) as stream:
        lines = stream.iter_lines()
        data = next(line for line in lines if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: ")) == message["data"], data
    create("HAM-4")
    async with connect("?last_event_id=2") as socket:
        assert [(await received(socket))["id"] for _ in range(2)] == [3, 4]
    async with connect("?last_event_id=1000") as socket:
        reset = await received(socket)
        assert (reset["id"], reset["event"]) == (4, "reset"), reset
        create("HAM-5")
        assert (await received(socket))["id"] == 5
    for query in ("?events=stations", "?last_event_id=x", "?event=station"):
        try:
            async with connect(query):
                raise AssertionError(query)
        except websockets.InvalidStatus as error:
            assert error.response.status_code == 400, error
    # Clients have nothing to say, and certainly nothing long.
    async with connect() as socket:
        await socket.send("x" * 100_000)
        try:
            await received(socket)
            raise AssertionError("it goes on")
        except websockets.ConnectionClosed:
            pass
    async with connect() as socket:
        await socket.send("hello")
        print("connected", flush=True)
        try:
            await received(socket)
            raise AssertionError("it goes on")
        except websockets.ConnectionClosed:
            assert socket.close_code == 1001, socket.close_code
    print("done")


asyncio.run(main())
