"""The hash of a stage's code changes with its code, and with nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genlab.results import code

Write = Callable[[str, str], None]


def forget() -> None:
    """Let the files be read again."""
    code._source.cache_clear()
    code.code.cache_clear()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of a small package that stands in for GenLab's own."""
    forget()
    package = tmp_path / "genlab"
    monkeypatch.setattr(code, "PACKAGE", package)

    def write(name: str, text: str) -> None:
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        forget()

    write("stage.py", "import os\nimport genlab.deep.one\n\ndef f(x):\n    return x\n")
    write("deep/__init__.py", "")
    write("deep/one.py", "def g():\n    from genlab.deep import two\n    return two\n")
    write("deep/two.py", "VALUE = 1\n")
    write("apart.py", "from genlab import stage\n")
    yield write
    forget()


def test_imports_are_followed_wherever_they_stand(write: Write) -> None:
    """Nested packages, imports within functions, and imports of a module by `from`."""
    assert list(code.modules(["genlab.stage:f"])) == [
        "genlab.deep", "genlab.deep.one", "genlab.deep.two", "genlab.stage",
    ]  # fmt: skip
    assert "genlab.stage" in code.modules(["genlab.apart"])


def test_imports_may_go_in_circles(write: Write) -> None:
    write("deep/two.py", "import genlab.stage\n")
    assert "genlab.deep.two" in code.modules(["genlab.deep.one"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stage.py", "import os\nimport genlab.deep.one\n\ndef f(x):\n    return x + 1\n"),
        ("deep/two.py", "VALUE = 2\n"),
        ("deep/__init__.py", "HERE = True\n"),
        ("deep/one.py", "def g():\n    pass\n"),
    ],
)
def test_a_change_of_code_changes_the_hash(write: Write, name: str, text: str) -> None:
    before = code.code("genlab.stage")
    write(name, text)
    assert code.code("genlab.stage") != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stage.py", '"""Says."""\nimport os\nimport genlab.deep.one\n\n'
                     'def f(x):\n    """Doc."""\n    return x\n'),
        ("deep/two.py", "VALUE = 1  # said differently\n\n\n"),
        ("apart.py", "SOMETHING = 'else'\n"),
    ],
)  # fmt: skip
def test_words_and_other_modules_do_not(write: Write, name: str, text: str) -> None:
    write("stage.py", '"""Said."""\nimport os\nimport genlab.deep.one\n\n'
                      'def f(x):\n    """Text."""\n    return x\n')  # fmt: skip
    before = code.code("genlab.stage")
    write(name, text)
    assert code.code("genlab.stage") == before


def test_a_file_beside_a_module_counts_as_its_code(write: Write) -> None:
    """A template or a style sheet that bears the module's name."""
    before = code.code("genlab.stage")
    write("other.css", "p { color: red }")
    assert code.code("genlab.stage") == before
    write("stage.css", "p { color: red }")
    assert code.code("genlab.stage") != before


def test_a_new_root_changes_the_hash(write: Write) -> None:
    assert code.code("genlab.stage") != code.code("genlab.stage", "genlab.apart")


def test_the_package_around_a_module_counts(write: Write) -> None:
    """Its `__init__` runs when the module is imported, by whatever kind of import."""
    write("stage.py", "import genlab.deep.one\n")
    before = code.code("genlab.stage")
    write("deep/__init__.py", "HERE = True\n")
    assert code.code("genlab.stage") != before


def test_packages_that_decide_no_bytes_are_not_followed(write: Write) -> None:
    write("stage.py", "import genlab.config.one\n")
    write("config/one.py", "import genlab.deep.one\n")
    assert list(code.modules(["genlab.stage"])) == ["genlab.stage"]


def test_an_import_for_type_checkers_is_not_followed(write: Write) -> None:
    before = code.modules(["genlab.deep.two"])
    lines = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import genlab.stage\n"
    write("deep/two.py", f"{lines}\nVALUE = 1\n")
    assert code.modules(["genlab.deep.two"]).keys() == before.keys()


def test_all_modules_of_a_package_can_be_roots(write: Write) -> None:
    """As for what is found there by its name: a module more changes the hash."""
    before = code.code("genlab.deep.*")
    assert list(code.modules(["genlab.deep.*"])) == ["genlab.deep", "genlab.deep.one",
                                                     "genlab.deep.two"]  # fmt: skip
    write("deep/three.py", "")
    assert code.code("genlab.deep.*") != before


def test_a_file_of_no_module_counts_as_its_package_s(write: Write) -> None:
    """Templates that several modules share."""
    before = code.code("genlab.deep.one")
    write("deep/shared.jinja", "<p>")
    assert code.code("genlab.deep.one") != before


def walked(text: str) -> list[str]:
    walk = code._Walk()
    walk.node(ast.parse(text))
    return walk.parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('raise ValueError("said")', 'raise ValueError("said differently")'),
        ('raise ValueError(f"{x} is wrong")', 'raise ValueError("wrong: " f"{y!r:>3}")'),
        ('error = ValueError("said")', 'error = ValueError("differently")'),
        ('assert x, "said"', "assert x"),
        ('x: int = 1\n"""Said."""', "x: int = 1"),
        ("del (a, b)", "del a, b"),
        ("(x): int = 1", "x: int = 1"),
        ("with (a as b, c): pass", "with a as b, c: pass"),
        ("x = 'a' 'b' f'{c}' 'd'", 'x = f"ab{c}d"'),
        ("x = u'a'", "x = 'a'"),
    ],
)
def test_formatting_and_messages_do_not_count(one: str, other: str) -> None:
    assert walked(one) == walked(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = None", "x = 'None'"),
        ("x = 'a'", "x = b'a'"),
        ('raise ValueError("said")', 'raise TypeError("said")'),
        ("raise f(1)", "raise f(2)"),
        ("{**a, b: 1}", "{b: 1, **a}"),
        ("f(x)", "f(*x)"),
        ("def f(*, a=1, b): pass", "def f(*, a, b=1): pass"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("f'{x:>3}'", "f'{x:>4}'"),
        ("f'{x}a'", "f'a{x}'"),
        ("match x:\n    case None: pass", "match x:\n    case False: pass"),
        ("async def f(): pass", "def f(): pass"),
        ("[x for x in y]", "(x for x in y)"),
        ("x[1:]", "x[:1]"),
        ("from a import b", "from a import b as c"),
        ("a = b = c", "a = b; b = c"),
    ],
)
def test_whatever_computes_something_else_counts(one: str, other: str) -> None:
    assert walked(one) != walked(other)


EVERYTHING = r'''
"""A docstring."""
from __future__ import annotations
import os.path as p, sys
from .a import (b as c, d)

X: Final[dict[str, list[int]]] = {"k": [1, -2, 0x10, 1e5, 2j, ...], **other}
"""Of an attribute."""
type_ = lambda *a, k=None, **kw: (yield)

@decorated(x)
class A(B, metaclass=C):
    x: int
    def f(self, a, /, b: int = 1, *c, d, e="é\N{BULLET}", **g) -> str | None:
        global G
        if (n := len(a)) > 1 and not b is None or 1 < n <= 3:
            return f"{a!r:>{n}} and {f'{b:{c}.{d}}'} {n = } {{}}" "tail" rf"\d{n}"
        elif n:
            raise ValueError(f"{n} is {'many'}") from None
        try:
            pass
        except* (OSError, KeyError) as error:
            del error, self.x
        else:
            assert n, "never"
        finally:
            n += 1
        while True:
            for i, *j in zip(a, strict=True):
                continue
            else:
                break
        return await_[::2, ..., 1] @ ~c if d else {*a} | {k: v for k, v in c if k if v}
    async def g(self):
        async with a as b, c:
            async for x in y: await x
        return [x async for x in y]

match point:
    case {"x": 0, **rest} | [1, *_] if rest: pass
    case A(1, x=None) as a: ...
    case "s" | -1.5 | b"b": pass
    case _: nonlocal_ = b"bytes" b"more"
'''


def test_a_pinned_hash_is_the_same_with_every_python(write: Write) -> None:
    """Of a source with every construct whose tree 3.12 and 3.13 changed: f-strings above all."""
    write("stage.py", EVERYTHING)
    assert code.code("genlab.stage") == "5c011810a562"


def test_a_reformatted_house_has_the_same_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole package, by ruff with other lines, quotes and commas."""

    def digests() -> dict[str, object]:
        forget()
        names = (
            "genlab." + ".".join(path.relative_to(package).with_suffix("").parts)
            for path in sorted(package.rglob("*.py"))
        )
        return {name: source for name in names if (source := code._source(name))}

    package = tmp_path / "genlab"
    shutil.copytree(code.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", package)
    before = digests()
    assert len(before) > 100
    text = (package / "models" / "vae.py").read_text()
    settings = ["line-length=60", "format.quote-style='single'", "format.indent-style='tab'",
                "format.skip-magic-trailing-comma=true"]  # fmt: skip
    options = [option for setting in settings for option in ("--config", setting)]
    subprocess.run(["ruff", "format", "--isolated", "-q", *options, str(package)], check=True)
    assert (package / "models" / "vae.py").read_text() != text
    assert digests() == before
    forget()
