"""The three files and the environment: understood, or an error that names the place."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from connector_proxy.errors import ConfigurationError
from connector_proxy.loading import load
from connector_proxy.settings import KEYS, SERVICE_INI, Settings, of_stp, shown
from connector_proxy.values import Secret
from tests.conftest import ROOT

REST = "http://sas:7980/SASBIWS/rest/storedProcesses/Shared Data/{{stpName}}"


def ini(conf: Path, text: str, name: str = SERVICE_INI) -> Path:
    (conf / name).write_text(text, encoding="utf-8")
    return conf


def refused(conf: Path, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(conf, environment)
    return str(caught.value)


def test_the_shipped_files_are_the_defaults() -> None:
    """Fails, rightly, in an installation whose conf/ was changed."""
    settings = load(ROOT / "conf", {})
    for key in KEYS:
        assert getattr(settings, key.name) == key.parse(key.default, settings.home), key.name
        assert "line" in settings.origins[key.name]
    assert settings.embedded
    assert settings.notes == ()


def test_every_key_stands_in_its_shipped_file_under_its_sentence() -> None:
    for key in KEYS:
        text = (ROOT / "conf" / key.file).read_text(encoding="utf-8")
        assert re.search(rf"^\s*{key.name}\s*=", text, re.MULTILINE), key.name
        assert key.sentence.split(".")[0] in text, key.name


def test_an_old_installation_with_four_keys_is_enough(conf: Path) -> None:
    ini(
        conf,
        f"[DEFAULT]\r\nstpurl = {REST}\r\nproglog = program\r\nloglevel = debug\r\nlogfilepath = .\\logs\\\r\n",
    )
    (conf / "serviceConfig.py").write_text(
        "class svcConfig:\n    host = '127.0.0.10'\n    port = 8100\n    debug = 'False'\n"
    )
    (conf / "credentials.ini").unlink()
    settings = load(conf, {})
    assert settings.stpurl == REST
    assert settings.proglog == "program.log"
    assert settings.loglevel == "DEBUG"
    assert settings.logfilepath == conf.parent / "logs"
    assert settings.debug is False
    assert "credentials.ini is missing" in settings.notes[0]


def test_a_byte_order_mark_and_percent_signs_are_legal(conf: Path) -> None:
    url = "http://sas/SASBIWS/rest/storedProcesses/Shared%20Data/{{stpName}}"
    (conf / SERVICE_INI).write_bytes(b"\xef\xbb\xbf[DEFAULT]\nstpurl = " + url.encode())
    assert load(conf, {}).stpurl == url


def test_the_environment_wins_and_says_so(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nstppassword = file\nstpusername = u\n", "credentials.ini")
    settings = load(conf, {"CONNECTOR_PROXY_STPPASSWORD": "env", "CONNECTOR_PROXY_PORT": "9000"})
    assert settings.stppassword == Secret("env")
    assert settings.port == 9000
    assert settings.origins["port"] == "environment variable CONNECTOR_PROXY_PORT"
    assert settings.origins["stpusername"] == "credentials.ini line 3"


def test_the_folder_may_be_named_by_the_environment(conf: Path) -> None:
    assert load(None, {"CONNECTOR_PROXY_CONF": str(conf)}).conf == conf


def test_a_section_changes_a_setting_for_one_stored_process(conf: Path) -> None:
    ini(
        conf,
        "[DEFAULT]\nreadtimeout = 60\n[stp:Download File]\nstpurl = "
        + REST
        + "\nreadtimeout = 5\n",
    )
    ini(
        conf,
        "[DEFAULT]\n[stp: download file]\nstpusername = u\nstppassword = own\n",
        "credentials.ini",
    )
    settings = load(conf, {})
    own = settings.for_stp("DOWNLOAD FILE")
    assert (own.stpurl, own.readtimeout, own.stppassword) == (REST, 5.0, Secret("own"))
    assert settings.for_stp("Other") is settings
    assert settings.readtimeout == 60.0


def test_a_section_that_the_environment_overrules_is_noted(conf: Path) -> None:
    ini(conf, "[DEFAULT]\n[stp:A]\nreadtimeout = 5\n")
    settings = load(conf, {"CONNECTOR_PROXY_READTIMEOUT": "7"})
    assert settings.for_stp("A").readtimeout == 7.0
    assert "CONNECTOR_PROXY_READTIMEOUT is set" in settings.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[DEFAULT]\n\nstpurll = embedded\n", ["serviceConfig.ini line 3", "did you mean 'stpurl'?"]),
        ("[DEFAULT]\nzzz = 1\n", ["line 2", "known are"]),
        ("[DEFAULT]\nstpusername = u\n", ["line 2", "no setting 'stpusername' here"]),
        ("stpurl = embedded\n", ["line 1", "[DEFAULT]"]),
        ("[DEFAULT]\nstpurl\n", ["line 2", "key = value"]),
        ("[DEFAULT]\nport = 1\nport = 2\n", ["line 3", "twice"]),
        ("[DEFAULT]\n[DEFAULT]\n", ["line 2", "twice"]),
        ("[server]\n", ["line 1", "[stp:NAME]"]),
        ("[DEFAULT]\n[stp:a/b]\n", ["line 2", "U+002F"]),
        ("[DEFAULT]\n[stp:A]\nthreads = 4\n", ["line 3", "whole service"]),
        ("[DEFAULT]\nstpurl = http://sas/SASBIWS/rest/x\n", ["line 2", "{{stpName}}"]),
        ("[DEFAULT]\nstpurl = \n", ["line 2", "embedded"]),
        ("[DEFAULT]\nstpurl = ftp://sas/{{stpName}}\n", ["line 2", "embedded"]),
        ("[DEFAULT]\nstpurl = http://u:p@sas/{{stpName}}\n", ["line 2", "user, password"]),
        ("[DEFAULT]\nstpurl = http://sas:x/{{stpName}}\n", ["line 2"]),
        ("[DEFAULT]\nstpurl = http://sas/{{stpName}}#x\n", ["line 2", "fragment"]),
        ("[DEFAULT]\nloglevel = LOUD\n", ["line 2", "DEBUG"]),
        ("[DEFAULT]\nproglog = a/b\n", ["line 2", "name of the log file"]),
        ("[DEFAULT]\nstpurl = http://{{stpName}}:80/x\n", ["line 2", "in the path"]),
        ("[DEFAULT]\nstpurl = http://h:1?p={{stpName}}\n", ["line 2", "in the path"]),
        ("[DEFAULT]\nstpurl = http://sas..server/{{stpName}}\n", ["line 2"]),
        ("[DEFAULT]\nloglevel = INFO\n  readtimeout = 5\n", ["line 2", "indented line"]),
        ("[DEFAULT]\ndownloadhosts = host:0\n", ["line 2", "not a port"]),
        ("[DEFAULT]\nproglog = Flase\n", ["line 2", "True, False"]),
        ("[DEFAULT]\n[stp:A]\n[stp:a]\n", ["line 3", "twice"]),
        ("[DEFAULT]\n[stp:]\n", ["line 2", "is empty"]),
        ("[DEFAULT]\nallowedstps = A; B\n", ["line 2", "commas"]),
        ("[DEFAULT]\ndefaultstp = C\nallowedstps = A, B\n", ["line 2", "'C' is not among allowedstps"]),
        ("[DEFAULT]\nreadtimeout = soon\n", ["line 2", "number from"]),
        ("[DEFAULT]\nreadtimeout = -1\n", ["line 2", "number from"]),
        ("[DEFAULT]\nreadtimeout = nan\n", ["line 2", "number from"]),
        ("[DEFAULT]\nthreads = 1.5\n", ["line 2", "whole number"]),
        ("[DEFAULT]\nthreads = 0\n", ["line 2", "1 to 1000"]),
        ("[DEFAULT]\ncabundle = no-such.pem\n", ["line 2", "no such file"]),
        ("[DEFAULT]\nlogfilepath = \n", ["line 2", "path of a folder"]),
        ("[DEFAULT]\ndownloadhosts = https://a/b\n", ["line 2", "host pattern"]),
        ("[DEFAULT]\ndownloadhosts = *\n", ["line 2", "host pattern"]),
        ("[DEFAULT]\ndefaultstp = a/b\n", ["line 2", "U+002F"]),
        ("[DEFAULT]\nallowedstps = A, a..b\n", ["line 2", "'..'"]),
        ("[DEFAULT]\noutboundproxy = proxy:80\n", ["line 2", "http://host:port"]),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_and_what_to_write(conf: Path, text: str, words: list[str]) -> None:
    message = refused(ini(conf, text))
    assert "serviceConfig.ini" in message
    for word in words:
        assert word in message


def test_a_missing_file_is_named(conf: Path) -> None:
    (conf / "serviceConfig.ini").unlink()
    assert "serviceConfig.ini: the file is missing" in refused(conf)
    assert "the file is missing" in refused(conf / "nowhere")


def test_a_file_in_another_encoding_is_named(conf: Path) -> None:
    (conf / SERVICE_INI).write_bytes("[DEFAULT]\n# Größe\n".encode("cp1252"))
    assert "serviceConfig.ini line 2: this is not UTF-8 and was read" in load(conf, {}).notes[0]
    (conf / SERVICE_INI).write_bytes(b"[DEFAULT]\n# \x81\n")
    assert "serviceConfig.ini line 2: this is not UTF-8; save" in refused(conf)


def test_an_encoded_sas_password_is_refused_with_the_reason(conf: Path) -> None:
    ini(
        conf,
        "[DEFAULT]\nstppassword = {SAS002}1D57933958C580064BD3DCA81A33DFB2\n",
        "credentials.ini",
    )
    message = refused(conf)
    assert "credentials.ini line 2" in message
    assert "PROC PWENCODE" in message
    assert "1D57933958" not in message
    assert "PROC PWENCODE" in refused(conf, CONNECTOR_PROXY_STPPASSWORD="{sas004}ABC")


def test_a_comment_behind_a_value_is_cut_off_and_noted(conf: Path) -> None:
    ini(
        conf, "[DEFAULT]\nloglevel = ERROR  # quiet\nreadtimeout = 5 ; seconds\ncabundle = ; none\n"
    )
    settings = load(conf, {})
    assert (settings.loglevel, settings.readtimeout, settings.cabundle) == ("ERROR", 5.0, None)
    assert [note.split(":")[0] for note in settings.notes] == [
        "serviceConfig.ini line 2", "serviceConfig.ini line 3", "serviceConfig.ini line 4",
    ]  # fmt: skip


def test_a_comment_sign_without_a_blank_belongs_to_the_value(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nstpusername = u\nstppassword = a#b;c\n", "credentials.ini")
    assert load(conf, {}).stppassword == Secret("a#b;c")


def test_a_secret_is_never_cut_in_two_unnoticed(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nstppassword = hunter2 #1\n", "credentials.ini")
    message = refused(conf)
    assert "credentials.ini line 2" in message
    assert "hunter2" not in message
    ini(conf, '[DEFAULT]\nstpusername = u\nstppassword = "hunter2 #1"\n', "credentials.ini")
    assert load(conf, {}).stppassword == Secret("hunter2 #1")


def test_an_unknown_environment_variable_is_an_error(conf: Path) -> None:
    message = refused(conf, CONNECTOR_PROXY_STPPASSWROD="x")
    assert "CONNECTOR_PROXY_STPPASSWROD" in message
    assert "'stppassword'" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 8100\n", "no 'class svcConfig'"),
        ("class svcConfig:\n    prot = 8100\n", "line 2: there is no setting 'prot' here; did you mean 'port'"),
        ("class svcConfig:\n    port = int('8100')\n", "line 2: port must be a plain value"),
        ("class svcConfig:\n    port = 81000\n", "line 2: port cannot be used"),
        ("class svcConfig:\n    debug = 'Flase'\n", "line 2: debug cannot be used: write True or False"),
        ("class svcConfig:\n    host = ''\n", "line 2: host cannot be used"),
        ("class svcConfig:\n    import os\n", "line 2: only lines such as"),
        ("class svcConfig:\nport = 1", "line 2: this is not Python"),
        ("class svcConfig:\n    a, port = 1, 2\n", "line 2: only lines such as"),
        ("\0", "line 1: this is not UTF-8"),
        ("class svcConfig:\n    port = 1\n    port = 2\n", "line 3: 'port' stands twice"),
        ("class svcConfig:\n    host = port = '1'\n", "line 2: only lines such as"),
        ("class svcConfig:\n    port = {[]: 1}\n", "line 2: port must be a plain value"),
        ("class svcConfig:\n    port = 0x" + "f" * 5000 + "\n", "line 2: port must be a plain value"),
        ("class svcConfig:\n    port = " + "-" * 20_000 + "1\n", "this is not Python"),
    ],
)  # fmt: skip
def test_the_python_file_is_read_as_literals(conf: Path, text: str, words: str) -> None:
    (conf / "serviceConfig.py").write_text(text)
    assert words in refused(conf)


def test_the_python_file_is_never_executed(conf: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (conf / "serviceConfig.py").write_text(
        f"open({str(trap)!r}, 'w')\nclass svcConfig:\n    '''Ours.'''\n    port = 8101\n"
    )
    assert load(conf, {}).port == 8101
    assert not trap.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("True", True), ("'True'", True), ("False", False), ("'False'", False), ("0", False)],
)
def test_debug_may_be_a_word_in_quotes(conf: Path, text: str, expected: bool) -> None:
    (conf / "serviceConfig.py").write_text(f"class svcConfig:\n    debug = {text}\n")
    settings = load(conf, {})
    assert settings.debug is expected
    assert settings.loglevel == ("DEBUG" if expected else "INFO")


def test_paths_count_from_the_folder_that_holds_the_configuration(
    conf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ini(conf, "[DEFAULT]\nlogfilepath = ..\\my logs\\\noutputfolder = out/put\n")
    monkeypatch.chdir(tmp_path)
    settings = load(conf, {})
    assert settings.logfilepath == conf.parents[1] / "my logs"
    assert settings.outputfolder == conf.parent / "out" / "put"


@pytest.mark.skipif(os.name == "nt", reason="these are paths of Windows")
@pytest.mark.parametrize("path", ["C:\\CI360\\logs"])
def test_a_path_of_windows_is_refused_elsewhere(conf: Path, path: str) -> None:
    assert "path of Windows" in refused(ini(conf, f"[DEFAULT]\nlogfilepath = {path}\n"))


def test_a_user_without_a_password_is_refused(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nstpusername = u\n", "credentials.ini")
    assert "only one of stpusername and stppassword" in refused(conf)
    ini(conf, "[DEFAULT]\n[stp:A]\nstppassword = p\n", "credentials.ini")
    assert "[stp:a]" in refused(conf)


def test_a_file_without_certificates_is_refused(conf: Path) -> None:
    (conf.parent / "empty.pem").write_text("")
    assert "no certificate" in refused(ini(conf, "[DEFAULT]\ncabundle = empty.pem\n"))


def test_a_scheme_in_capitals_is_the_same_scheme(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nstpurl = HTTPS://sas/SASBIWS/services/{{stpName}}\n")
    assert load(conf, {}).stpurl.startswith("https://sas/")


def test_a_password_that_cannot_be_sent_is_refused(conf: Path) -> None:
    message = refused(conf, CONNECTOR_PROXY_STPPASSWORD="p\udcffw")
    assert "not UTF-8" in message


def test_nothing_shows_a_secret(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nstpusername = demo-user\nstppassword = hunter2\n", "credentials.ini")
    settings = load(conf, {})
    for text in (
        repr(settings),
        str(settings),
        shown(settings.stppassword),
        f"{settings.stpusername}",
    ):
        assert "hunter2" not in text
        assert "demo-user" not in text


@pytest.mark.parametrize(
    ("pattern", "url", "allowed"),
    [
        ("*.amazonaws.com", ("https", "b.s3.amazonaws.com", None), True),
        ("*.amazonaws.com", ("https", "amazonaws.com", None), False),
        ("*.amazonaws.com", ("https", "amazonaws.com.evil.example", None), False),
        ("*.amazonaws.com", ("https", "evilamazonaws.com", None), False),
        ("*.amazonaws.com", ("http", "b.s3.amazonaws.com", None), False),
        ("*.amazonaws.com", ("https", "b.s3.amazonaws.com", 8443), False),
        ("http://127.0.0.1:*", ("http", "127.0.0.1", 4711), True),
        ("http://127.0.0.1:*", ("https", "127.0.0.1", 4711), False),
        ("https://minio.example:9000", ("https", "minio.example", 9000), True),
        ("MINIO.example", ("https", "minio.example", None), True),
        ("http://[::1]:8080", ("http", "::1", 8080), True),
        ("minio.example:443", ("https", "minio.example", None), True),
    ],
)
def test_a_host_pattern_allows_what_it_says(
    conf: Path, pattern: str, url: tuple[str, str, int | None], allowed: bool
) -> None:
    settings: Settings = load(ini(conf, f"[DEFAULT]\ndownloadhosts = {pattern}\n"), {})
    assert settings.downloadhosts[0].allows(*url) is allowed


@pytest.mark.parametrize("password", ["p@ss", "pa/ss", "p@ss/word", "pa?ss", "pa#ss"])
def test_a_password_that_is_not_escaped_is_refused_and_not_shown(conf: Path, password: str) -> None:
    """Taken apart as it is, half of it would be a host, and stand in the log."""
    address = f"postgresql+psycopg://user:{password}@host:5432/database"
    with pytest.raises(ConfigurationError) as refused:
        load(conf, {"CONNECTOR_PROXY_QUEUEURL": address})
    said = str(refused.value) + refused.value.advice + str(refused.value.details)
    assert "%40 %2F %3F %23" in said
    assert password not in said


def test_every_fault_is_told_at_once(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nreadtimeout = soon\nstpurll = x\n[stp:A]\nthreads = 4\nconcurrency = 0\n")
    ini(conf, "[DEFAULT]\nstppasword = hunter2\n", "credentials.ini")
    (conf / "serviceConfig.py").write_text("class svcConfig:\n    port = 'x'\n    import os\n")
    told = refused(conf, CONNECTOR_PROXY_GETTRIES="0", CONNECTOR_PROXY_GETTRYS="5").splitlines()
    for words in (
        "serviceConfig.ini line 2: readtimeout", "line 3: there is no setting 'stpurll'",
        "line 5: threads counts for the whole service", "line 6: concurrency",
        "credentials.ini line 2: there is no setting 'stppasword'", "serviceConfig.py line 2: port",
        "serviceConfig.py line 3: only lines such as", "variable CONNECTOR_PROXY_GETTRIES",
        "variable CONNECTOR_PROXY_GETTRYS",
    ):  # fmt: skip
        assert sum(words in line for line in told) == 1, words
    assert len(told) == 9
    assert "hunter2" not in str(told)


def test_values_that_do_not_fit_together_are_told_together(conf: Path) -> None:
    ini(conf, "[DEFAULT]\ndefaultstp = C\nallowedstps = A\nsmtphost = mail\n")
    ini(conf, "[DEFAULT]\nstpusername = u\n", "credentials.ini")
    told = refused(conf)
    for words in ("not among allowedstps", "only one of stpusername", "alertfrom and alertto"):
        assert words in told


def test_a_value_of_a_section_has_an_origin(conf: Path) -> None:
    ini(conf, "[DEFAULT]\n[stp:Download File]\nreadtimeout = 5\n")
    settings = load(conf, {})
    assert settings.origins[of_stp("download file", "readtimeout")] == "serviceConfig.ini line 3"
    assert settings.origins["readtimeout"] == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("waitseconds = 61\n", "serviceConfig.ini line 2: waitseconds is 61"),
        ("[stp:A]\nwaitseconds = 90\n", "serviceConfig.ini line 3: waitseconds is 90"),
        ("keepdays = 3\n", "serviceConfig.ini line 2: keepdays ends before keeppayloaddays"),
    ],
)
def test_what_is_most_likely_not_meant_is_noted(conf: Path, text: str, words: str) -> None:
    [note] = load(ini(conf, "[DEFAULT]\n" + text), {}).notes
    assert note.startswith(words)


@pytest.mark.parametrize("text", ["waitseconds = 60\n", "keepdays = 7\n", "waitseconds = 0\n"])
def test_what_is_common_is_not_noted(conf: Path, text: str) -> None:
    assert load(ini(conf, "[DEFAULT]\n" + text), {}).notes == ()


MAIL = "alertfrom = cp@example.com\nalertto = a@example.com, b@example.com\n"


def test_the_mail_server_has_the_port_of_submission_unless_another_is_named(conf: Path) -> None:
    for text, server in (("mail.example.com", "mail.example.com:587"), ("mail:25", "mail:25")):
        settings = load(ini(conf, f"[DEFAULT]\nsmtphost = {text}\n{MAIL}"), {})
        assert settings.smtphost == server
        assert settings.alertto == ("a@example.com", "b@example.com")
        assert settings.smtpstarttls


@pytest.mark.parametrize(
    ("text", "credentials", "words"),
    [
        ("smtphost = mail\n", "", "mail needs alertfrom and alertto"),
        ("smtphost = mail\nalertto = a@example.com\n", "", "mail needs alertfrom and alertto"),
        (MAIL, "", "mail needs smtphost"),
        ("smtphost = http://mail\n" + MAIL, "", "name of the mail server"),
        ("smtphost = mail:0\n" + MAIL, "", "name of the mail server"),
        ("smtphost = mail\nalertfrom = cp\nalertto = a@b.de\n", "", "is not an address"),
        ("smtphost = mail\nalertfrom = c@b.de\nalertto = a@b.de; c@d.de\n", "", "is not an address"),
        ("smtphost = mail\n" + MAIL, "smtpuser = u\n", "only one of smtpuser and smtppassword"),
        ("smtphost = mail\nsmtpstarttls = False\n" + MAIL, "smtpuser = u\nsmtppassword = p\n", "without encryption"),
        ("", "alerturl = ftp://host/x\n", "alerturl cannot be used: write https://host/path"),
        ("alertminutes = 0\n", "", "whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_about_alerts_is_told(
    conf: Path, text: str, credentials: str, words: str
) -> None:
    ini(conf, "[DEFAULT]\n" + credentials, "credentials.ini")
    assert words in refused(ini(conf, "[DEFAULT]\n" + text))


def test_the_address_of_alerts_is_shown_without_what_is_secret_in_it(conf: Path) -> None:
    ini(conf, "[DEFAULT]\nalerturl = https://hooks.example.com/T0/B0/secret?key=secret\n", "credentials.ini")  # fmt: skip
    assert shown(load(conf, {}).alerturl) == "https://hooks.example.com/<secret>"
    assert shown(load(conf, {"CONNECTOR_PROXY_ALERTURL": ""}).alerturl) == ""
