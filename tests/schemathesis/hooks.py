"""What Schemathesis needs to know of this API: which things there are, and which 503 is due.

Most addresses name a thing (a printer, a job). A random name only ever shows the 404, so three of four requests name something
from the stock that the test has made. Addresses of printers in bodies become the loopback: nothing else may be reached.
Everything is drawn from one sequence that begins the same way each time.
"""

import atexit
import json
import os
import random

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

STOCK = json.load(open(os.environ["PRINTERNIZER_STOCK"], encoding="utf-8"))
SEEN = {}
DICE = random.Random(1)

# Refusals that are due: the printer that is spoken of is off, or there is really too much to do.
DUE = {"BUSY", "PRINTER_OFFLINE", "PRINTER_NOT_CONNECTED", "CONTROL_TIMEOUT"}

# What this device cannot do, or has no room for, and says so.
HONEST = {(501, "NOT_SUPPORTED"), (501, "UPDATE_NOT_SUPPORTED"), (507, "NO_SPACE")}

# The kind of thing that a path names, by its beginning; the first that fits counts.
KINDS = [
    ("/api/v1/materials/consumption/", "consumption"),
    ("/api/v1/materials/", "materials"),
    ("/api/v1/files/downloads/", "downloads"),
    ("/api/v1/files/", "files"),
    ("/api/v1/jobs/", "jobs"),
    ("/api/v1/library/", "library"),
    ("/api/v1/printers/", "printers"),
]

# What a body or a query may name.
FIELDS = {
    "printer_id": ["p1"] + STOCK["spare"][:2],
    "material_id": STOCK["materials"],
    "job_id": ["j1"] + STOCK["jobs"],
    "file_id": STOCK["files"],
}


def of_stock(kind, operation):
    """Something that there is; what is changed or deleted comes from what nobody minds."""
    if kind != "printers":
        return DICE.choice(STOCK[kind])
    dear = operation.path == "/api/v1/printers/{id}" and operation.method.upper() != "GET"
    return DICE.choice(STOCK["spare"] if dear else STOCK["printers"] + STOCK["spare"][:1])


def is_positive(case, location):
    meta = case.meta
    info = meta.components.get(location) if meta is not None else None
    return info is None or info.mode == GenerationMode.POSITIVE


def mend(operation, body):
    """What the words of a description ask for and its types cannot: so that some bodies are taken."""
    way = body.get("connection_config")
    if operation.method.upper() == "POST" and isinstance(way, dict):
        body["name"] = "Made up"
        way.update({"ip_address": "127.0.0.1", "password": "none", "access_code": "none"})
        way["http_port"] = way["mqtt_port"] = DICE.randint(1, 60)
        way.pop("serial_number", None)
    if operation.path == "/api/v1/materials":
        for name in list(body):
            if name not in ("notes", "vendor", "location"):
                del body[name]
        body.update({"material_type": "ASA", "weight_g": 1000})


def keep_house(settings):
    """Settings that would lock the door, read this machine's files, or leave no room, and end the run for all others."""
    if isinstance(settings.get("password"), str) and 1 <= len(settings["password"]) <= 256:
        settings["password"] = None
    if isinstance(settings.get("watch_folder"), str):
        settings["watch_folder"] = None
    for name, value in {"library_quota": 2**30, "library_min_free": 0, "max_file_size": 2**28}.items():
        if type(settings.get(name)) is int and settings[name] >= 0:
            settings[name] = value


@schemathesis.hook
def before_call(ctx, case, kwargs):
    operation = case.operation
    # A made-up tag never fits: everything would be a 412.
    case.headers.pop("If-Match", None)
    # Nobody is on the loopback to be waited for.
    if operation.path == "/api/v1/printers/discover" and is_positive(case, ParameterLocation.QUERY):
        case.query["timeout"] = 0
    # With a name, the body of an upload is the file, whatever it is.
    if operation.path == "/api/v1/library" and case.media_type == "application/json":
        case.headers.pop("X-Filename", None)
        case.query.pop("filename", None)
    if is_positive(case, ParameterLocation.PATH) and DICE.random() < 0.75:
        for start, kind in KINDS:
            if operation.path.startswith(start):
                for name in ("id", "checksum"):
                    if name in case.path_parameters:
                        case.path_parameters[name] = of_stock(kind, operation)
                break
        if "seq" in case.path_parameters:
            case.path_parameters["seq"] = DICE.randint(1, 40)
    if is_positive(case, ParameterLocation.QUERY) and case.query:
        for name in FIELDS:
            if isinstance(case.query.get(name), str) and DICE.random() < 0.75:
                case.query[name] = DICE.choice(FIELDS[name])
    body = case.body
    if isinstance(body, dict):
        if is_positive(case, ParameterLocation.BODY):
            for name in FIELDS:
                if isinstance(body.get(name), str) and DICE.random() < 0.75:
                    body[name] = DICE.choice(FIELDS[name])
            if DICE.random() < 0.5:
                mend(operation, body)
        if operation.path == "/api/v1/settings":
            keep_house(body)
        # Whatever the rest is like: nobody but the loopback may be asked, and no watch may be left that asks on.
        way = body.get("connection_config")
        if isinstance(way, dict) and isinstance(way.get("ip_address"), str):
            way["ip_address"] = "127.0.0.1"
        if isinstance(way, dict) and ("printer_type" in body or "is_enabled" in body) and body.get("is_enabled") in (True, None):
            body["is_enabled"] = False


@schemathesis.hook
def after_call(ctx, case, response):
    name = f"{case.operation.method.upper()} {case.operation.path}"
    if response.request.method.upper() != case.operation.method.upper():
        name = f"another method on {case.operation.path}"
    statuses = SEEN.setdefault(name, {})
    status = str(response.status_code)
    statuses[status] = statuses.get(status, 0) + 1


@schemathesis.check
def server_errors(ctx, response, case):
    """No 5xx, except a 503 that says why and is due, and an honest 501."""
    if response.status_code < 500:
        return
    code = None
    try:
        code = response.json()["error_code"]
    except Exception:  # noqa: BLE001 - whatever it is, it is no envelope
        pass
    if response.status_code == 503 and code in DUE:
        assert code != "BUSY" or "retry-after" in response.headers, "503 BUSY without Retry-After"
        return
    if (response.status_code, code) in HONEST:
        return
    raise AssertionError(f"{response.status_code} {code}")


@atexit.register
def write():
    with open(os.environ["PRINTERNIZER_SEEN"], "w", encoding="utf-8") as file:
        json.dump(SEEN, file)
