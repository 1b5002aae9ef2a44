"""Settings: what is read, and how plainly a fault is named."""

import tomllib

import pytest

from hexi.cli.configuration import example, in_force, keys
from hexi.settings import (
    SettingsError,
    channel_secret,
    load_settings,
    read_secret,
    refuse_exposure,
)


def write(folder, text):
    path = folder / "hexi.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fault(folder, text="", **environ):
    with pytest.raises(SettingsError) as caught:
        load_settings(write(folder, text), environ)
    return str(caught.value)


def test_nothing_given_gives_a_loopback_installation_on_sqlite(tmp_path):
    settings = load_settings(write(tmp_path, ""), {})
    assert settings.loopback
    assert settings.address == "http://127.0.0.1:8700"
    assert settings.database_url() == "sqlite:///var/hexi.sqlite"
    assert refuse_exposure(settings) is None


def test_paths_in_the_file_are_taken_from_its_folder(tmp_path):
    text = 'data_dir = "data"\npacks = ["mine", "/abs"]\n[channels.sms]\nuse = "inbox"\nsecret_file = "s"\n'
    settings = load_settings(write(tmp_path, text), {})
    assert settings.data_dir == tmp_path / "data"
    assert [str(p) for p in settings.packs] == [str(tmp_path / "mine"), "/abs"]
    assert settings.channels["sms"].secret_file == tmp_path / "s"


def test_variables_go_over_the_file_and_reach_into_tables(tmp_path):
    path = write(
        tmp_path, '[listen]\nport = 1\nhost = "::1"\n[channels.sms]\nuse = "inbox"\ntimeout = "3s"\n'
    )
    settings = load_settings(
        path,
        {
            "HEXI_LISTEN__PORT": "8080",
            "HEXI_TLS_PROXY": "true",
            "HEXI_PACKS": "/a:/b",
            "HEXI_CHANNELS__SMS__LIMIT": "2.5",
            "HEXI_CHANNELS__CALL__USE": "console",
            "HEXI_LANG": "zh",
            "OTHER": "x",
        },
    )
    assert settings.listen.port == 8080
    assert settings.address == "http://[::1]:8080"
    assert settings.tls_proxy is True
    assert len(settings.packs) == 2
    assert settings.channels["sms"].limit == 2.5
    assert settings.channels["sms"].timeout == 3_000
    assert settings.channels["call"].use == "console"


def test_the_file_is_found_by_variable_and_in_the_working_folder(tmp_path, monkeypatch):
    path = write(tmp_path, "[listen]\nport = 5\n")
    assert load_settings(None, {"HEXI_CONFIG": str(path)}).listen.port == 5
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}).listen.port == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listen]\nprot = 1", "listen.prot: there is no such setting; did you mean listen.port?"),
        ("[lisen]\nport = 1", "lisen: there is no such setting; did you mean listen?"),
        ("[listen]\nport = 'x'", "listen.port: expected a whole number, at least 0, at most 65535, got 'x'"),
        ("[listen]\nport = 70000", "at most 65535, got 70000"),
        ("listen = 3", "listen: expected a table [listen], got 3"),
        ("seen_horizon = '3x'", 'seen_horizon: expected a duration such as "90s"'),
        ("seen_horizon = 3", 'seen_horizon: expected a duration such as "90s"'),
        ("packs = 'x'", "packs: expected a list of paths, got 'x'"),
        ("tls_proxy = 'yes'", "tls_proxy: expected true or false, got 'yes'"),
        ("[channels.sns]\nuse = 'inbox'", "channels.sns: there is no such way; did you mean sms?"),
        ("[channels.sms]\nuse = 'mail'", 'channels.sms.use: expected one of "webhook", "apprise"'),
        ("[channels.sms]\nlimit = 1", "channels.sms: use is missing"),
        ("[channels.sms]\nuse = 'inbox'\nlimit = 0", "channels.sms.limit: expected a number, more than 0"),
        ("[channels.sms]\nuse = 'webhook'", 'channels.sms: use = "webhook" needs a url'),
        ("[listen]\ntls_cert = 'x'", "tls_cert and tls_key belong together"),
        ("base_url = 'example.org'", "base_url: should start with http:// or https://"),
        ("[database]\nurl = 'a'\nurl_file = 'b'", "database: give url or url_file, not both"),
        ("[", "is not TOML"),
    ],
)
def test_a_fault_in_the_file_names_file_key_and_what_is_expected(tmp_path, text, said):
    message = fault(tmp_path, text)
    assert said in message
    assert str(tmp_path / "hexi.toml") in message


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEXI_LISTEN__PROT", "1", "did you mean HEXI_LISTEN__PORT?"),
        ("HEXI_DATADIR", "x", "did you mean HEXI_DATA_DIR?"),
        ("HEXI_LISTEN", "x", "name one of its keys, such as HEXI_LISTEN__HOST"),
        ("HEXI_LISTEN__PORT", "x", "HEXI_LISTEN__PORT: expected a whole number"),
        ("HEXI_CHANNELS__SMS__LIMIT", "2", "channels.sms: use is missing"),
    ],
)
def test_a_fault_in_a_variable_names_the_variable(tmp_path, variable, value, said):
    assert said in fault(tmp_path, **{variable: value})


def test_every_fault_is_told_at_once(tmp_path):
    message = fault(tmp_path, "tls_proxi = true\n[listen]\nport = 'x'", HEXI_DATADIR="x")
    assert message.count("\n") == 2


def test_a_missing_file_is_a_fault(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "nothing.toml", {})


def test_secrets_come_from_files(tmp_path):
    (tmp_path / "s").write_text("key\nsecond line\n")
    (tmp_path / "empty").write_text("\n")
    text = (
        '[channels.sms]\nuse = "webhook"\nurl = "https://x"\nsecret_file = "s"\n[database]\nurl_file = "s"\n'
    )
    settings = load_settings(write(tmp_path, text), {})
    assert channel_secret(settings.channels["sms"]) == "key"
    assert settings.database_url() == "key"
    with pytest.raises(SettingsError, match="empty"):
        read_secret(tmp_path / "empty")
    with pytest.raises(SettingsError, match="cannot read"):
        read_secret(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('[listen]\nhost = "0.0.0.0"', True),
        ('[listen]\nhost = "192.0.2.1"', True),
        ('tls_proxy = true\n[listen]\nhost = "0.0.0.0"', False),
        ('[listen]\nhost = "0.0.0.0"\ntls_cert = "c"\ntls_key = "k"', False),
        ('[listen]\nhost = "localhost"', False),
    ],
)
def test_plain_http_is_refused_where_others_could_listen(tmp_path, text, refused):
    assert (refuse_exposure(load_settings(write(tmp_path, text), {})) is not None) is refused


def test_the_example_documents_every_key_and_loads(tmp_path):
    text = example()
    for key in keys():
        assert key.meaning, key.path
        assert key.path.rpartition(".")[2] in text
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in text.splitlines()
    )
    tomllib.loads(uncommented)
    assert load_settings(write(tmp_path, text), {}).channels["app"].use == "inbox"


def test_every_key_can_be_set_by_its_variable(tmp_path):
    values = {
        "base_url": "https://x",
        "tls_proxy": "true",
        "seen_horizon": "2d",
        "archive.hot": "3d",
        "watch.ping_url": "https://x",
        **dict.fromkeys(("watch.every", "watch.timeout", "watch.backup_age"), "9s"),
        "archive.keep": "3d",
        "archive.check": "3d",
        "archive.summaries": "3d",
        "archive.body": "none",
        "channels.<way>.use": "console",
        "channels.<way>.timeout": "2s",
        "mqtt.<link>.version": "3.1.1",
        "mqtt.<link>.tls": "false",
        **dict.fromkeys(("mqtt.<link>.keep_alive", "mqtt.<link>.session", "mqtt.<link>.grace"), "9s"),
        "drill.send": "mark",
        "log.level": "debug",
        "log.form": "json",
    }
    link = (
        '[mqtt.gate]\nhost = "b"\nuser = "u"\ntls = true\n[[mqtt.gate.topics]]\ntemplate = "a"\nkind = "k"\n'
    )
    together = {"tls_cert": {"HEXI_LISTEN__TLS_KEY": "k"}, "tls_key": {"HEXI_LISTEN__TLS_CERT": "c"}}
    together |= {"cert": {"HEXI_MQTT__GATE__KEY": "k"}, "key": {"HEXI_MQTT__GATE__CERT": "c"}}
    for key in (key for key in keys() if key.variable):
        extra = {"HEXI_CHANNELS__SMS__USE": "inbox"} if "<way>" in key.path else {}
        extra |= together.get(key.path.rpartition(".")[2], {})
        config = write(tmp_path, link if key.path.startswith("mqtt.") else "")
        changed = load_settings(config, extra | {key.variable: values.get(key.path, "7")})
        assert changed != load_settings(config, {}), key.path


def test_the_shown_settings_hide_secrets(tmp_path):
    text = '[channels.sms]\nuse = "webhook"\nurl = "https://u:p@x"\nsecret = "hush"\n'
    shown = str(in_force(load_settings(write(tmp_path, text), {})))
    assert "hush" not in shown
    assert "u:p" not in shown
    assert "'timeout': '10s'" in shown
