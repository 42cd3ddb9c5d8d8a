"""The states of a connection and of an exchange, held to the code's own enumerations and to what assigns their members."""

from __future__ import annotations

from dataclasses import dataclass

from svg_pictures.source import CORE, NotInTheCode, assigned, enum_members, place
from svg_pictures.svg import Box, Picture

WIDTH = 990
FOLDER = "serve.http"
ENUMS = {"Step": f"{FOLDER}.connections", "ExchangeState": f"{FOLDER}.connections"}
Point = tuple[float, float]


@dataclass(frozen=True)
class State:
    """A member of an enumeration, or what stands beside one: where it is drawn, and its lines."""

    x: float
    y: float
    lines: tuple[str, ...]
    kind: str
    width: float = 120


#: Each member of the enumerations, and what is no member: a name in small letters.
STATES = {
    "Step.HANDSHAKE": State(30, 110, ("TLS is spoken first",), "blue"),
    "Step.HEAD": State(30, 205, ("idle, or a head", "comes"), "blue"),
    "Step.BODY": State(230, 150, ("a body of known", "length comes"), "blue"),
    "Step.CHUNKS": State(230, 260, ("a body comes in", "chunks"), "blue"),
    "exchange": State(420, 205, ("a request is queued", "or runs"), "box", 140),
    "settled": State(420, 370, ("what comes next", "is decided"), "box", 140),
    "Step.WRITING": State(230, 440, ("the client is slow", "to take it"), "blue"),
    "Step.LINGERING": State(420, 480, ("nothing is sent", "any more"), "blue", 140),
    "closed": State(230, 550, ("never touched again",), "box", 140),
    "ExchangeState.RUNNING": State(640, 110, ("a thread has it",), "amber", 130),
    "ExchangeState.WAITING": State(820, 205, ("in the queue",), "amber", 125),
    "ExchangeState.ANSWERING": State(640, 330, ("its thread writes",), "amber", 130),
    "ExchangeState.TAKEN": State(820, 330, ("the leader writes",), "amber", 125),
    "over": State(715, 450, ("settled, once; leases", "are released, once"), "box", 160),
}


@dataclass(frozen=True)
class Change:
    """A transition: from, to, why, and the functions of serve/http that make it, `module.function`."""

    start: str
    end: str
    why: str
    by: tuple[str, ...] = ()
    #: Where the arrow goes: points between its ends; where the words stand.
    along: tuple[Point, ...] = ()
    words: Point | None = None
    #: The sides at which it leaves and arrives: top, bottom, left, right.
    sides: tuple[str, str] = ("bottom", "top")


CHANGES = (
    Change("", "Step.HANDSHAKE", "", ("connections.__init__",)),
    Change("Step.HANDSHAKE", "Step.HEAD", "done", ("leader._shake_hands",), words=(56, 184)),
    Change(
        "Step.HEAD", "Step.BODY", "Content-Length", ("reader._start_body",), sides=("right", "left"), words=(122, 176)
    ),
    Change("Step.HEAD", "Step.CHUNKS", "chunked", ("reader._head",), sides=("right", "left"), words=(158, 284)),
    Change("Step.HEAD", "exchange", "no body", sides=("right", "left"), words=(240, 229)),
    Change("Step.BODY", "exchange", "complete", ("reader._complete",), sides=("right", "left"), words=(372, 180)),
    Change("Step.CHUNKS", "exchange", "complete", ("reader._complete",), sides=("right", "left"), words=(372, 284)),
    Change("exchange", "settled", "over", words=(496, 320)),
    Change(
        "Step.CHUNKS",
        "settled",
        "each of the three: refused",
        along=((290, 386),),
        sides=("bottom", "left"),
        words=(298, 350),
    ),
    Change(
        "settled",
        "Step.HEAD",
        "kept",
        ("connection_table.settle",),
        along=((90, 399),),
        sides=("left", "bottom"),
        words=(98, 391),
    ),
    Change(
        "settled",
        "Step.WRITING",
        "not all sent",
        ("connection_table.settle",),
        sides=("left", "right"),
        words=(308, 424),
    ),
    Change("settled", "Step.LINGERING", "to be closed", ("connection_table.settle",), words=(496, 460)),
    Change("Step.WRITING", "closed", "lost, or too slow", words=(186, 530)),
    Change(
        "Step.LINGERING",
        "closed",
        "the client's end,\nor 2 s",
        along=((490, 571),),
        sides=("bottom", "right"),
        words=(498, 560),
    ),
    Change("", "ExchangeState.RUNNING", "", ("connections.__init__", "scheduler.next")),
    Change(
        "ExchangeState.RUNNING",
        "ExchangeState.WAITING",
        "no thread is free",
        ("scheduler.place",),
        along=((882, 126),),
        sides=("right", "top"),
        words=(778, 118),
    ),
    Change(
        "ExchangeState.WAITING",
        "ExchangeState.RUNNING",
        "a thread is free",
        ("scheduler.next",),
        along=((745, 226),),
        sides=("left", "bottom"),
        words=(711, 244),
    ),
    Change(
        "ExchangeState.RUNNING",
        "ExchangeState.ANSWERING",
        "the response,\nor a refusal",
        ("scheduler.may_answer", "scheduler.answer", "scheduler.fail"),
        words=(622, 280),
    ),
    Change(
        "ExchangeState.WAITING",
        "ExchangeState.TAKEN",
        "deadline, or\nthe client left",
        ("scheduler._take_over",),
        words=(889, 276),
    ),
    Change(
        "ExchangeState.RUNNING",
        "ExchangeState.TAKEN",
        "deadline",
        ("scheduler._take_over",),
        along=((806, 142), (806, 351)),
        sides=("right", "left"),
        words=(752, 318),
    ),
    Change("ExchangeState.ANSWERING", "over", "", along=((705, 430), (770, 430)), sides=("bottom", "top")),
    Change("ExchangeState.TAKEN", "over", "", along=((882, 430), (820, 430)), sides=("bottom", "top")),
)


def draw() -> str:
    """Draw both machines side by side."""
    check()
    picture = Picture("The states of a connection and of an exchange in the HTTP worker, and what changes them.", WIDTH)
    picture.words(20, 28, "A connection's states", "head")
    picture.words(20, 48, "The leading thread changes a connection that has no exchange.", "faint")
    picture.words(20, 64, place(f"{FOLDER}.connection_table", "ConnectionTable"), "code faint")
    picture.words(620, 28, "An exchange's states", "head")
    picture.words(620, 48, "Each change is a method, whole under one guard.", "faint")
    picture.words(620, 64, place(f"{FOLDER}.scheduler", "Scheduler"), "code faint")
    boxes = {name: box(picture, name, state) for name, state in STATES.items()}
    for change in CHANGES:
        start = boxes.get(change.start)
        if start is not None:
            picture.arrow(
                side(start, change.sides[0], change.along[:1]),
                *change.along,
                side(boxes[change.end], change.sides[1], change.along),
                label=change.why,
                at=change.words,
            )
    for name, x in (("Step.HANDSHAKE", 90), ("ExchangeState.RUNNING", 705)):
        picture.arrow((x, 84), boxes[name].top)
    picture.words(98, 92, "a new client; without TLS its first state is HEAD", "faint")
    picture.words(712, 92, "a request is complete", "faint")
    return picture.text()


def box(picture: Picture, name: str, state: State) -> Box:
    """Draw one state."""
    lines = [("bold", name.partition(".")[2] or name), *(("faint", line) for line in state.lines)]
    return picture.box(state.x, state.y, state.width, lines, kind=state.kind)


def side(box: Box, name: str, along: tuple[Point, ...] = ()) -> Point:
    """Return the point of a box's side where an arrow begins or ends, so that it leaves or comes straight."""
    x, y = getattr(box, name)
    if name in ("top", "bottom") and along and box.x < along[-1][0] < box.x + box.width:
        x = along[-1][0]
    if name in ("left", "right") and along and box.y < along[-1][1] < box.y + box.height:
        y = along[-1][1]
    return x, y


def check() -> None:
    """Raise NotInTheCode where states or transitions are drawn that the code has not, or the other way round."""
    members = {f"{enum}.{member}" for enum, module in ENUMS.items() for member in enum_members(module, enum)}
    drawn = {name for name in STATES if "." in name}
    if members != drawn:
        raise NotInTheCode(f"the states {', '.join(sorted(members ^ drawn))} are in one of them only.")
    made = {
        (f"{file.stem}.{function}", f"{enum}.{member}")
        for file in sorted(CORE.joinpath(*FOLDER.split(".")).glob("*.py"))
        for enum in ENUMS
        for function, found in assigned(f"{FOLDER}.{file.stem}" if file.stem != "__init__" else FOLDER, enum).items()
        for member in found
    }
    shown = {(function, change.end) for change in CHANGES for function in change.by}
    # What completes a request has its connection expect the next head, and what begins a connection may expect one.
    quiet = {("reader._complete", "Step.HEAD"), ("connections.__init__", "Step.HEAD"), ("reader._complete", "exchange")}
    if missing := sorted(f"{function} makes it {state}" for function, state in made - shown - quiet):
        raise NotInTheCode(f"no arrow is there for: {'; '.join(missing)}.")
    if gone := sorted(f"{function} makes it {state}" for function, state in shown - made - quiet):
        raise NotInTheCode(f"an arrow says that {'; '.join(gone)}.")
