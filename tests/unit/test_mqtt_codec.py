"""The MQTT codec: what one side writes the other reads, in any pieces; nothing foreign gets through."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexi.protocols import mqtt
from hexi.protocols.mqtt import (
    Answer,
    Connack,
    Disconnect,
    Pong,
    ProtocolError,
    Publish,
    Reader,
    Request,
    Version,
)

versions = st.sampled_from(Version)
topics = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
messages = st.builds(
    lambda topic, payload, packet, retain, dup: Publish(
        topic, payload, int(packet > 0), packet, retain, dup and packet > 0, {}, len(payload)
    ),
    *(topics, st.binary(max_size=400), st.integers(0, 65_535), st.booleans(), st.booleans()),
)


def fed(reader, data, size):
    return [p for at in range(0, len(data), size) for p in reader.feed(data[at : at + size])]


@given(versions, st.lists(messages, max_size=8), st.integers(1, 50))
def test_messages_survive_any_cut_of_the_stream(version, sent, size):
    data = b"".join(mqtt.encode_publish(version, one) for one in sent)
    assert fed(Reader(version), data, size) == sent


@given(versions, st.binary(max_size=300), st.integers(1, 20))
def test_whatever_comes_ends_in_packets_or_a_protocol_error(version, data, size):
    with suppress(ProtocolError):
        fed(Reader(version, 100), data, size)


@given(versions, st.integers(0, 5_000), st.integers(1, 700))
def test_a_message_that_is_too_long_is_cut_and_the_next_one_is_whole(version, extra, size):
    long = Publish("a/b", b"x" * (300 + extra), 1, 7)
    after = Publish("c", b"ok", 1, 8, size=2)
    data = mqtt.encode_publish(version, long) + mqtt.encode_publish(version, after)
    cut, whole = fed(Reader(version, 200), data, size)
    assert cut.is_cut
    assert (cut.topic, cut.packet, cut.size) == ("a/b", 7, len(long.payload))
    assert long.payload.startswith(cut.payload)
    assert 150 < len(cut.payload) < 200
    assert whole == after


def test_properties_of_a_message_are_read():
    properties = {"content_type": "application/json", "user": {"specversion": "1.0", "名": "值"}}
    sent = Publish("t", b"{}", 1, 1, properties=properties, size=2)
    assert Reader(Version.V5).feed(mqtt.encode_publish(Version.V5, sent)) == [sent]


def test_a_cut_message_whose_properties_are_cut_too_is_still_acknowledged():
    long = {"user": {"n": "v" * 60_000}}
    (cut,) = Reader(Version.V5, 1_000).feed(
        mqtt.encode_publish(Version.V5, Publish("t", b"p", 1, 9, properties=long))
    )
    assert (cut.topic, cut.packet) == ("t", 9)
    assert cut.is_cut


@pytest.mark.parametrize("version", Version)
def test_answers_are_read(version):
    end = b"\0" if version is Version.V5 else b""
    data = mqtt.encode_connack(version, session_present=True)
    data += bytes([0x90, 4 + len(end), 0, 5]) + end + b"\x01\x80" + b"\x40\x02\x00\x09\xd0\x00"
    assert Reader(version).feed(data) == [
        Connack(session_present=True, code=0),
        Answer(5, (1, 0x80)),
        Answer(9, (0,)),
        Pong(),
    ]


def test_a_broker_that_goes_says_why():
    said = b"\x1f\x00\x04busy"
    assert Reader(Version.V5).feed(bytes([0xE0, len(said) + 2, 0x89, len(said)]) + said) == [
        Disconnect(0x89, {"reason": "busy"})
    ]
    assert mqtt.reason(0x89) == "server busy"
    assert mqtt.reason(0x42) == "reason 0x42"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x34\x03\x00\x01t", "QoS 2"),
        (b"\x30\x03\x00\x09t", "longer|shorter"),
        (b"\x30\x03\x00\x01\xff", "UTF-8"),
        (b"\x30\xff\xff\xff\xff\x01", "four bytes"),
        (b"\x00\x00", "not expected"),
        (b"\x20\x00", "shorter"),
    ],
)
def test_what_no_packet_can_be_is_named(data, why):
    with pytest.raises(ProtocolError, match=why):
        Reader(Version.V311).feed(data)


def test_a_property_nobody_knows_is_named():
    with pytest.raises(ProtocolError, match="0x7f"):
        Reader(Version.V5).feed(b"\x30\x06\x00\x01t\x02\x7f\x00")


def test_a_client_s_own_packets_come_back_to_whoever_plays_a_broker():
    data = mqtt.encode_subscribe(Version.V5, 3, ["a/+"]) + mqtt.encode_ping()
    asked, ping = Reader(Version.V5).feed(data)
    assert asked == Request(mqtt.SUBSCRIBE, b"\x00\x03\x00\x00\x03a/+\x11")
    assert ping.kind == mqtt.PINGREQ
