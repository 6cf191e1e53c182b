"""Callbacks that write: CSV files, servers, TensorBoard, Orbax."""

import http.server
import json
import struct
import sys
import threading
import urllib.parse
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from callbacks.fakes import FakeModel, fit

from gpulayers import callbacks
from gpulayers.arrays import Variable
from gpulayers.callbacks.event_file import EventFile, crc32c, png


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    fit(FakeModel(), [callbacks.CSVLogger(path)], [{"b": 1.0, "a": 0.5}, {"a": 2.0, "val_a": 3.0}])
    assert path.read_text() == "epoch,a,b,val_a,val_b\n0,0.5,1.0,NA,NA\n1,2.0,NA,3.0,NA\n"


def test_csv_goes_on_in_its_file(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        callback = callbacks.CSVLogger(path, separator=";", append=True)
        fit(FakeModel(), [callback], [{"loss": 1.0, "val_loss": np.array([1.0, 2.0])}])
    assert path.read_text() == "epoch;loss;val_loss\n" + "0;1.0;[1.0, 2.0]\n" * 2


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, self.headers["Content-Type"], self.headers["Key"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    received = []
    running = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield SimpleNamespace(root=f"http://127.0.0.1:{running.server_port}", received=received)
    running.shutdown()
    thread.join()
    running.server_close()


def test_remote_monitor(server):
    logs = [{"loss": 1.0, "parts": np.array([1, 2])}]
    fit(FakeModel(), [callbacks.RemoteMonitor(server.root, "/a/", headers={"Key": "k"})], logs)
    fit(FakeModel(), [callbacks.RemoteMonitor(server.root, send_as_json=True)], logs)
    (path, kind, key, form), (_, json_kind, _, text) = server.received
    expected = {"epoch": 0, "loss": 1.0, "parts": [1, 2]}
    assert (path, kind, key) == ("/a/", "application/x-www-form-urlencoded", "k")
    assert json.loads(urllib.parse.parse_qs(form)["data"][0]) == expected
    assert json_kind == "application/json"
    assert json.loads(text) == expected


def test_remote_monitor_without_a_server_warns(server):
    with pytest.warns(UserWarning, match="could not reach the server at http://127.0.0.1:1"):
        fit(FakeModel(), [callbacks.RemoteMonitor("http://127.0.0.1:1")], [{"loss": 1.0}])
    with pytest.raises(ValueError, match="root must begin with http"):
        callbacks.RemoteMonitor("file:///etc")


# TensorBoard. Its files are read back by a small reader of protocol buffers.


def test_checksums():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4 and the usual check value.
    assert crc32c(bytes(32)) == 0x8A9136AA


def fields(message):
    """Pairs (field number, value) of a message: ints, floats and bytes."""

    def varint():
        nonlocal place
        number = shift = 0
        while True:
            byte = message[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    found, place = [], 0
    while place < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            value = message[place : place + size]
            place += size
            if kind != 2:
                (value,) = struct.unpack("<d" if kind == 1 else "<f", value)
        found.append((key >> 3, value))
    return found


def events(folder):
    """(tag, step, fields of the value) of all summaries in the one event file of a folder."""
    (path,) = folder.iterdir()
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        head = data[place : place + 8]
        (size,) = struct.unpack("<Q", head)
        body = data[place + 12 : place + 12 + size]
        assert [unmasked(data, place + 8), unmasked(data, place + 12 + size)] == [
            crc32c(head),
            crc32c(body),
        ]
        place += size + 16
        event = dict(fields(body))
        if 5 in event:
            value = dict(fields(dict(fields(event[5]))[1]))
            found.append((value.pop(1).decode(), event.get(2, 0), value))
    return found


def unmasked(data, place):
    (crc,) = struct.unpack_from("<I", data, place)
    crc = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return (crc << 15 | crc >> 17) & 0xFFFFFFFF


def scalars(folder):
    return {(tag, step): value[2] for tag, step, value in events(folder) if 2 in value}


def test_tensorboard_by_epoch(tmp_path):
    callback = callbacks.TensorBoard(tmp_path, write_graph=False)
    fit(FakeModel(), [callback], [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 3.0}])
    assert scalars(tmp_path / "train") == {
        ("epoch_loss", 0): 1.0,
        ("epoch_loss", 1): 0.5,
        ("epoch_learning_rate", 0): pytest.approx(0.1),
        ("epoch_learning_rate", 1): pytest.approx(0.1),
    }
    assert scalars(tmp_path / "validation") == {
        ("epoch_loss", 0): 2.0,
        ("epoch_loss", 1): 3.0,
    }


def test_tensorboard_by_batch(tmp_path):
    callback = callbacks.TensorBoard(tmp_path, update_freq=2, write_steps_per_second=True)
    fit(FakeModel(), [callback], [{"loss": 1.0}], batches=5)
    found = scalars(tmp_path / "train")
    assert {key: v for key, v in found.items() if key[0] == "batch_loss"} == {
        ("batch_loss", 2): 1.0,
        ("batch_loss", 4): 1.0,
    }
    assert found["batch_steps_per_second", 4] > 0
    assert found["epoch_steps_per_second", 0] > 0


def test_tensorboard_by_evaluation(tmp_path):
    model = FakeModel()
    model.optimizer.iterations = 300
    calls = callbacks.CallbackList(
        callbacks.TensorBoard(tmp_path, update_freq="batch"), model=model
    )
    calls.on_test_begin()
    calls.on_test_batch_end(0, {"loss": 2.0})
    calls.on_test_end({"loss": 2.5})
    assert scalars(tmp_path / "validation") == {
        ("batch_loss", 1): 2.0,
        ("evaluation_loss_vs_iterations", 300): 2.5,
    }


def test_tensorboard_weights_and_graph(tmp_path):
    model = FakeModel()
    model.to_json = lambda: '{"class_name": "Sequential"}'
    kernel = Variable(np.arange(6, dtype=np.float32).reshape(3, 2), path="dense/kernel")
    model.layers = [SimpleNamespace(name="dense", weights=[kernel])]
    callback = callbacks.TensorBoard(tmp_path, histogram_freq=2, write_images=True)
    fit(model, [callback], [{"loss": 1.0}] * 3)
    found = events(tmp_path / "train")
    graph = next(value for tag, _, value in found if tag == "keras")
    assert b'{"class_name": "Sequential"}' in graph[8]
    assert b"graph_keras_model" in graph[9]
    histograms = [(s, fields(v[5])) for tag, s, v in found if tag == "dense/kernel/histogram"]
    assert [step for step, _ in histograms] == [0, 2]
    low, high, count, total, squares = (dict(histograms[0][1])[n] for n in (1, 2, 3, 4, 5))
    assert (low, high, count, total, squares) == (0, 5, 6, 15, 55)
    assert np.frombuffer(dict(histograms[0][1])[7]).sum() == 6
    image = next(dict(fields(v[4])) for tag, _, v in found if tag == "dense/kernel/image")
    assert (image[1], image[2], image[3]) == (2, 3, 1)  # Wider than high.
    assert image[4].startswith(b"\x89PNG")


def test_pictures():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    data = png(pixels)
    start = data.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(data[start:-16]), np.uint8).reshape(2, 7)
    np.testing.assert_array_equal(rows[:, 1:].reshape(2, 2, 3), pixels)
    pillow = pytest.importorskip("PIL.Image")
    import io

    np.testing.assert_array_equal(np.asarray(pillow.open(io.BytesIO(data))), pixels)


def test_histograms_of_odd_values(tmp_path):
    file = EventFile(str(tmp_path))
    file.histogram("nan", np.array([np.nan, np.inf]), 0)
    file.histogram("same", np.full(4, 7, np.int8), 0)
    file.close()
    ((tag, _, value),) = events(tmp_path)
    assert tag == "same"
    assert dict(fields(value[5]))[3] == 4


def test_tensorboard_embeddings(tmp_path):
    class Embedding:
        name = "words"
        embeddings = Variable(np.eye(2, dtype=np.float32))
        weights = ()

    model = FakeModel()
    model.layers = [Embedding()]
    callback = callbacks.TensorBoard(
        tmp_path, write_graph=False, embeddings_freq=1, embeddings_metadata={"words": "names.tsv"}
    )
    fit(model, [callback], [{"loss": 1.0}])
    assert (tmp_path / "words.tsv").read_text() == "1\t0\n0\t1\n"
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "words.tsv"' in config
    assert 'metadata_path: "names.tsv"' in config
    wrong = callbacks.TensorBoard(
        tmp_path, write_graph=False, embeddings_freq=1, embeddings_metadata={"wrods": "x"}
    )
    with pytest.raises(ValueError, match=r"names \['wrods'\], but the Embedding layers are"):
        wrong.set_model(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"profile_batch": 5}, "must be 0, got 5"), ({"update_freq": "step"}, "'batch' or a number")],
)
def test_bad_tensorboards(options, message):
    with pytest.raises(ValueError, match=message):
        callbacks.TensorBoard(**options)


def test_orbax_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ImportError, match="pip install orbax-checkpoint"):
        callbacks.OrbaxCheckpoint(tmp_path)
