"""The dialect of AutoTrain's configs: lines, values, references. Whatever is in the file, there is no traceback."""

from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from autotrain_cli.convert import Request, convert
from autotrain_cli.document import Comment, config_map, yaml_of
from autotrain_cli.ini import read_ini
from autotrain_cli.literals import read_literal
from autotrain_cli.problems import InputError
from autotrain_cli.references import resolve


def values(text: str) -> dict[str, Any]:
    return resolve(read_ini(text)).values


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        values(text)
    return [problem.describe("f") for problem in caught.value.problems]


# --- lines


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a = 1", 1),
        ("a: 1", 1),
        ("a:1", 1),
        ("a=1", 1),
        ("  a   =   1  ", 1),
        ("a = b = c", "b = c"),
        ("a: b = c", "b = c"),
        ("a = https://x.y/z?q=1#f", "https://x.y/z?q=1#f"),
        ("a =", ""),
        ("a = 0.5  # half", 0.5),
        ("a = small ; the size", "small"),
        ('a = ["x # y", "z"]  # two', ["x # y", "z"]),
        ("a = C# ", "C#"),
        ("a = [1,\n  2]", [1, 2]),
        ("a = [1,\n\n  # no end yet\n  2]", [1, 2]),
    ],
)
def test_a_line_is_a_key_and_a_value(line: str, value: Any):
    assert values(f"[s]\n{line}\n") == {"s.a": value}


def test_byte_order_marks_and_all_line_ends_are_read():
    assert values("\ufeff[s]\r\na = 1\rb = 2\n") == {"s.a": 1, "s.b": 2}


def test_names_keep_their_case_and_sections_may_have_spaces_around_them():
    assert values("[ S.t ]\nKey = 1") == {"S.t.Key": 1}


def test_comments_belong_to_the_key_below_them():
    ini = read_ini("# one\n\n; two\n[s]\n# three\na = 1 # four\n## five")

    assert ini.entries["s.a"].comments == ("one", "two", "three", "four")
    assert ini.comments == ("five",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1", "f:1: 'a' stands before the first [section]"),
        ("[s]\na = 1\n[s]", "f:3: [s] is there already, in line 1; join the two"),
        ("[s]\na = 1\na = 2", "f:3: s.a is there already, in line 2; keep one of the two"),
        ("[s]\na = 1\n[s.a]", "f:3: [s.a]: s.a is a value, in line 2; rename one of the two"),
        ("[s]\na = 1\na.b = 2", "f:3: s.a.b: s.a is a value, in line 2; rename one of the two"),
        ("[s\na", "f:1: found '[s'; allowed: [section], key = value, or a comment after # or ;"),
        ("[DEFAULT]", "f:1: AutoTrain refuses [DEFAULT]; give the section a name, such as [project]"),
        ("[a..b]", "f:1: [a..b] is no name of a section; allowed: words with dots between, as [training.data]"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_its_number(text: str, told: str):
    assert problems(text)[0] == told


def test_every_line_that_cannot_be_read_is_told():
    assert len(problems("x\n[s]\ny\nz")) == 3


@pytest.mark.parametrize("text", ["#" * 2_000_000, "[s]\n" + "\n".join(f"k{number} = 1" for number in range(3_000))])
def test_what_is_no_config_by_its_size_is_refused(text: str):
    assert "a config has at most" in problems(text)[0]


# --- values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("true", True),
        ("True", True),
        ("null", None),
        ("None", None),
        ('"1"', "1"),
        ("'text'", "text"),
        (r"'D:\temp\new'", r"D:\temp\new"),
        (r"'C:\Users\x'", r"C:\Users\x"),
        (r"'D:\\temp'", r"D:\temp"),
        (r'"D:\\temp"', r"D:\temp"),
        (r"'\\host\temp'", r"\\host\temp"),
        (r"'it\'s'", "it's"),
        ("(1, 2)", [1, 2]),
        ("{'a': [1, None]}", {"a": [1, None]}),
        ("yes", "yes"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("1+2j", "1+2j"),
        ("{1, 2}", "{1, 2}"),
        ("__import__('os')", "__import__('os')"),
        ("[" * 9_000, "[" * 9_000),
        ("9" * 5_000, "9" * 5_000),
    ],
)
def test_a_literal_is_what_it_says_and_everything_else_is_text(text: str, value: Any):
    assert read_literal(text) == value
    assert type(read_literal(text)) is type(value)


# --- references


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("${p.name}", "pets"),
        ("${p:name}", "pets"),
        ("x/${p.name}/y", "x/pets/y"),
        ("${p.size}", 3),
        ("${p.size}0", 30),
        ("${here}", "h"),
        ("${above}", "outer"),
        ("${q.above}", "outer"),
        ("${r.here}", "h"),
        ("${p.quoted}/b", "a b/b"),
        ('"${p.size}"', "3"),
        ("$${p.name}", "${p.name}"),
        ("${p.chain}", "pets/1/2"),
        ("[${p.size}, ${p.size}]", [3, 3]),
        ("${p}", {"name": "pets", "size": 3, "quoted": "a b", "chain": "pets/1/2", "t": {"k": 1}}),
    ],
)
def test_a_reference_is_what_it_stands_for(reference: str, value: Any):
    text = (
        f"[q]\nabove = outer\n[q.r]\nhere = h\nx = {reference}\n"
        '[p]\nname = pets\nsize = 3\nquoted = "a b"\nchain = ${one}/2\n[p.t]\nk = 1\n[o]\n'
    ).replace("${one}", "${p.name}/1")

    assert values(text)["q.r.x"] == value


def test_a_key_that_refers_to_its_own_name_means_the_one_of_the_section_around():
    assert values("[p]\nroot = /a\n[p.data]\nroot = ${root}/data")["p.data.root"] == "/a/data"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x = ${s.y}", "f:4: s.x: there is no 's.y'"),
        ("x = ${t.naem}", "f:4: s.x: there is no 't.naem'; did you mean ${t.name}?"),
        ("x = ${u.name}", "f:4: s.x: there is no 'u.name'; did you mean ${t.name}?"),
        ("x = ${s.x}", "f:4: s.x: ${s.x} is this very key"),
        ("x = ${t}/y", "f:4: s.x: ${t} is a whole section; name one of its keys"),
        ("x = ${y}\ny = a${x}", "f:4: s.x: the references go in a circle: s.x -> s.y -> s.x"),
        ("x = $HOME/data", "f:4: s.x: found '$HOME/data'; allowed after $: {section.key}, or $ for a dollar sign"),
        ("x = ${open", "f:4: s.x: found '${open'; allowed after $: {section.key}, or $ for a dollar sign"),
        ("x = ${}", "f:4: s.x: there is no ''"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told_with_its_line(line: str, told: str):
    assert problems(f"[t]\nname = 1\n[s]\n{line}")[0] == told


def test_references_cannot_blow_a_value_up():
    lines = "\n".join(f"k{number} = {'${' + f'k{number - 1}' + '}'}" * 10 for number in range(1, 20))

    assert "more than 100000 characters" in problems(f"[s]\nk0 = xxxxxxxxxx\n{lines}")[0]


# --- never a traceback

NAMES = st.sampled_from(
    ["project", "training", "training.scheme", "architecture", "architecture.head", "epochs", "name"]
)
WORDS = NAMES | st.sampled_from(
    [
        "=",
        ":",
        "[",
        "]",
        "\n",
        "  ",
        "${",
        "}",
        "$$",
        "@head",
        "type",
        "dir",
        "1",
        "0.5",
        "resnet18",
        "backbone",
        "#",
        ";",
    ]
)
CONFIGS = st.lists(WORDS | st.text(max_size=4), max_size=40).map("".join)


@given(st.text() | CONFIGS)
@example("[a]\nb = '\\ud800'")
@example("[a]\nb = ${a}")
def test_whatever_the_file_holds_there_are_problems_or_yaml(text: str):
    with suppress(InputError):
        assert yaml.safe_load(convert(Request("config.ini", text)).text)["kind"] == "TrainingJob"


GOOD = """
[project]
name = {}
type = classification
data_source_url = https://example.org/{}.zip
classes = {}
[architecture]
backbone = resnet18
[{}]
{} = {}
"""


@given(st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=6, max_size=6))
def test_good_configs_with_any_words_in_them_are_yaml_or_problems(words: list[str]):
    with suppress(InputError):
        result = convert(Request("config.ini", GOOD.format(*words)))
        assert yaml.safe_load(result.text)["spec"]["model"] == {"backbone": "resnet18"}


# --- YAML

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.text(max_size=9))
def test_what_is_written_is_read_again_with_comments_or_without(value: dict[str, Any], remark: str):
    comments = {(key,): Comment((remark,), remark) for key in value}

    assert (yaml.safe_load(yaml_of(value, comments)) or {}) == value


@pytest.mark.parametrize("text", ["y", "N", "1e-3", "0o17", "1_0", "0x1F", "+1", ".5", "2021-10-09", "true", "null"])
def test_what_other_readers_take_for_something_else_stands_in_quotes(text: str):
    assert yaml_of({"a": [text]}, {}).strip() in (f'a: ["{text}"]', f"a: ['{text}']")


@given(st.text(max_size=40))
@example("  first line indented\n\tand a tab \n\n\n")
def test_a_file_in_a_config_map_keeps_every_character(content: str):
    read = yaml.safe_load(config_map("name", {"a.py": content, "b.py": content}))

    assert read["data"] == {"a.py": content, "b.py": content}


def test_a_file_in_a_config_map_can_be_read_by_people():
    assert "  a.py: |2+\n    def f():\n        return 1 \n" in config_map("name", {"a.py": "def f():\n    return 1 \n"})
