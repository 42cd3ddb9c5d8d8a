"""The processes of a server and the threads of a worker, by the names that the code gives them."""

from __future__ import annotations

from svg_pictures.source import NotInTheCode, place, thread_names
from svg_pictures.svg import LINE, Box, Picture, styled, wrapped

WIDTH = 940
#: The threads of a worker by what they are for: a name as the code gives it, and what it does.
THREADS = {
    "HTTP": {
        "srv-http-…": "one leads: it waits for sockets, reads and parses; the others run requests or rest",
        "srv-http-watchdog": "takes the lead from a thread whose request takes long; keeps deadlines",
    },
    "gRPC": {
        "srv-grpc": "inference",
        "srv-grpc-probe": "health, metadata, statistics",
        "srv-grpc-stream": "streams that wait, such as health watches",
        "srv-grpc (_serve)": "grpcio's own, which hands calls out",
        "srv-grpc-supervisor": "watches grpcio's thread, lets calls end when the server stops",
    },
    "Models": {
        "srv-loader": "loads all models at the start, then says ready",
        "srv-load": "loads beside each other, for runtimes that allow it",
        "srv-event-loop": "runs async predicts and streams",
        "srv-asking-…": "ask models for event loops that await them",
        "srv-model-…": "a model that wants one thread for everything",
        "srv-unload": "lets replaced models go, without blocking anybody",
        "srv-slow-steps": "names loads and unloads that take long in the log",
        "srv-close": "unloads all models when the worker stops",
    },
    "Other processes": {
        "srv-control": "takes orders on the worker's Unix socket",
        "srv-answer": "carries one order out",
        "srv-tell": "tells the other workers of a load or unload",
        "srv-follow": "tries again what another worker could do and this one could not",
        "srv-heartbeat": "shows that the worker lives while its main thread loads a model",
        "srv-leases": "hears from the supervisor which processes serve models",
    },
}
#: The threads of a model process that are called unlike those of a worker.
MODEL_PROCESS_THREADS = {
    "srv-channel": "takes a worker's calls in",
    "srv-…": "take and answer them",
    "srv-stop": "unloads the model at the end",
}
#: A thread that only `srv start --reload` has.
RELOADING = {"srv-reload": "looks for edited files"}


def draw() -> str:
    """Draw the launcher, what it starts, and one worker from inside."""
    check_threads()
    picture = Picture("The processes of a server: a launcher, its workers, and the threads of a worker.", WIDTH)
    picture.words(20, 28, "The processes", "head")
    launcher = draw_launcher(picture)
    probe = draw_probe(picture)
    directory = draw_directory(picture)
    worker = draw_worker(picture, 290)
    picture.arrow(launcher.left, probe.right, label="starts", at=(launcher.x - 54, launcher.y + 34))
    picture.arrow(launcher.right, directory.left, label="holds", at=(directory.x - 44, launcher.y + 34))
    picture.arrow(launcher.bottom, (launcher.bottom[0], worker.y), label="forks, watches, replaces", at=(480, 250))
    x, y = directory.bottom
    picture.arrow((x, worker.y), (x, y), label="a socket, counts", at=(x - 104, 250))
    beneath = worker.y + worker.height + 50
    supervisor, process = draw_supervisor(picture, beneath), draw_model_process(picture, beneath)
    for box, label in ((supervisor, "asks for processes"), (process, "calls: a socket, shared memory")):
        x = box.top[0]
        picture.arrow((x, worker.y + worker.height), (x, beneath), label=label, at=(x + 10, beneath - 20))
    y = supervisor.right[1]
    picture.arrow(
        (supervisor.right[0], y), (process.x, y), label="starts, watches", at=(supervisor.right[0] + 12, y - 8)
    )
    return picture.text()


def check_threads() -> None:
    """Raise NotInTheCode where the code has a thread that is not drawn, or the picture one that is gone."""
    drawn = {name for threads in (*THREADS.values(), RELOADING, MODEL_PROCESS_THREADS) for name in threads}
    # The client's threads are those of its user's process, and no server's.
    named = {name: module for name, module in thread_names().items() if not module.startswith("client.")}
    if missing := sorted(named.keys() - drawn):
        raise NotInTheCode(f"the threads {', '.join(f'{name} (srv.{named[name]})' for name in missing)} are not drawn.")
    if gone := sorted(drawn - named.keys()):
        raise NotInTheCode(f"no thread is called {', '.join(gone)}.")


def draw_launcher(picture: Picture) -> Box:
    """Draw `srv start`."""
    lines = [
        ("bold", "launcher: srv start"),
        ("code faint", place("serve.launcher", "serve")),
        *styled("", ["binds the HTTP sockets, reserves", "the gRPC port, reads settings;"]),
        *styled("", ["gunicorn's master runs in it:"]),
        ("code faint", place("serve.arbiter")),
        ("", "no grpc, no numpy, no plugin here"),
    ]
    return picture.box(340, 60, 260, lines, kind="amber")


def draw_probe(picture: Picture) -> Box:
    """Draw the child that imports plugins on trial."""
    lines = [
        ("bold", "probe"),
        ("code faint", place("probe.child")),
        *styled("", ["imports configured plugins on", "trial, checks their sections,", "and ends"]),
    ]
    return picture.box(20, 76, 230, lines)


def draw_directory(picture: Picture) -> Box:
    """Draw what the processes share on disk."""
    lines = [
        ("bold", "run directory"),
        ("code faint", place("serve.run_directory")),
        *styled("", ["which models are loaded, a lock,", "a Unix socket for each worker,", "counts of all workers"]),
    ]
    return picture.box(690, 76, 230, lines)


def draw_worker(picture: Picture, y: float) -> Box:
    """Draw a worker's threads, and further workers behind it."""
    for shift in (16, 8):
        picture.box(20 + shift, y - shift, WIDTH - 56, kind="band", height=60)
    columns = [columns_of("HTTP", "gRPC"), columns_of("Models"), columns_of("Other processes")]
    width = (WIDTH - 56 - 4 * 12) / 3
    height = 52 + max(sum(height_of(group, width) + 10 for group in column) for column in columns)
    box = picture.box(20, y, WIDTH - 56, kind="green", height=height)
    picture.words(32, y + 20, "worker, as many as settings.workers: all models, both faces", "bold")
    picture.words(
        32, y + 37, f"{place('serve.workers')}; its main thread beats for the launcher and takes signals", "faint"
    )
    for number, column in enumerate(columns):
        x, down = 32 + number * (width + 12), y + 48
        for group in column:
            tall = height_of(group, width)
            picture.box(x, down, width, lines_of(group, width), height=tall)
            down += tall + 10
    return box


def draw_supervisor(picture: Picture, y: float) -> Box:
    """Draw what starts processes of models."""
    lines = [
        ("bold", "supervisor, where a model asks for it"),
        ("code faint", place("processes.supervisor")),
        *styled(
            "", ["a child of the launcher, started", "by exec, with one thread; replaces", "processes that die or hang"]
        ),
    ]
    return picture.box(20, y, 290, lines, kind="amber")


def draw_model_process(picture: Picture, y: float) -> Box:
    """Draw a process that has one model, and its threads."""
    lines = [
        ("bold", "model process, as many as process.count: one model"),
        ("code faint", place("modelprocess")),
    ]
    width = 470
    for name, about in MODEL_PROCESS_THREADS.items():
        lines += [("code", name), *styled("faint", wrapped(about, width - 20))]
    lines += styled(
        "faint", wrapped("and of those above: srv-control, srv-loader, srv-event-loop, srv-model-…", width - 20)
    )
    return picture.box(434, y, width, lines, kind="green")


def columns_of(*groups: str) -> list[str]:
    """Return the groups of one column."""
    return list(groups)


def lines_of(group: str, width: float) -> list[tuple[str, str]]:
    """Return what stands in the box of a group."""
    lines = [("bold", group)]
    for name, about in THREADS[group].items():
        lines.append(("code", name))
        lines += styled("faint", wrapped(about, width - 20))
    return lines


def height_of(group: str, width: float) -> float:
    """Return how tall the box of a group is."""
    return LINE * len(lines_of(group, width)) + 10
