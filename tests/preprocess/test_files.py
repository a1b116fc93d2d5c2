"""JSON files: errors name the file, and files are written completely or not at all."""

import hashlib
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from preprocess.errors import InputError
from preprocess.files import (
    check_writable,
    encode_json,
    is_unfinished,
    meta_path,
    names_full_disk,
    read_hashed_json,
    read_json,
    write_bytes,
    write_json,
    write_pair,
)

UNUSUAL = {
    "braces": "{text} {} {0} }{",
    "control": "\x00\x01\x1b[31m\x7f\u2028\x85\r\n\t",
    "emoji": "👩‍👩‍👧 🇫🇷 \U0010ffff",
    "right-to-left": "עולם \u202eمرحبا",
    "combining": "e\u0301 ﷽",
    "backslashes": '\\ud800 \\n \\\\ "',
    "empty": "",
}


def test_unusual_text_is_read_as_written(tmp_path: Path):
    write_json(tmp_path / "x.json", UNUSUAL)
    assert read_json(tmp_path / "x.json", "--data_path") == UNUSUAL
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == UNUSUAL


def test_a_byte_order_mark_is_ignored(tmp_path: Path):
    (tmp_path / "x.json").write_text('["\ufeff a"]\r\n', encoding="utf-8-sig")
    assert read_json(tmp_path / "x.json", "--data_path") == ["\ufeff a"]


@pytest.mark.parametrize("key", UNUSUAL)
def test_half_a_surrogate_pair_is_read_as_the_replacement_character(key: str, tmp_path: Path):
    """JSON escapes can contain one, but tokenizers and UTF-8 files cannot. Adjacent text is unchanged."""
    content = [UNUSUAL[key] + "a\ud800b", "\udc00\ud83d\ude00", UNUSUAL[key]]
    (tmp_path / "x.json").write_text(json.dumps(content))  # with escapes
    assert read_json(tmp_path / "x.json", "") == [UNUSUAL[key] + "a\ufffdb", "\ufffd😀", UNUSUAL[key]]
    assert json.loads(encode_json(content).decode("utf-8")) == json.loads(json.dumps(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.json: not JSON: line 1 column 1"),
        (b'[{"text": "a"', "x.json: not JSON: line 1 column 14"),
        (b'{\n"a": 1,\n}', "x.json: not JSON: line 3 column 1"),
        (b'["caf\xe9"]', "x.json: not UTF-8 at byte 5 in line 1"),
        (b'[1,\n2,\n"caf\xe9"]', "x.json: not UTF-8 at byte 11 in line 3"),
        (b"[" * 200_000, "x.json: invalid: maximum recursion depth"),
    ],
)
def test_unreadable_files_are_named(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_json(tmp_path / "x.json", "--data_path")
    assert message in str(error.value)
    assert str(error.value).endswith("(--data_path)")


def test_numbers_and_texts_of_many_digits(tmp_path: Path):
    """Files of other programs contain them, for example as an unlimited length."""
    content = [2**63 - 1, -(2**62), 0.12345678901234567890123, "9" * 400]
    (tmp_path / "x.json").write_text(json.dumps(content)[:-1] + f", {10**30}, -{'1' * 5000}]")
    found = read_json(tmp_path / "x.json", "--data_path")
    assert found == [*content, 1e30, -math.inf]
    assert list(map(type, found)) == [int, int, float, str, float, float]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"nosuch\.json: no such file \(--data_path\)"):
        read_json(tmp_path / "nosuch.json", "--data_path")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory \(--data_path\)"):
        read_json(tmp_path, "--data_path")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_and_no_other(function: str, tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.json"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("x.json", b"old")]


def test_a_file_appears_complete_in_a_new_folder_with_default_permissions(tmp_path: Path, monkeypatch):
    sizes: list[int] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (sizes.append(os.path.getsize(old)), replace(old, new)))
    path = tmp_path / "a" / "b" / "x.json"
    write_bytes(path, b"x" * 100_000)
    (tmp_path / "plain").touch()
    assert sizes == [100_000]
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_unwritable_paths_are_found_before_the_work_and_nothing_is_created(tmp_path: Path):
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path / "file" / "x.json", "x.json: cannot be written: Not a directory (--data_path)"),
        (tmp_path / "file" / "new" / "x.json", "cannot be written: Not a directory"),
        (tmp_path, "is a folder, expected a file name (--data_path)"),
    ):
        with pytest.raises(InputError) as error:
            check_writable(path, "--data_path")
        assert message in str(error.value)
    check_writable(tmp_path / "new" / "folder" / "x.json", "--data_path")
    check_writable("x.json", "--data_path")  # beside us
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("name", "meta"), [("a/x.json", "a/x.meta.json"), ("x.1.json", "x.1.meta.json")])
def test_the_meta_file_is_beside_the_file(name: str, meta: str):
    assert meta_path(name) == Path(meta)


def test_only_regular_files_are_read(tmp_path: Path):
    """Reading a pipe would block, and a device would fill the memory."""
    os.mkfifo(tmp_path / "pipe")
    reading, writing = os.pipe()  # what a shell makes of <(cat x)
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null"), Path(f"/dev/fd/{reading}")):
        with pytest.raises(
            InputError, match=rf"^{path}: not a regular file \(a pipe or a device\); save .* \(--words\)$"
        ):
            read_json(path, "--words")
    os.close(reading)
    os.close(writing)


def test_the_hash_is_that_of_the_bytes_that_are_parsed(tmp_path: Path, monkeypatch):
    """Also if the file is replaced directly after reading."""
    path, read = tmp_path / "x.json", Path.read_bytes
    path.write_bytes(b"\xef\xbb\xbf[1]\r\n")

    def read_once(path: Path) -> bytes:
        content = read(path)
        path.write_text("[2]")
        return content

    monkeypatch.setattr(Path, "read_bytes", read_once)
    assert read_hashed_json(path, "") == ([1], hashlib.sha256(b"\xef\xbb\xbf[1]\r\n").hexdigest())


@pytest.mark.parametrize("existing", [None, b"old"])
def test_a_kill_at_any_file_operation_of_a_pair(existing: bytes | None, tmp_path: Path):
    """Remaining files are complete or recognized as ours, unless changed. The next writer removes hidden ones."""
    for moment in range(40):
        folder = tmp_path / str(moment)
        folder.mkdir()
        path = folder / "x.json"
        if existing is not None:
            write_pair(path, existing, b"meta of old")
        child = os.fork()
        if child == 0:
            left = iter(range(moment))
            for name in ("replace", "unlink", "fsync", "chmod"):
                real = getattr(os, name)

                def killed(*arguments: object, real=real, left=left, **more: object) -> object:
                    return real(*arguments, **more) if next(left, None) is not None else os._exit(9)

                setattr(os, name, killed)
            write_pair(path, b"new", b"meta of new")
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        whole = path.exists() and meta_path(path).exists()
        if path.exists() and not whole:
            assert is_unfinished(path)
        elif whole:
            assert meta_path(path).read_bytes() == {b"old": b"meta of old", b"new": b"meta of new"}[path.read_bytes()]
        write_pair(path, b"new", b"meta of new")
        assert {file.name for file in folder.iterdir()} == {"x.json", "x.meta.json"}
        if status == 0:
            break
    assert 5 < moment < 39


def test_files_of_others_are_not_unfinished(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_bytes(b"theirs")
    assert not is_unfinished(path)
    (tmp_path / ".x.json.unfinished").write_text(hashlib.sha256(b"ours").hexdigest())
    assert not is_unfinished(path)
    path.write_bytes(b"ours")
    assert is_unfinished(path)


def test_an_existing_pair_is_not_changed(tmp_path: Path):
    path = tmp_path / "x.json"
    write_pair(path, b"a", b"b")
    before = path.stat().st_ino, meta_path(path).stat().st_ino
    write_pair(path, b"a", b"b")
    assert (path.stat().st_ino, meta_path(path).stat().st_ino) == before


@pytest.mark.parametrize(
    ("error", "free", "named"),
    [
        (OSError(28, "No space left on device"), 10**9, True),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), 10**9, True),
        (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), 1000, True),
        (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), 10**9, False),
        (RuntimeError("something else"), 1000, False),
        (OSError(28, "No space left on device", "elsewhere"), 1000, False),
    ],
)
def test_a_full_disk_of_libraries_is_named_with_its_folder(error, free, named, tmp_path: Path, monkeypatch):
    def work(_: object) -> None:
        raise error

    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(type(error) if not named else OSError) as raised:
        names_full_disk(work)(SimpleNamespace(output_dir=str(tmp_path)))
    assert (getattr(raised.value, "filename", None) == str(tmp_path)) == named


def test_a_full_disk_is_named_with_its_file(tmp_path: Path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/x\.json'$"):
        write_bytes(tmp_path / "x.json", b"1")
    assert list(tmp_path.iterdir()) == []
