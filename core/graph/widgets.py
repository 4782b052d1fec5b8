"""Names for the positional widget values of interface files."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
CONTROLS = ("fixed", "increment", "decrement", "randomize")
CONTROLLED = ("seed", "noise_seed")                       # get such a control by their names
UPLOADS = ("image_upload", "audio_upload", "video_upload", "file_upload")


def inputs_of(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(name, type, options) of a node's inputs in widget order: all required ones, then all optional ones."""
    for group in ("required", "optional"):
        for name, declared in spec["input"].get(group, {}).items():
            yield name, declared[0], declared[1] if len(declared) > 1 else {}


def is_widget(kind: Any, options: Mapping[str, Any]) -> bool:
    """True for what the frontend draws as a widget; old nodes give a combo's options as the type."""
    return not options.get("forceInput") and (
        isinstance(kind, list) or kind in WIDGET_TYPES or bool(options.get("widgetType")))


def combo_options(kind: Any, options: Mapping[str, Any]) -> list | None:
    """The choices of a combo in either spelling; None when it is no combo."""
    return kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None


def wrap(value: Any) -> Any:
    """A literal as it stands in API format, where a bare list would be a wire."""
    return {"__value__": value} if isinstance(value, list) else value


def widget_values(node: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The widget values of an interface node by name; what the file does not hold gets its default."""
    stored = node.get("widgets_values") or ()
    named = node.get("widgets_values_named") or (stored if isinstance(stored, dict) else None)
    values = named if named is not None else _by_position(list(stored), spec)
    return {name: wrap(values[name] if name in values else default_value(kind, options))
            for name, kind, options in inputs_of(spec) if is_widget(kind, options)}


def _by_position(stored: list, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Also steps over the widgets the frontend adds: "after generate" controls and upload buttons."""
    widgets = [(name, kind, options) for name, kind, options in inputs_of(spec) if is_widget(kind, options)]
    required = spec["input"].get("required", {})
    last_required = max((index for index, widget in enumerate(widgets) if widget[0] in required), default=-1)
    has_upload = any(options.get(flag) for _, _, options in widgets for flag in UPLOADS)
    values: dict[str, Any] = {}
    for index, (name, _, options) in enumerate(widgets):
        if not stored:
            break
        values[name] = stored.pop(0)
        controlled = options.get("control_after_generate") or name in CONTROLLED
        if controlled and stored and stored[0] in CONTROLS:
            stored.pop(0)
        # The upload button is the last required widget; it stores the name of the input it fills.
        if has_upload and index == last_required and len(stored) > len(widgets) - index - 1:
            stored.pop(0)
    return values


def default_value(kind: Any, options: Mapping[str, Any]) -> Any:
    """What the frontend puts into a new widget."""
    choices = combo_options(kind, options)
    if "default" in options:
        return options["default"]
    if choices is not None:
        return choices[0] if choices else None
    return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(kind, "")
