"""YAML in which the names of classes stay the text that was written.

YAML 1.1 takes ``no``, ``off`` and ``01`` for false, false and 1; a list of classes means the words.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

_BOOL = "tag:yaml.org,2002:bool"


def quoted_names(text: str, key: str = "") -> str:
    """A YAML text in which the names of classes are in quotes, for whatever reads it next.

    Below a key ``classes`` these are the entries of a list, the values of ``{index: name}`` and
    every ``name``; in a ``class_map``, what reads as true or false is a name.

    Args:
        text: a document; one that is no YAML is left to its reader.
        key: the key that the whole document stands under, dotted, if any.

    >>> quoted_names("{classes: [no, 01, null, {name: off, color: [1, 2, 3]}], flip: no}")
    "{classes: ['no', '01', 'null', {name: 'off', color: [1, 2, 3]}], flip: no}"
    >>> quoted_names("[yes, car]", "data.classes"), quoted_names("classes: null")
    ("['yes', 'car']", 'classes: null')
    >>> quoted_names("class_map: {on: 3}")
    "class_map: {'on': 3}"
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return text
    if node is None:
        return text
    names = {name.start_mark.index: name for name in _found(key.rpartition(".")[2], node)}
    for start, name in sorted(names.items(), reverse=True):
        quoted = name.value.replace("'", "''")
        text = f"{text[:start]}'{quoted}'{text[name.end_mark.index :]}"
    return text


def _found(key: str, node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """The names below a node that stands under a key."""
    if key in ("classes", "class_map"):
        yield from _names(node, key == "classes")
    elif isinstance(node, yaml.MappingNode):
        for below, value in node.value:
            yield from _found(str(below.value), value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _found("", value)


def _names(node: yaml.Node, all_text: bool) -> Iterator[yaml.ScalarNode]:
    """The plain scalars in lists and mappings that may be no text to YAML."""
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [value for key, value in node.value if key.value not in ("color", "colour")]
        inner += [] if all_text else [key for key, _ in node.value]
    for value in inner:
        if not isinstance(value, yaml.ScalarNode):
            yield from _names(value, all_text)
        elif value.style is None and value.value and (all_text or value.tag == _BOOL):
            yield value
