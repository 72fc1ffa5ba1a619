"""What a charm was told, for the test to read: one JSON object a line, in a file of the unit."""

import json
import os
import pathlib


def record(charm, event, **told):
    path = pathlib.Path(os.environ["COUNTERPARTS_RECORDS"]) / charm.unit.name.replace("/", "-")
    with path.open("a") as lines:
        lines.write(json.dumps({"event": event, "hook": os.environ["JUJU_HOOK_NAME"], **told}) + "\n")


def asked(name, otherwise):
    """What the test wants this charm to ask for or to answer with."""
    return json.loads(os.environ.get(name, json.dumps(otherwise)))
