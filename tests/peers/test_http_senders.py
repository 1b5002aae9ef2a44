"""The signal door and the codec against senders written by others: the CloudEvents SDK and curl."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings import http as sdk
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from tests.web.api_world import event, running

from hexi.kernel.clock import from_datetime
from hexi.kernel.signal import Signal
from hexi.protocols import cloudevents as ce

WHEN = datetime(2026, 5, 1, 0, 0, 0, 250_000, tzinfo=UTC)
NOW = from_datetime(WHEN)
SIGNAL = Signal(
    id='梧桐 "7%"',
    source="/网关/7",
    kind="pendant.sos",
    received=NOW,
    time=NOW,
    subject="person:E1",
    data={"text": "救命", "n": 1.5, "list": [1, None]},
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running(tmp_path_factory.mktemp("senders")) as world:
        yield world


def sdk_event():
    return CloudEvent(
        attributes={
            "id": SIGNAL.id,
            "source": SIGNAL.source,
            "type": SIGNAL.kind,
            "time": WHEN,
            "subject": SIGNAL.subject,
            "datacontenttype": "application/json",
        },
        data=SIGNAL.data,
    )


@pytest.mark.parametrize("write", [sdk.to_structured, sdk.to_binary])
def test_what_the_sdk_sends_is_read_the_same(write):
    message = write(sdk_event(), JSONFormat())
    headers = {name.lower(): value for name, value in message.headers.items()}
    assert ce.decode(headers, message.body, NOW) == [SIGNAL]


def test_what_we_send_is_read_by_the_sdk():
    structured = sdk.HTTPMessage({"content-type": ce.STRUCTURED}, ce.encode_structured(SIGNAL))
    binary = sdk.HTTPMessage(*ce.encode_binary(SIGNAL))
    for found in (
        sdk.from_structured(structured, JSONFormat(), CloudEvent),
        sdk.from_binary(binary, JSONFormat(), CloudEvent),
    ):
        assert (found.get_id(), found.get_source(), found.get_type()) == (
            SIGNAL.id,
            SIGNAL.source,
            SIGNAL.kind,
        )
        assert (found.get_subject(), found.get_time()) == (SIGNAL.subject, WHEN)
        assert found.get_data() == SIGNAL.data


@pytest.mark.parametrize("write", [sdk.to_structured, sdk.to_binary])
def test_the_sdk_opens_a_case_over_the_wire(world, write):
    message = write(sdk_event(), JSONFormat())
    with world.client("any") as client:
        answer = client.post("/api/v1/signals", content=message.body, headers=message.headers)
    assert answer.status_code == 202
    assert answer.json()["results"][0]["case"]


def curl(world, *arguments, body=b""):
    tool = shutil.which("curl")
    if tool is None:
        pytest.skip("curl is not installed")
    quiet = ["--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}"]
    token = ["--header", "Authorization: Bearer secret-any"]
    command = [tool, *quiet, *token, *arguments, f"{world.url}/api/v1/signals"]
    shown = subprocess.run(command, input=body, capture_output=True, check=True, timeout=60)
    text, _, status = shown.stdout.decode().rpartition("\n")
    return int(status), json.loads(text)


def test_curl_sends_every_mode(world):
    structured = json.dumps(event("curl1"))
    status, said = curl(world, "-H", f"Content-Type: {ce.STRUCTURED}", "-d", structured)
    assert (status, said["results"][0]["status"]) == (202, "accepted")
    lines = "\n".join(json.dumps(event(f"curl-line{i}")) for i in range(3)).encode()
    status, said = curl(world, "-H", f"Content-Type: {ce.LINES}", "--data-binary", "@-", body=lines)
    assert (status, len(said["results"])) == (202, 3)
    attributes = ("specversion: 1.0", "id: curl2", "source: gateway/7", "type: pendant.sos", "subject: D1")
    headers = [part for name in attributes for part in ("-H", f"ce-{name}")]
    status, said = curl(world, *headers, "-H", "Content-Type: application/json", "-d", '{"battery":3}')
    assert (status, said["results"][0]["id"]) == (202, "curl2")


def test_curl_waits_for_leave_to_send_a_large_body(world):
    """With ``Expect: 100-continue`` curl holds the body back until the door reads it."""
    large = json.dumps(event("curl-large", data={"text": "长" * 300_000})).encode()
    status, said = curl(
        world,
        "-H",
        f"Content-Type: {ce.STRUCTURED}",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        "@-",
        body=large,
    )
    assert (status, said["results"][0]["status"]) == (202, "accepted")
