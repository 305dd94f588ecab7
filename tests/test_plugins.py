import pytest

from rlcompress.errors import DataError
from rlcompress.plugins import importable, resolve


def test_attributes_of_installed_modules():
    assert resolve("os.path:join", "thing", DataError) is __import__("os").path.join
    assert resolve("collections:OrderedDict.fromkeys", "thing", DataError)("a") == {"a": None}


def test_modules_of_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "my_plugin_of_a_test.py").write_text("answer = 42\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert resolve("my_plugin_of_a_test:answer", "thing", DataError) == 42


def test_importable_runs_nothing(tmp_path, monkeypatch):
    (tmp_path / "explosive_plugin.py").write_text("raise SystemError\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert importable("explosive_plugin:x")
    assert not importable("absent_plugin.part:x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent_plugin:x", "thing 'absent_plugin:x': no module 'absent_plugin' is installed or in the current folder"),
        ("os.absent:x", r"importing 'os.absent' failed \(No module named 'os.absent'; 'os' is not a package\); mend"),
        ("os:absent", "os has no 'absent'; give"),
        ("os:", "os has no ''; give"),
    ],
)
def test_errors(name, message):
    with pytest.raises(DataError, match=message) as caught:
        resolve(name, "thing", DataError)
    assert len(str(caught.value).splitlines()) == 1


def test_a_module_that_ends_the_program(tmp_path, monkeypatch):
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"importing 'leaving.py' failed \(it ends the program\); mend the module"):
        resolve("leaving.py:x", "thing", DataError)
