"""Socket and widget types with their `Input` and `Output`, limited to the arguments every host knows.

Arguments after the id (and a combo's options) are keywords only: their positions differ between hosts.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar


class FolderType(str, Enum):
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):
    number = "number"
    slider = "slider"


_NOT_OPTIONS = ("id", "optional", "extra_dict", "upload", "source", "types")
_JSON_NAMES = {"force_input": "forceInput", "dynamic_prompts": "dynamicPrompts", "display_mode": "display"}


@dataclass(eq=False, kw_only=True)
class Input:
    """One input of a node. `extra_dict` holds further options for the frontend."""

    id: str = field(kw_only=False)
    display_name: str | None = None
    optional: bool = False
    tooltip: str | None = None
    lazy: bool | None = None
    extra_dict: dict[str, Any] = field(default_factory=dict, init=False)
    io_type: ClassVar[str] = ""

    def get_io_type(self) -> str:
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """The options as `/object_info` gives them."""
        named = {_JSON_NAMES.get(f.name, f.name): getattr(self, f.name) for f in fields(self)
                 if f.name not in _NOT_OPTIONS}
        plain = {key: value.value if isinstance(value, Enum) else value for key, value in named.items()}
        return {key: value for key, value in (plain | self.extra_dict).items() if value is not None}

    def problems(self) -> list[str]:
        """What would go wrong on some host, one phrase each."""
        return []


@dataclass(eq=False, kw_only=True)
class Output:
    """One output of a node."""

    id: str | None = field(default=None, kw_only=False)
    display_name: str | None = None
    tooltip: str | None = None
    is_output_list: bool = False
    io_type: ClassVar[str] = ""


# New frontends draw an editor for these names and fill an optional input with its default.
_EDITOR_NAMES = frozenset((
    "BOUNDING_BOX", "BOUNDING_BOXES", "COLOR", "COLORS", "CURVE", "RANGE", "IMAGECOMPARE", "PAINTER",
    "COMPOSITOR", "CHART", "GALLERIA", "TEXTAREA", "MARKDOWN", "WEBCAM", "LOAD_3D", "VIDEO_EDIT"))


@dataclass(eq=False, kw_only=True)
class SocketInput(Input):
    """An input without a widget."""

    extra_dict: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> list[str]:
        if self.io_type in _EDITOR_NAMES and not self.extra_dict.get("forceInput"):
            return [f"{self.io_type} is a widget on new frontends; add extra_dict={{'forceInput': True}}"]
        return []


class ComfyType:
    """A type two sockets may share."""

    io_type: ClassVar[str]
    Input: ClassVar[type[SocketInput]]
    Output: ClassVar[type[Output]]


def _output(name: str) -> type[Output]:
    return type("Output", (Output,), {"io_type": name})


def Custom(io_type: str) -> type[ComfyType]:
    """A socket type by name: the name is the whole contract."""
    socket = type("Input", (SocketInput,), {"io_type": io_type})
    return type(io_type, (ComfyType,), {"io_type": io_type, "Input": socket, "Output": _output(io_type)})


Image, Mask, Latent, Video = Custom("IMAGE"), Custom("MASK"), Custom("LATENT"), Custom("VIDEO")
Model, Vae, Clip, Conditioning = Custom("MODEL"), Custom("VAE"), Custom("CLIP"), Custom("CONDITIONING")
BBOX, SEGS, Point, AnyType = Custom("BBOX"), Custom("SEGS"), Custom("POINT"), Custom("*")


@dataclass(eq=False, kw_only=True)
class WidgetInput(Input):
    """An input with a widget; `extra_dict` may be filled afterwards but is no argument on the oldest host."""

    default: Any = None
    socketless: bool | None = None
    value_types: ClassVar[tuple[type, ...]] = ()

    def problems(self) -> list[str]:
        if self.default is not None and type(self.default) not in self.value_types:
            return [f"the default {self.default!r} is a {type(self.default).__name__}, no plain "
                    + " or ".join(kind.__name__ for kind in self.value_types)]
        return []


@dataclass(eq=False, kw_only=True)
class _Number(WidgetInput):
    force_input: bool | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    display_mode: NumberDisplay | None = None

    def problems(self) -> list[str]:
        found = super().problems()
        for name in ("min", "max", "step"):
            value = getattr(self, name)
            if value is not None and type(value) not in self.value_types:
                found.append(f"{name} {value!r} is a {type(value).__name__}, no plain {self.io_type} number")
        if not found and self.default is not None:
            low = self.default if self.min is None else self.min
            high = self.default if self.max is None else self.max
            if not low <= self.default <= high:
                found.append(f"the default {self.default} lies outside {self.min} to {self.max}")
        return found


class Int:
    io_type = "INT"
    Output = _output("INT")

    @dataclass(eq=False, kw_only=True)
    class Input(_Number):
        control_after_generate: bool | None = None
        io_type: ClassVar[str] = "INT"
        value_types: ClassVar[tuple[type, ...]] = (int,)


class Float:
    io_type = "FLOAT"
    Output = _output("FLOAT")

    @dataclass(eq=False, kw_only=True)
    class Input(_Number):
        round: float | None = None
        io_type: ClassVar[str] = "FLOAT"
        value_types: ClassVar[tuple[type, ...]] = (float, int)


class String:
    io_type = "STRING"
    Output = _output("STRING")

    @dataclass(eq=False, kw_only=True)
    class Input(WidgetInput):
        force_input: bool | None = None
        multiline: bool = False
        placeholder: str | None = None
        dynamic_prompts: bool | None = None
        io_type: ClassVar[str] = "STRING"
        value_types: ClassVar[tuple[type, ...]] = (str,)


class Boolean:
    io_type = "BOOLEAN"
    Output = _output("BOOLEAN")

    @dataclass(eq=False, kw_only=True)
    class Input(WidgetInput):
        force_input: bool | None = None
        label_on: str | None = None
        label_off: str | None = None
        io_type: ClassVar[str] = "BOOLEAN"
        value_types: ClassVar[tuple[type, ...]] = (bool,)


class Combo:
    io_type = "COMBO"

    @dataclass(eq=False, kw_only=True)
    class Input(WidgetInput):
        options: Sequence[str] | Sequence[int] | type[Enum] = field(kw_only=False)
        control_after_generate: bool | None = None
        upload: UploadType | None = None
        image_folder: FolderType | None = None
        io_type: ClassVar[str] = "COMBO"
        value_types: ClassVar[tuple[type, ...]] = (str, int)

        def __post_init__(self) -> None:
            if isinstance(self.options, type):
                self.options = [member.value for member in self.options]
            if isinstance(self.default, Enum):
                self.default = self.default.value

        def as_dict(self) -> dict[str, Any]:
            uploads = {self.upload.value: True} if self.upload else {}
            return super().as_dict() | uploads | {"multiselect": False}

        def problems(self) -> list[str]:
            if not isinstance(self.options, list) or not self.options:
                return ["a combo needs a list with at least one option"]
            if self.default is not None and self.default not in self.options:
                return [f"the default {self.default!r} is none of its options"]
            return super().problems()


class MultiType:
    """Several types on one socket."""

    @dataclass(eq=False, kw_only=True)
    class Input(SocketInput):
        """`source`: an id, or a widget input that is used while nothing is linked."""

        id: str | WidgetInput = field(kw_only=False)  # type: ignore[assignment]
        types: Sequence[Any] = field(kw_only=False)
        source: WidgetInput | None = field(default=None, init=False)

        def __post_init__(self) -> None:
            given = self.id
            if isinstance(given, WidgetInput):
                self.source, self.id = given, given.id
                for name in ("display_name", "tooltip", "lazy", "optional"):
                    setattr(self, name, getattr(given, name) or getattr(self, name))

        def get_io_type(self) -> str:
            own = [self.source.io_type] if self.source else []
            return ",".join(dict.fromkeys(own + [kind.io_type for kind in self.types]))

        def as_dict(self) -> dict[str, Any]:
            if self.source is None:
                return super().as_dict()
            return self.source.as_dict() | {"widgetType": self.source.io_type} | super().as_dict()

        def problems(self) -> list[str]:
            return self.source.problems() if self.source else []
