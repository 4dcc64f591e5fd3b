"""Generates clients from the services' documents, and uses them: the calls, a problem, the callback, the stream.

Arguments: a folder for the clients, the configuration of the generator, the URLs of public-api, acl-service and
platform-api, the key.
"""

import http.server
import importlib
import json
import pathlib
import queue
import subprocess
import sys
import threading
import uuid

import httpx
import jsonschema_rs

folder, config, api_url, acl_url, platform_url, key = sys.argv[1:]
station, driver = uuid.uuid4(), "sample-driver-token-0001"
sys.path.insert(0, folder)


def generated(name, url):
    """The package of the client, and its document."""
    package = f"{name}_client"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--url", f"{url}/openapi.json"]
    subprocess.run([*command, "--config", config, "--output-path", f"{folder}/{package}"], check=True)
    document = httpx.get(f"{url}/openapi.json").json()
    modules = {path.stem for path in pathlib.Path(folder, package, "api").glob("*/*.py")}
    operations = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    missing = set(operations) - modules
    assert not missing, f"{name}: no code for {missing}"
    models = {path.stem for path in pathlib.Path(folder, package, "models").glob("*.py")}
    problems = {model for model in models if "problem" in model}
    assert problems == {"problem", "problem_report"}, problems
    # Words that only one parameter has, and objects of no fixed shape, have a model each.
    assert len(models) < len(document["components"]["schemas"]) + 16, models
    return package, document


def client(package, url, token=key, **options):
    return importlib.import_module(package).AuthenticatedClient(
        base_url=url, token=token, raise_on_unexpected_status=True, **options
    )


def call(package, module, **arguments):
    return importlib.import_module(f"{package}.api.{module}").sync(**arguments)


def call_detailed(package, module, **arguments):
    return importlib.import_module(f"{package}.api.{module}").sync_detailed(**arguments)


def models(package):
    return importlib.import_module(f"{package}.models")


class Host(http.server.BaseHTTPRequestHandler):
    received = queue.Queue()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.received.put((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def conforms(document, schema, value):
    """Whether the value is as the schema says, the references within the document included."""
    # A reference to the document as a whole, which is put beside the schema.
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.is_valid(whole, value)


def check_callback(document, headers, body):
    operation = document["webhooks"]["decision"]["post"]
    content = operation["requestBody"]["content"]["application/json"]["schema"]
    assert conforms(document, content, body), body
    headers = {name.lower(): value for name, value in headers.items()}
    for header in operation["parameters"]:
        value = headers.pop(header["name"], None)
        assert value is not None or not header["required"], header
        if value is not None:
            value = int(value) if header["schema"].get("type") == "integer" else value
            assert conforms(document, header["schema"], value), (header, value)
    undocumented = headers.keys() - {"content-type", "content-length", "accept", "user-agent", "host"}
    assert not undocumented, undocumented


api, document = generated("public_api", api_url)
acl, _ = generated("acl_service", acl_url)
to_api, to_acl = client(api, api_url), client(acl, acl_url)

host = http.server.HTTPServer(("127.0.0.1", 0), Host)
threading.Thread(target=host.serve_forever, daemon=True).start()
callback_url = f"http://127.0.0.1:{host.server_port}/decision"

allowed = call(acl, "lists.allow_driver", client=to_acl, station_id=station, driver_token=driver)
assert (allowed.success, allowed.new_size) == (True, 1), allowed
line = json.dumps({"station_id": str(station), "driver_token": "sample-driver-token-0002"}) + "\n"
file = importlib.import_module(f"{acl}.types").File(payload=line.encode())
report = call(acl, "lists.import_entries", client=to_acl, body=file)
assert (report.applied, report.complete) == (1, True), report

events = httpx.stream("GET", f"{api_url}/requests/stream", headers={"Authorization": f"Bearer {key}"}, timeout=60)
with events as stream:
    lines = stream.iter_lines()
    # The stream has begun.
    assert next(lines).startswith("id: ")
    asked = dict(client=to_api, station_id=station, driver_token=driver)
    without_body = call(api, "authorization.authorize_by_post", **asked, callback_url=callback_url)
    body = models(api).Callback(callback_url=callback_url)
    with_body = call(api, "authorization.authorize_by_post", **asked, body=body, idempotency_key="one")
    requests = {answer.request_id for answer in (without_body, with_body)}
    assert len(requests) == 2 and without_body.status == "accepted"
    called_back = set()
    for _ in requests:
        headers, sent = Host.received.get(timeout=60)
        check_callback(document, headers, sent)
        assert models(api).DecisionCallback.from_dict(sent).status == models(api).Decision.ALLOWED
        headers = {name.lower(): value for name, value in headers.items()}
        assert "webhook-signature" in headers
        called_back.add(uuid.UUID(headers["webhook-id"]))
    assert called_back == requests
    fields = {}
    while fields.get("event") != "decision":
        text = next(lines)
        if not text:
            fields = {}
        while text and not text.startswith(":"):
            name, _, value = text.partition(": ")
            fields[name] = value
            text = next(lines)
schema = document["components"]["schemas"]["StreamEvent"]
assert conforms(document, schema, fields), fields
assert conforms(document, {"$ref": "#/components/schemas/Request"}, json.loads(fields["data"])), fields
event = models(api).DecisionEvent.from_dict(fields)
assert models(api).Request.from_dict(json.loads(event.data)).request_id in requests

for request in requests:
    shown = call(api, "requests.show_request", client=to_api, request_id=request)
    assert (shown.status, shown.driver_token) == (models(api).Decision.ALLOWED, driver), shown
problem = call(api, "requests.show_request", client=to_api, request_id=uuid.uuid4())
assert isinstance(problem, models(api).Problem), problem
assert (problem.status, problem.type_, problem.field) == (404, "urn:voltgate:problem:not-found", "request_id"), problem
problem = call(acl, "groups.show_group", client=to_acl, name="none")
assert isinstance(problem, models(acl).Problem) and problem.status == 404, problem

platform, document = generated("platform_api", platform_url)
to_platform, shapes = client(platform, platform_url), models(platform)
drafted = shapes.LocationDraft(
    name="Harbour garage",
    address="Kai 1",
    city="Hamburg",
    country="DEU",
    coordinates=shapes.Coordinates(latitude="53.541290", longitude="9.984160"),
    time_zone="Europe/Berlin",
)
location = call(platform, "locations.create_location", client=to_platform, body=drafted, idempotency_key="one")
assert (location.name, location.coordinates.latitude) == ("Harbour garage", "53.541290"), location
again = call(platform, "locations.create_location", client=to_platform, body=drafted, idempotency_key="one")
assert again == location, again
connector = shapes.ConnectorDraft(
    standard=shapes.Standard.IEC_62196_T2_COMBO,
    format_=shapes.Format.CABLE,
    power_type=shapes.PowerType.DC,
    max_power_w=150_000,
)
drafted = shapes.StationDraft(
    location_id=location.id, charger="HAM-0001", evses=[shapes.EvseDraft(connectors=[connector])]
)
created = call_detailed(platform, "stations.create_station", client=to_platform, body=drafted)
assert created.status_code == 201, created
station, etag = created.parsed, created.headers["etag"]
assert created.headers["location"] == f"/api/v1/stations/{station.id}", created.headers
assert station.evses[0].connectors[0].standard == shapes.Standard.IEC_62196_T2_COMBO, station
found = call(platform, "stations.list_stations", client=to_platform, location_id=location.id, limit=1)
assert (found.items, found.cursor) == ([station], None), found
found = call(
    platform, "locations.list_locations", client=to_platform, near="53.54,9.98", q="harb", min_power_w=100_000
)
assert [(item.id, item.distance_m) for item in found.items] == [(location.id, 310)], found
change = dict(client=to_platform, station_id=station.id, body=shapes.StationChange(name="Left"))
changed = call(platform, "stations.change_station", **change, if_match=etag)
assert (changed.name, changed.evses) == ("Left", station.evses), changed
problem = call(platform, "stations.change_station", **change, if_match=etag)
assert isinstance(problem, shapes.Problem) and (problem.status, problem.field) == (412, "if-match"), problem
log = call(platform, "stations.get_status_log", client=to_platform, station_id=station.id)
assert log.items == [], log
headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": "0"}
with httpx.stream("GET", f"{platform_url}/api/v1/live", headers=headers, timeout=60) as stream:
    fields, lines = {}, stream.iter_lines()
    while "data" not in fields:
        name, _, value = next(lines).partition(": ")
        fields[name] = value
fields = {name: fields[name] for name in ("id", "event", "data")}
assert conforms(document, {"$ref": "#/components/schemas/LiveEvent"}, fields), fields
assert conforms(document, {"$ref": "#/components/schemas/Happened"}, json.loads(fields["data"])), fields

password = "correct horse battery"
registration = shapes.Registration(username="Ada", password=password, email="ada@example.com")
registered = call(platform, "auth.register", client=to_platform, body=registration)
assert (registered.message, registered.user.username, registered.user.email) == ("Registered", "Ada", None), registered
assert [grant.role for grant in registered.user.roles] == [shapes.Role.DRIVER], registered
problem = call(platform, "auth.register", client=to_platform, body=registration)
assert isinstance(problem, shapes.Problem) and (problem.status, problem.field) == (409, "username"), problem
signed_in = call(platform, "auth.login", client=to_platform, body=shapes.Login(username="ada", password=password))
assert signed_in.user == registered.user, signed_in
problem = call(platform, "auth.login", client=to_platform, body=shapes.Login(username="ada", password="wrong horse"))
assert isinstance(problem, shapes.Problem) and problem.status == 401, problem
tokens = call(platform, "auth.refresh", client=to_platform, body=shapes.RefreshToken(refresh=signed_in.refresh))
as_ada = client(platform, platform_url, token=tokens.access)
shown = call_detailed(platform, "me.get_me", client=as_ada)
assert (shown.parsed.id, shown.parsed.email_pending) == (registered.user.id, "ada@example.com"), shown
address = shapes.Address(line1="Kai 1", city="Hamburg", country="DEU")
change = shapes.ProfileChange(name="Ada Lovelace", address=address)
changed = call(platform, "me.change_me", client=as_ada, body=change, if_match=shown.headers["etag"])
assert (changed.name, changed.address.city) == ("Ada Lovelace", "Hamburg"), changed
sign_ins = call(platform, "me.list_sign_ins", client=as_ada)
assert [one.current for one in sign_ins.items] == [False, True], sign_ins
grants = [shapes.RoleGrant(role=shapes.Role.HOST, location_ids=[location.id])]
user = dict(client=to_platform, user_id=registered.user.id)
granted = call(platform, "users.change_user", **user, body=shapes.UserChange(roles=grants, reason="owns the garage"))
assert granted.roles[1].location_ids == [location.id], granted
found = call(platform, "users.list_users", client=to_platform, q="AD", role=shapes.Role.HOST)
assert [one.id for one in found.items] == [registered.user.id], found
assert call(platform, "auth.logout", client=as_ada).message == "Signed out"
problem = call(platform, "me.get_me", client=as_ada)
assert isinstance(problem, shapes.Problem) and problem.status == 401, problem
print("done")
