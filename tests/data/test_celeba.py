"""CelebA: from its three files to arrays, downloaded as from Google Drive or from a mirror.

Of the real formats, with few pictures; only the table of expected checksums is replaced. Google
Drive is played by a server that the real client reaches through a proxy, and over TLS.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import ssl
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from servers import Mirror, serving
from torchvision.datasets import CelebA

from genlab.config.sources.celeba import FACE_ATTRIBUTES
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder

Genlab = Callable[..., Any]
PARTS = [0, 2, 1, 0, 0, 2]  # of the six pictures: training, test, validation ...
MALE, SMILING = [1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 0, 1]
NAMES = [f"{i + 1:06}.jpg" for i in range(6)]
PICTURES = "img_align_celeba.zip"


def face(i: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """White, with a square of 140 pixels in its middle: black on the left, grey on the right."""
    picture = Image.new("RGB", size, "white")
    left, top = (size[0] - 140) // 2, (size[1] - 140) // 2
    picture.paste((0, 0, 0), (left, top, left + 70, top + 140))
    picture.paste((20 * (i + 1),) * 3, (left + 70, top, left + 140, top + 140))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    return file.getvalue()


def zipped(faces: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in faces.items():
            archive.writestr(f"img_align_celeba/{name}", content)
    return file.getvalue()


def attributes() -> bytes:
    """The list of attributes as it is published, all -1 but for two columns."""
    lines = ["6", " ".join(FACE_ATTRIBUTES) + " "]
    for name, male, smiling in zip(NAMES, MALE, SMILING, strict=True):
        has = {"Male": male, "Smiling": smiling}
        lines.append(
            f"{name} " + " ".join(f"{2 * has.get(face, 0) - 1:2}" for face in FACE_ATTRIBUTES)
        )
    return "\n".join(lines).encode()


FILES = {
    PICTURES: zipped({name: face(i) for i, name in enumerate(NAMES)}),
    "list_attr_celeba.txt": attributes(),
    "list_eval_partition.txt": "".join(
        f"{name} {part}\n" for name, part in zip(NAMES, PARTS, strict=True)
    ).encode(),
}
IDS = {name: f"id-of-{i}" for i, name in enumerate(FILES)}


@pytest.fixture(autouse=True)
def _checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the small files in the place of the published ones."""
    monkeypatch.setattr(
        CelebA, "file_list", [(IDS[n], hashlib.md5(c).hexdigest(), n) for n, c in FILES.items()]
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., DataFolder]:
    """`dataset(...)` is the folder of CelebA with two attributes and pictures of 14 pixels."""

    def make(**values: Any) -> DataFolder:
        at = DataFolder(tmp_path / "results/data/celeba")
        at.folder.mkdir(parents=True)
        defaults = {"source": "celeba", "size": 14, "attributes": ["Male", "Smiling"]}
        at.config.write_text(yaml.safe_dump({**defaults, **values}))
        return at

    return make


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the three files."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def test_faces_become_arrays_of_their_middle_and_classes_of_their_attributes(
    own: Path, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    at = dataset(raw=str(own))
    assert genlab("fetch", "--config", at.config).status == 0
    assert genlab("prepare", "--config", at.config).status == 0
    for split, part in (("train", 0), ("test", 2)):
        which = [i for i in range(6) if PARTS[i] == part]
        images = read_array(at.images(split)).astype(int)
        assert images.shape == (len(which), 3, 14, 14)
        # The white border is cut off; a JPEG of quality 95 and the edge's scaling cost a little
        assert images[..., :6].max() <= 5
        for image, i in zip(images, which, strict=True):
            assert np.abs(image[..., 8:] - 20 * (i + 1)).max() <= 5
        assert read_array(at.labels(split)).tolist() == [2 * MALE[i] + SMILING[i] for i in which]
    assert read_json(at.manifest)["classes"] == [
        "not Male, not Smiling", "not Male, Smiling", "Male, not Smiling", "Male, Smiling",
    ]  # fmt: skip


def test_a_mirror_is_asked_for_all_three(
    dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    with serving(Mirror(FILES)) as mirror:
        at = dataset(mirror=mirror.address)
        assert genlab("fetch", "--config", at.config).status == 0
    assert {p.name: p.read_bytes() for p in (at.folder / "raw").iterdir()} == FILES


class Drive(ThreadingHTTPServer):
    """A proxy that is itself what it's asked for: Google Drive's two hosts, over TLS.

    The first host answers with a page that warns that the file can't be scanned for viruses, with a
    form that leads to the second one. What the second host gives for each file is in `content`.
    """

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), DriveHandler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.content = {IDS[name]: content for name, content in FILES.items()}


class DriveHandler(BaseHTTPRequestHandler):
    server: Drive

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.host = self.path.partition(":")[0]
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = (self.connection.makefile(mode) for mode in ("rb", "wb"))
        self.handle_one_request()
        self.close_connection = True

    def do_GET(self) -> None:
        identifier = parse_qs(urlsplit(self.path).query)["id"][0]
        if self.host == "drive.google.com":
            self.answer(
                b'<html><form id="download-form" method="get" '
                b'action="https://drive.usercontent.google.com/download">'
                b'<input type="hidden" name="id" value="' + identifier.encode() + b'">'
                b'<input type="hidden" name="confirm" value="t"></form></html>',
                "Content-Type", "text/html; charset=utf-8",
            )  # fmt: skip
        elif content := self.server.content[identifier]:
            self.answer(content, "Content-Disposition", 'attachment; filename="any"')
        else:
            self.answer(
                b'<html><p class="uc-error-subcaption">Too many users have viewed or downloaded '
                b"this file recently.</p></html>",
                "Content-Type", "text/html; charset=utf-8",
            )  # fmt: skip

    def answer(self, content: bytes, header: str, value: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        if header != "Content-Type":
            self.send_header("Content-Type", "application/octet-stream")
        self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def certificate(path: Path) -> Path:
    """A file with a key and a certificate of Google Drive's hosts that it signed itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    hosts = ["drive.google.com", "drive.usercontent.google.com"]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def ask_through(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let all clients ask the proxy at this port, whatever the environment said before."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    """Google Drive, as the clients in this process see it."""
    trusted = certificate(tmp_path / "drive.pem")
    with serving(Drive(trusted)) as server:
        ask_through(monkeypatch, server.server_port)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
        yield server


def test_google_drive_s_warning_is_passed(
    drive: Drive, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    at = dataset()
    ended = genlab("fetch", "--config", at.config)
    assert (ended.status, ended.err.count("error")) == (0, 0)
    assert {p.name: p.read_bytes() for p in (at.folder / "raw").iterdir()} == FILES


@pytest.mark.parametrize("trouble", ["quota", "damage", "down"])
def test_what_google_drive_refuses_is_named_with_a_way_out(
    trouble: str, drive: Drive, dataset: Callable[..., DataFolder], genlab: Genlab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if trouble == "down":
        ask_through(monkeypatch, 9)
    drive.content[IDS[PICTURES]] = b"no zip" if trouble == "damage" else b""
    said = {"quota": "Too many users", "damage": "expected", "down": "Max retries exceeded"}
    at = dataset()
    ended = genlab("fetch", "--config", at.config)
    assert ended.status == 1
    lines = ended.err[ended.err.index("error: ") :].splitlines()
    assert lines[0] == f"error: {at.folder}/raw/{PICTURES}: could not be downloaded:"
    assert lines[1].startswith(f"https://drive.google.com/file/d/{IDS[PICTURES]}: ")
    assert said[trouble] in lines[1]
    assert lines[-1].endswith("and set the data set's `raw` to their folder")
    assert list((at.folder / "raw").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (PICTURES, b"no zip", "can't be read (File is not a zip file)"),
        (PICTURES, zipped({NAMES[0]: face(0)}), f"{NAMES[3]}: There is no item named"),
        (
            PICTURES,
            zipped({name: face(0, (178, 200)) for name in NAMES}),
            f"{NAMES[0]}: 178x200 pixels instead of 178x218",
        ),
        (PICTURES, zipped(dict.fromkeys(NAMES, b"no picture")), f"{NAMES[0]}: cannot identify"),
        (PICTURES, FILES[PICTURES].replace(b"\xff\xd8", b"\xff\xd9"), f"{NAMES[0]}: Bad CRC-32"),
        ("list_attr_celeba.txt", b"6\nMale Smiling\n", "not CelebA's list"),
        ("list_attr_celeba.txt", attributes().replace(b" 1", b" 2"), "not CelebA's list"),
        ("list_attr_celeba.txt", attributes().replace(b"6\n", b"7\n", 1), "not CelebA's list"),
        (
            "list_attr_celeba.txt",
            b"\n".join([b"5", *attributes().split(b"\n")[1:-1]]),
            f"has no row for {NAMES[5]}",
        ),
        ("list_eval_partition.txt", b"000001.jpg train\n", "expected lines of a picture's name"),
        ("list_eval_partition.txt", b"000001.jpg 0\n000004.jpg 1\n", "or none in part"),
        ("list_eval_partition.txt", b"000001.jpg 0\n000001.jpg 2\n", "lists a picture twice"),
        ("list_eval_partition.txt", b"\xff\xfe", "can't be read"),
    ],
    ids=[
        "no zip", "missing", "size", "no picture", "damaged", "attributes", "a 2", "count", "row",
        "part", "no test", "twice", "text",
    ],
)  # fmt: skip
def test_another_file_in_one_s_place_is_named(
    name: str, content: bytes, said: str,
    own: Path, dataset: Callable[..., DataFolder], genlab: Genlab,
) -> None:  # fmt: skip
    (own / name).write_bytes(content)
    at = dataset(raw=str(own))
    assert genlab("fetch", "--config", at.config).status == 0
    ended = genlab("prepare", "--config", at.config)
    assert ended.status == 1
    assert f"error: {own / name}: " in ended.err and said in ended.err


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (["Male", "Smilin"], "unknown attribute 'Smilin': did you mean 'Smiling'?"),
        (["Male", "Male"], "'Male' is listed twice"),
        ([], "attributes"),
        (["Male", "Smiling", "Young"], "names: 2 names for 8 classes"),
    ],
)
def test_a_wrong_attribute_is_refused_before_anything_is_fetched(
    attributes: list[str], said: str, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    at = dataset(attributes=attributes, names=["he", "she"])
    ended = genlab("fetch", "--config", at.config)
    assert ended.status == 1
    assert said in ended.err
