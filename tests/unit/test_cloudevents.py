"""The CloudEvents codec: both directions, and every bad input it must survive."""

import json
import math

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexi.kernel.clock import DAY, parse_instant
from hexi.kernel.signal import Flag, Signal
from hexi.protocols import cloudevents as ce

NOW = parse_instant("2026-05-01T08:00:00+08:00")
EVENT = {
    "specversion": "1.0",
    "id": "m1",
    "source": "gateway/7",
    "type": "pendant.sos",
    "time": "2026-05-01T08:00:00+08:00",
    "subject": "device:D1",
    "data": {"battery": 80},
}


def event(**changes):
    return {k: v for k, v in {**EVENT, **changes}.items() if v is not ...}


def one(said, received=NOW):
    return ce.decode_structured(said if isinstance(said, bytes) else json.dumps(said).encode(), received)


def test_structured_event_becomes_a_signal():
    assert one(EVENT) == Signal(
        id="m1",
        source="gateway/7",
        kind="pendant.sos",
        received=NOW,
        time=NOW,
        subject="device:D1",
        data={"battery": 80},
    )


@pytest.mark.parametrize(
    ("said", "subject"),
    [
        ("D1", "device:D1"),
        ("person:E1", "person:E1"),
        ("aa:bb:cc:dd:ee:ff", "device:aa:bb:cc:dd:ee:ff"),
        ("urn:uuid:7", "device:urn:uuid:7"),
        ("person:", "device:person:"),
        ("", None),
        (None, None),
        (7, "device:7"),
        ("D\x001", "device:D\ufffd1"),
    ],
)
def test_subject_names_a_record(said, subject):
    assert one(event(subject=said)).subject == subject


@pytest.mark.parametrize(
    "changes",
    [
        {"specversion": ...},
        {"specversion": "0.3"},
        {"id": ...},
        {"id": ""},
        {"id": 7},
        {"id": "x" * 201},
        {"id": "x" * 1_000_000},
        {"id": "a\x00b"},
        {"source": ""},
        {"source": "s" * 301},
        {"source": "a\nb"},
        {"type": "t" * 121},
        {"type": "\x7f"},
    ],
)
def test_envelope_that_breaks_the_standard_is_malformed_and_says_which_field(changes):
    item = one(event(**changes))
    assert isinstance(item, ce.Malformed)
    assert item.field == next(iter(changes))
    assert len(item.reason.zh) < 300
    assert item.raw


@pytest.mark.parametrize(
    ("said", "data"),
    [
        (..., {}),
        (None, {}),
        (5, {"value": 5}),
        ("text", {"value": "text"}),
        ([1, 2], {"value": [1, 2]}),
        ({"a": "null\x00inside"}, {"a": "null\x00inside"}),
        ({"n": 10**30}, {"n": 10**30}),
    ],
)
def test_data_is_kept_as_an_object(said, data):
    assert one(event(data=said)).data == data


def test_binary_data_in_json_is_kept():
    assert one(event(data=..., data_base64="AAEC")).data == {"base64": "AAEC"}


def test_a_million_byte_string_is_taken():
    assert len(one(event(data={"text": "长" * 300_000})).data["text"]) == 300_000


def test_of_duplicate_keys_the_last_counts():
    raw = json.dumps(EVENT)[:-1].encode() + b',"id":"second"}'
    assert one(raw).id == "second"


@pytest.mark.parametrize(
    ("said", "time", "wrong"),
    [
        ("2026-05-01T00:00:00Z", NOW, False),
        ("2026-05-01T08:00:00.250+08:00", NOW + 250, False),
        (None, None, False),
        ("yesterday", None, True),
        (1777593600, None, True),
        ("2026-05-01T08:00:00", None, True),
        ("2026-05-01T08:00:60+08:00", None, True),
        ("1970-01-01T00:00:00Z", 0, True),
        ("0001-01-01T00:00:00+14:00", None, None),
        ("9999-12-31T23:59:59-12:00", None, None),
        ({"a": 1}, None, True),
    ],
)
def test_a_lying_clock_is_flagged_and_never_refused(said, time, wrong):
    signal = one(event(time=said))
    assert isinstance(signal, Signal)
    if wrong is None:
        assert signal.flags == (Flag.CLOCK_WRONG,)
    else:
        assert (signal.time, signal.flags) == (time, (Flag.CLOCK_WRONG,) if wrong else ())


@pytest.mark.parametrize(("off", "wrong"), [(DAY, False), (DAY + 1, True), (-DAY, False), (-DAY - 1, True)])
def test_more_than_a_day_off_is_wrong(off, wrong):
    assert bool(one(EVENT, NOW - off).flags) is wrong


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\x00",
        b"\xef\xbb\xbf{}",
        json.dumps(event(data={"t": math.nan})).encode(),
        json.dumps(event(data={"t": -math.inf})).encode(),
        json.dumps(EVENT).encode().replace(b"m1", b"m\xff"),
        json.dumps(EVENT).encode().replace(b"m1", b"m\x00"),
        json.dumps(EVENT).encode() + b"\x00",
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"id":"\\ud800"}',
    ],
)
def test_a_body_that_is_no_json_is_undecodable_as_a_whole(raw):
    for decode in (ce.decode_structured, ce.decode_batch):
        with pytest.raises(ce.UndecodableError) as caught:
            decode(raw, NOW)
        assert caught.value.reason.zh


def test_depth_is_limited_at_64():
    def nested(depth):
        inner = 1
        for _ in range(depth):
            inner = [inner]
        return {"x": inner}

    assert isinstance(one(event(data=nested(ce.MAX_DEPTH - 1))), Signal)
    assert one(event(data=nested(ce.MAX_DEPTH))).field == "data"
    assert isinstance(one(event(data=nested(900))), ce.Malformed)


def test_one_bad_event_in_a_batch_harms_no_other():
    batch = [event(id="a"), event(id="b", source=""), 7, event(id="d")]
    found = ce.decode_batch(json.dumps(batch).encode(), NOW)
    assert [type(item) for item in found] == [Signal, ce.Malformed, ce.Malformed, Signal]
    assert (found[1].index, found[1].id, found[1].field) == (1, "b", "source")
    assert json.loads(found[1].raw) == batch[1]


@pytest.mark.parametrize("bad", [b"1e999", b'"\xff"'])
def test_bad_values_inside_one_event_of_a_batch_harm_no_other(bad):
    good = json.dumps(EVENT).encode()
    raw = b"[" + good + b"," + good.replace(b"80", bad) + b"]"
    assert [type(item) for item in ce.decode_batch(raw, NOW)] == [Signal, ce.Malformed]


def test_bad_lines_harm_no_other():
    good = json.dumps(EVENT).encode()
    raw = b"\n".join([good, b"", b"NaN", good.replace(b"m1", b"\xff"), good.replace(b"m1", b"m4"), b"\r"])
    found = ce.decode_lines(raw, NOW)
    assert [type(item) for item in found] == [Signal, ce.Malformed, ce.Malformed, Signal]
    assert found[1].raw == b"NaN"


def test_a_batch_has_a_limit_however_bad_it_is():
    for raw in (b"[" + b"0," * 1000 + b"0]", json.dumps([EVENT] * 1001).encode()):
        with pytest.raises(ce.TooManyEventsError):
            ce.decode_batch(raw, NOW)
    with pytest.raises(ce.TooManyEventsError):
        ce.decode_lines(b"0\n" * 1001, NOW)


def test_content_type_chooses_the_mode():
    raw, batch = json.dumps(EVENT).encode(), json.dumps([EVENT, EVENT]).encode()
    assert len(ce.decode({"content-type": "Application/CloudEvents+JSON; charset=utf-8"}, raw, NOW)) == 1
    assert len(ce.decode({"content-type": ce.BATCH}, batch, NOW)) == 2
    assert len(ce.decode({"content-type": ce.LINES}, raw + b"\n" + raw, NOW)) == 2
    assert len(ce.decode({"content-type": "application/json"}, batch, NOW)) == 2
    assert len(ce.decode({"content-type": "application/json"}, raw, NOW)) == 1
    for kind in ({}, {"content-type": "text/xml"}):
        with pytest.raises(ce.UnsupportedTypeError):
            ce.decode(kind, raw, NOW)


def test_binary_mode():
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "m%2F1",
        "ce-source": "%E7%BD%91%E5%85%B3",
        "ce-type": "pendant.sos",
        "ce-time": "2026-05-01T08:00:00+08:00",
        "ce-subject": "D1",
        "content-type": "application/json",
    }
    (signal,) = ce.decode(headers, b'{"battery":80}', NOW)
    assert (signal.id, signal.source, signal.subject) == ("m/1", "网关", "device:D1")
    assert signal.data == {"battery": 80}
    assert ce.decode_binary(headers, b"", NOW).data == {}
    assert ce.decode_binary({**headers, "content-type": "text/plain"}, b"hi", NOW).data == {"value": "hi"}
    assert ce.decode_binary({**headers, "content-type": "image/png"}, b"\x00", NOW).data == {"base64": "AA=="}
    with pytest.raises(ce.UndecodableError):
        ce.decode_binary(headers, b'{"a":NaN}', NOW)


@pytest.mark.parametrize(
    "changes", [{"ce-id": "%FF"}, {"ce-id": ""}, {"ce-specversion": "2"}, {"ce-source": "a%00b"}]
)
def test_bad_attributes_in_binary_mode_are_malformed_and_kept_whole(changes):
    headers = {"ce-specversion": "1.0", "ce-id": "m1", "ce-source": "s", "ce-type": "t"} | changes
    item = ce.decode_binary(headers, b'{"a":1}', NOW)
    assert isinstance(item, ce.Malformed)


def test_a_binary_message_can_be_kept_and_read_again():
    headers = {"ce-specversion": "1.0", "ce-id": "m1", "content-type": "application/json"}
    assert ce.parse_message(ce.keep_message({**headers, "host": "x"}, b"body\r\n\r\n")) == (
        headers,
        b"body\r\n\r\n",
    )


slow_start = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=100)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
signals = st.builds(
    Signal,
    id=names,
    source=names,
    kind=names,
    received=st.just(NOW),
    time=st.none() | st.integers(NOW - DAY, NOW + DAY),
    subject=st.none() | st.builds("person:{}".format, names),
    data=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), values, max_size=5),
)


@slow_start
@given(st.lists(signals, min_size=1, max_size=4))
def test_what_is_encoded_is_decoded_the_same_in_every_mode(given_signals):
    assert ce.decode_batch(ce.encode_batch(given_signals), NOW) == given_signals
    assert ce.decode_lines(ce.encode_lines(given_signals), NOW) == given_signals
    first = given_signals[0]
    assert ce.decode_structured(ce.encode_structured(first), NOW) == first
    headers, body = ce.encode_binary(first)
    assert all(value.isascii() for value in headers.values())
    assert ce.decode(headers, body, NOW) == [first]


broken = st.binary(max_size=200) | st.builds(
    lambda said, cut, put: said[:cut] + put + said[cut:],
    st.builds(
        lambda e: json.dumps(e).encode(), st.fixed_dictionaries({}, optional=dict.fromkeys(EVENT, values))
    ),
    st.integers(0, 200),
    st.binary(max_size=3),
)


@slow_start
@given(
    broken,
    st.sampled_from([ce.STRUCTURED, ce.BATCH, ce.LINES, ce.JSON, "text/plain", ""]),
    st.dictionaries(
        st.sampled_from(["ce-id", "ce-specversion", "ce-source", "ce-type"]), st.text(max_size=20)
    ),
)
def test_no_input_breaks_the_decoder(body, kind, attributes):
    wrapped = b"[" + body + b"]" if kind == ce.BATCH else body
    try:
        found = ce.decode({"content-type": kind, **attributes}, wrapped, NOW)
    except (ce.UndecodableError, ce.UnsupportedTypeError, ce.TooManyEventsError):
        return
    for item in found:
        assert isinstance(item, (Signal, ce.Malformed))
        assert msgspec.json.decode(msgspec.json.encode(item), type=type(item)) == item
