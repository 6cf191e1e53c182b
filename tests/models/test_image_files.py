"""Images in files, and folders of them."""

import io

import numpy as np
import pytest
from PIL import Image

from gpulayers import config, layers, models, ops, preprocessing, utils

rng = np.random.default_rng(4)
PICTURE = rng.integers(0, 256, (12, 9, 3), dtype="uint8")


def test_there_and_back(tmp_path):
    for channels in (1, 3, 4):
        x = rng.integers(0, 256, (6, 5, channels)).astype("float32")
        utils.save_img(tmp_path / "x.png", x, scale=False)
        mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
        y = utils.img_to_array(utils.load_img(tmp_path / "x.png", color_mode=mode))
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, x)
    first = utils.img_to_array(Image.fromarray(PICTURE), data_format="channels_first")
    np.testing.assert_array_equal(first, PICTURE.transpose(2, 0, 1))
    back = utils.array_to_img(first, data_format="channels_first", scale=False)
    np.testing.assert_array_equal(np.asarray(back), PICTURE)


def test_scaled_to_all_that_a_byte_holds():
    x = np.array([[[-1.0], [0.0]], [[1.0], [3.0]]])
    expected = [[0, 63], [127, 255]]
    np.testing.assert_array_equal(np.asarray(utils.array_to_img(x)), expected)
    deep = utils.array_to_img(x * 1000 + 1000, scale=False)
    np.testing.assert_array_equal(np.asarray(deep), [[0, 1000], [2000, 4000]])


def test_sizes(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "x.png")
    assert utils.load_img(tmp_path / "x.png", target_size=(4, 8)).size == (8, 4)
    middle = utils.load_img(tmp_path / "x.png", target_size=(9, 9), keep_aspect_ratio=True)
    np.testing.assert_array_equal(np.asarray(middle), PICTURE[1:10])
    with open(tmp_path / "x.png", "rb") as file:
        assert utils.load_img(io.BytesIO(file.read())).size == (9, 12)


def test_transparent_images_become_jpeg(tmp_path):
    utils.save_img(tmp_path / "x.jpg", rng.random((8, 8, 4)))
    assert utils.load_img(tmp_path / "x.jpg").mode == "RGB"


def test_what_does_not_fit(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="color_mode must be one of"):
        utils.load_img(tmp_path / "x.png", color_mode="cmyk")
    with pytest.raises(ValueError, match="interpolation must be one of"):
        utils.load_img(tmp_path / "x.png", target_size=(2, 2), interpolation="cubic")
    with pytest.raises(ValueError, match="1, 3 or 4 channels, got 2"):
        utils.array_to_img(np.zeros((4, 4, 2)))
    with pytest.raises(ValueError, match="expected 3 axes"):
        utils.array_to_img(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="expected 2 or 3 axes"):
        utils.img_to_array(np.zeros(4))


@pytest.fixture
def folder(tmp_path):
    """Two classes, of 6 and 4 images of one colour each, and files that are no images."""
    for name, count in (("cats", 6), ("dogs", 4)):
        (tmp_path / name).mkdir()
        for i in range(count):
            colour = (10 * i, 200 if name == "dogs" else 0, 30)
            Image.new("RGB", (8 + i, 6), colour).save(tmp_path / name / f"{i}.png")
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def read(folder, **options):
    options = {"image_size": (5, 5), "batch_size": 4, "verbose": False, **options}
    return utils.image_dataset_from_directory(folder, **options)


def test_folders_are_classes(folder, capsys):
    dataset = read(folder, shuffle=False, verbose=True)
    assert capsys.readouterr().out == "Found 10 files belonging to 2 classes.\n"
    assert dataset.class_names == ["cats", "dogs"]
    assert len(dataset.file_paths) == 10
    x, y = (np.concatenate(parts) for parts in zip(*dataset, strict=True))
    assert (x.shape, x.dtype, y.dtype) == ((10, 5, 5, 3), np.float32, np.int32)
    np.testing.assert_array_equal(y, [0] * 6 + [1] * 4)
    np.testing.assert_array_equal(x[:, 2, 2, 0], [0, 10, 20, 30, 40, 50, 0, 10, 20, 30])
    np.testing.assert_array_equal(x[:, 2, 2, 1], 200 * y)


def test_labels(folder):
    binary = read(folder, label_mode="binary", shuffle=False)[1][1]
    np.testing.assert_array_equal(binary, np.float32([[0], [0], [1], [1]]))
    rows = read(folder, label_mode="categorical", class_names=["dogs", "cats"], shuffle=False)
    np.testing.assert_array_equal(rows[0][1], [[1, 0]] * 4)
    assert read(folder, labels=None, shuffle=False)[0].shape == (4, 5, 5, 3)
    own = read(folder, labels=[*range(10)], shuffle=False)
    np.testing.assert_array_equal(own[2][1], [8, 9])
    single, label = read(folder, batch_size=None, shuffle=False, color_mode="grayscale")[7]
    assert (single.shape, label) == ((5, 5, 1), 1)


def test_parts_fit_together(folder):
    train, rest = read(folder, validation_split=0.3, subset="both", seed=7)
    again = read(folder, validation_split=0.3, subset="validation", seed=7)
    assert (len(train.file_paths), len(rest.file_paths)) == (7, 3)
    assert rest.file_paths == again.file_paths
    assert not set(train.file_paths) & set(rest.file_paths)
    order = np.arange(10)
    np.random.RandomState(7).shuffle(order)  # Keras shuffles so.
    names = sorted(train.file_paths + rest.file_paths)
    assert train.file_paths + rest.file_paths == [names[i] for i in order]


def test_sizes_are_those_of_resize(folder):
    image = PICTURE.astype("float32")
    Image.fromarray(PICTURE).save(folder / "cats" / "0.png")
    for options in ({}, {"crop_to_aspect_ratio": True}, {"interpolation": "nearest"}):
        x, _ = read(folder, shuffle=False, **options)[0]
        np.testing.assert_array_equal(x[0], ops.image.resize(image, (5, 5), **options))
    x, _ = read(folder, shuffle=False, data_format="channels_first")[0]
    assert x.shape == (4, 3, 5, 5)


def test_a_model_learns_from_a_folder(folder):
    train, rest = read(folder, validation_split=0.3, subset="both", seed=1, batch_size=2)
    model = models.Sequential(
        [layers.Rescaling(1 / 255), layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, epochs=2, validation_data=rest, verbose=0).history
    assert len(history["val_accuracy"]) == 2
    assert model.predict(rest, verbose=0).shape == (3, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color_mode": "cmyk"}, "color_mode"),
        ({"label_mode": "float"}, "label_mode"),
        ({"validation_split": 0.2}, "go together"),
        ({"validation_split": 0.2, "subset": "training"}, "need a seed"),
        ({"class_names": ["birds"]}, "are not all among"),
        ({"labels": [0, 1]}, "2 labels for 10 files"),
        ({"label_mode": "binary", "class_names": ["cats"]}, "needs 2 classes, got 1"),
    ],
)
def test_options_that_do_not_fit(folder, options, message):
    with pytest.raises(ValueError, match=message):
        read(folder, **options)


def test_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        read(tmp_path, labels=None)


def test_older_places():
    assert preprocessing.image.load_img is utils.load_img
    assert preprocessing.sequence.pad_sequences is utils.pad_sequences
    assert config.image_data_format() == "channels_last"


def test_nothing_is_downloaded(tmp_path):
    (tmp_path / "datasets").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"https://a.b/c.txt yourself and put it at .*c.txt"
    ):
        utils.get_file(origin="https://a.b/c.txt", cache_dir=tmp_path)
    (tmp_path / "datasets" / "c.txt").write_text("here")
    path = utils.get_file("c.txt", "https://a.b/other.txt", cache_dir=tmp_path)
    assert path == str(tmp_path / "datasets" / "c.txt")
