"""What a device says becomes the signal its settings mean; what means nothing is named."""

import msgspec
import pytest

from hexi.connectors.mqtt.mapping import Arrival, Mapper, keep_message, parse_kept
from hexi.connectors.mqtt.paths import UnreadableError
from hexi.kernel.clock import HOUR, parse_instant
from hexi.protocols.mqtt import Publish
from hexi.settings import SettingsError, load_settings

NOW = parse_instant("2026-05-06T10:00:00+08:00")
HEAD = '[mqtt.gate]\nhost = "b"\n[[mqtt.gate.topics]]\n'
UP = 'template = "hexi/{type}/{device}/up"\n'


def mapper(tmp_path, topic):
    path = tmp_path / "hexi.toml"
    path.write_text(HEAD + topic, encoding="utf-8")
    return Mapper("gate", load_settings(path, {}).mqtt["gate"])


def said(payload, topic="hexi/radar/D1/up", **more):
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Publish(topic, raw, 1, 1, size=len(raw))._replace(**more)


def read(tmp_path, topic, message, at=NOW, session="s1"):
    return mapper(tmp_path, topic).read(message, Arrival(at, session))


def one(tmp_path, topic, message, **more):
    (signal,) = read(tmp_path, topic, message, **more)
    return signal


class TestJson:
    def test_an_ordinary_device_needs_only_settings(self, tmp_path):
        topic = UP + (
            'kind = "{type}.{data.event.name}"\nid = "{data.seq}"\ntime = "data.event.ts"\ntime_unit = "s"\n'
            'data = { pulse = "data.vitals.0.hr", room = "data.room", model = "type", none = "data.no" }\n'
        )
        payload = {
            "seq": 7,
            "event": {"name": "fall", "ts": NOW / 1000},
            "vitals": [{"hr": 72}],
            "room": "卧室",
        }
        signal = one(tmp_path, topic, said(payload))
        assert (signal.source, signal.id, signal.kind) == ("mqtt:gate/D1", "7", "radar.fall")
        assert (signal.subject, signal.time, signal.flags) == ("device:D1", NOW, ())
        assert signal.data == {"pulse": 72, "room": "卧室", "model": "radar"}

    def test_codes_become_kinds_and_an_unknown_code_is_a_kind_nobody_knows(self, tmp_path):
        topic = UP + 'kind = "{data.code}"\nkinds = { 1 = "radar.fall", true = "pendant.sos" }\n'
        kinds = [one(tmp_path, topic, said({"code": code})).kind for code in (1, True, 9)]
        assert kinds == ["radar.fall", "pendant.sos", "9"]
        starred = topic.replace("true =", '"*" = "device.heartbeat", true =')
        assert one(tmp_path, starred, said({"code": 9})).kind == "device.heartbeat"

    def test_a_list_is_a_signal_of_each(self, tmp_path):
        topic = (
            UP
            + 'each = "data.readings"\nkind = "{item.k}"\nid = "{data.n}"\n'
            + 'time = "item.t"\ntime_unit = "ms"\n'
        )
        payload = {"n": 4, "readings": [{"k": "a", "t": NOW}, {"k": "b", "t": NOW + 1}]}
        first, second = read(tmp_path, topic, said(payload))
        assert [first.id, second.id, second.kind, second.time] == ["4/0", "4/1", "b", NOW + 1]
        assert first.data == payload["readings"][0]

    def test_a_clock_that_lies_is_flagged_and_never_refused(self, tmp_path):
        topic = UP + 'kind = "k"\ntime = "data.t"\n'
        for wrong in ("yesterday", None, 1e300, {}, "2001-01-01T00:00:00Z"):
            assert one(tmp_path, topic, said({"t": wrong})).flags == ("clock_wrong",)
        assert one(tmp_path, topic, said({"t": "2026-05-06T10:00:00+08:00"})).time == NOW

    def test_a_bare_text_is_a_value(self, tmp_path):
        topic = (
            UP
            + 'format = "text"\nkind = "{data}"\nkinds = { ON = "pendant.sos", OFF = "device.heartbeat" }\n'
        )
        signal = one(tmp_path, topic, said(b" ON\n"))
        assert (signal.kind, signal.data) == ("pendant.sos", {"value": "ON"})

    @pytest.mark.parametrize(
        ("payload", "why"),
        [
            (b"{", "cannot be read"),
            (b"\xff", "cannot be read"),
            ({"a": 1}, "data.k is not in the message"),
            ({"k": {"x": 1}}, "not a single value"),
            ({"k": "x" * 200}, "longer than 120"),
            ({"k": "a\nb"}, "control character"),
            ({"k": "act.acknowledged"}, "acts are not taken"),
            ({"k": "tech.cleared"}, "the platform's own troubles are not taken"),
            (b'{"k": "a", "d": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
        ],
    )
    def test_what_means_nothing_is_named(self, tmp_path, payload, why):
        with pytest.raises(UnreadableError, match=why):
            read(tmp_path, UP + 'kind = "{data.k}"\n', said(payload))

    def test_a_message_that_is_too_long_and_a_topic_nobody_asked_for(self, tmp_path):
        topic = UP + 'kind = "k"\n'
        with pytest.raises(UnreadableError, match="300000 bytes"):
            read(tmp_path, topic, said(b"{}", size=300_000))
        with pytest.raises(UnreadableError, match="no template"):
            read(tmp_path, topic, said(b"{}", topic="other"))


class TestIdentity:
    def ids(self, tmp_path, topic, *deliveries):
        reader = mapper(tmp_path, topic)
        return [reader.read(message, Arrival(at, session))[0].id for message, at, session in deliveries]

    def test_with_the_device_s_time_the_content_is_enough(self, tmp_path):
        topic = UP + 'kind = "k"\ntime = "data.t"\ntime_unit = "ms"\n'
        message = said({"t": NOW})
        again = message._replace(packet=9, dup=True)
        later = said({"t": NOW + 1})
        first, second, third = self.ids(
            tmp_path, topic, (message, NOW, "s1"), (again, NOW + HOUR, "s2"), (later, NOW, "s1")
        )
        assert first == second != third

    def test_without_it_a_delivery_is_recognised_by_the_broker_s_number(self, tmp_path):
        press = said({"sos": 1})
        same, other, new_session = (
            (press._replace(dup=True), NOW + 1_000, "s1"),
            (press._replace(packet=2), NOW, "s1"),
            (press, NOW, "s2"),
        )
        ids = self.ids(tmp_path, UP + 'kind = "k"\n', (press, NOW, "s1"), same, other, new_session)
        assert ids[0] == ids[1]
        assert len(set(ids)) == 3

    def test_what_the_broker_retains_is_one_message_however_often_it_comes(self, tmp_path):
        kept = said({"sos": 1}, retain=True)
        first, again = self.ids(
            tmp_path, UP + 'kind = "k"\n', (kept, NOW, "s1"), (kept._replace(packet=5), NOW + HOUR, "s2")
        )
        assert first == again


EVENT = {"specversion": "1.0", "id": "1", "source": "camp/7", "type": "radar.fall", "subject": "D7"}


class TestCloudEvents:
    def test_structured_batch_and_binary(self, tmp_path):
        topic = 'template = "ce/#"\nformat = "cloudevents"\n'
        (signal,) = read(tmp_path, topic, said(EVENT, topic="ce/x"))
        assert (signal.source, signal.kind, signal.subject) == ("mqtt:gate/camp/7", "radar.fall", "device:D7")
        assert len(read(tmp_path, topic, said([EVENT, EVENT | {"id": "2"}], topic="ce"))) == 2
        user = {**EVENT, "subject": "100%房"}
        binary = said({"hr": 1}, topic="ce/x", properties={"user": user, "content_type": "application/json"})
        (signal,) = read(tmp_path, topic, binary)
        assert (signal.data, signal.subject) == ({"hr": 1}, "device:100%房")

    def test_one_link_cannot_speak_for_another(self, tmp_path):
        topic = 'template = "ce"\nformat = "cloudevents"\nsources = ["camp/"]\n'
        assert one(tmp_path, topic, said(EVENT, topic="ce")).source == "camp/7"
        foreign = EVENT | {"source": "mqtt:other/D1"}
        assert one(tmp_path, topic, said(foreign, topic="ce")).source == "mqtt:gate/mqtt:other/D1"
        with pytest.raises(UnreadableError, match="acts"):
            read(tmp_path, topic, said(EVENT | {"type": "act.closed"}, topic="ce"))

    def test_no_event_is_named(self, tmp_path):
        topic = 'template = "ce"\nformat = "cloudevents"\n'
        with pytest.raises(UnreadableError, match="CloudEvents"):
            read(tmp_path, topic, said({"id": "x"}, topic="ce"))

    def test_what_is_right_in_a_batch_is_handed_over_beside_the_fault(self, tmp_path):
        topic = 'template = "ce"\nformat = "cloudevents"\n'
        batch = [EVENT | {"type": "act.closed"}, EVENT | {"type": "pendant.sos"}, {"id": "x"}]
        with pytest.raises(UnreadableError, match="acts") as fault:
            read(tmp_path, topic, said(batch, topic="ce"))
        assert [signal.kind for signal in fault.value.readable] == ["pendant.sos"]


class TestStatus:
    TOPIC = 'template = "hexi/{type}/{device}/status"\nstatus = true\noffline = ["offline", "0"]\n'

    def test_a_device_s_word_and_its_will(self, tmp_path):
        at = "hexi/radar/D1/status"
        kinds = [one(tmp_path, self.TOPIC, said(w, topic=at)).kind for w in (b"online", b'"offline"', b"0")]
        assert kinds == ["device.online", "device.offline", "device.offline"]
        assert read(tmp_path, self.TOPIC, said(b"", topic=at)) == []
        with pytest.raises(UnreadableError, match="none of online, offline, 0"):
            read(tmp_path, self.TOPIC, said(b"asleep", topic=at))

    def test_old_news_is_news_once_in_a_session(self, tmp_path):
        kept = said(b"offline", topic="hexi/radar/D1/status", retain=True)
        first, again, later = (one(tmp_path, self.TOPIC, kept, session=s).id for s in ("s1", "s1", "s2"))
        assert first == again != later


def test_a_kept_message_is_read_again_as_it_was(tmp_path):
    topic = 'template = "ce"\nformat = "cloudevents"\n'
    message = said(b"{bad\n", topic="ce", properties={"content_type": "application/json", "user": {"a": "b"}})
    kept, arrival = parse_kept(keep_message(message, NOW))
    assert (kept.topic, kept.payload, dict(kept.properties)) == ("ce", b"{bad\n", dict(message.properties))
    assert arrival.received == NOW
    mended, _ = parse_kept(keep_message(message, NOW), msgspec.json.encode(EVENT))
    assert one(tmp_path, topic, mended).kind == "radar.fall"


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        (UP, "mqtt.gate.topics[1]: kind is missing"),
        ('kind = "k"\n', "mqtt.gate.topics[1]: template is missing"),
        (UP + 'kind = "{tipe}.x"\n', 'topics[1]: kind: "{tipe}" leads nowhere; did you mean type?'),
        (UP + 'kind = "k"\ntime = "ts"\n', 'time: "ts" leads nowhere; there are data'),
        (UP + 'kind = "{data..x}"\n', "an empty name"),
        (UP + 'kind = "{data.x"\n', "a brace is not closed"),
        (UP + 'kind = "k"\nknids = { a = "b" }\n', "topics[1].knids: there is no such setting; did you mean"),
        (UP + 'kind = "k"\nurgent = "yes"\n', "topics[1].urgent: expected true or false"),
        (UP + 'kind = "{item.x}"\n', 'kind: "{item.x}" leads nowhere'),
        (UP + 'kind = "k"\nsources = ["x"]\n', "only a CloudEvent names its source"),
        (UP + 'format = "cloudevents"\nkind = "k"\n', "kind: a CloudEvent says this itself"),
        ('template = "a/#/b"\nkind = "k"\n', "template: a level is"),
        ('template = "a{x}/b"\nkind = "k"\n', "template: a level is"),
        ('template = "{d}/{d}"\nkind = "k"\n', "{d} is there twice"),
        ('template = "{data}/x"\nkind = "k"\n', "{data} means the payload"),
        ('template = "x/status"\nstatus = true\n', "status needs {device}"),
        (UP + 'status = true\nonline = ["1"]\noffline = ["1"]\n', 'online and offline both have "1"'),
        (UP + 'kind = "k"\n[[mqtt.gate.topics]]\n' + UP + 'kind = "k"\n', "is given twice"),
    ],
)
def test_a_wrong_mapping_is_named_with_its_key_and_a_hint(tmp_path, topic, fault):
    with pytest.raises(SettingsError) as caught:
        mapper(tmp_path, topic)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("[mqtt.gate]\nport = 1\n", "mqtt.gate: host is missing"),
        ('[mqtt.gate]\nhost = "b"\n', "mqtt.gate: topics is missing"),
        ('[mqtt.gate]\nhost = "b"\ntopics = "x"\n', "mqtt.gate.topics: expected tables [[mqtt.gate.topics]]"),
        ('[mqtt.Gate]\nhost = "b"\n', "a link's name is made of"),
        ('[mqtt.gate]\nhost = "b"\nca = "x"\n', "ca and cert are for tls = true"),
        ('[mqtt.gate]\nhost = "b"\ncert = "x"\ntls = true\n', "cert and key belong together"),
        ('[mqtt.gate]\nhost = "b"\npassword_file = "x"\n', "password_file needs a user"),
    ],
)
def test_a_wrong_link_is_named(tmp_path, link, fault):
    path = tmp_path / "hexi.toml"
    path.write_text(link, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    assert fault in str(caught.value)
