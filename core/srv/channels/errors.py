"""What can go wrong with a channel between two processes: it ends, what comes is no frame, or nothing can be sent."""

from __future__ import annotations

from srv.errors import SrvError, Unavailable


class ChannelClosed(Unavailable):
    """The process at the other end has ended, or has closed the channel."""

    def __init__(self, why: str = "the process at its other end has ended") -> None:
        super().__init__(f"The channel is closed: {why}.")


class BrokenFrame(ChannelClosed):
    """What came is no frame of this protocol, or does not fit the memory that it names; the channel is closed for it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"what came is no frame, because {why.rstrip('.')}")


class OtherProtocol(ChannelClosed):
    """The process at the other end speaks another version of the protocol between srv's processes."""

    def __init__(self, theirs: int, ours: int) -> None:
        super().__init__(f"the process at its other end speaks version {theirs} of srv's protocol between processes, "
                         f"and this one version {ours}")  # fmt: skip
        self.theirs = theirs
        self.ours = ours


class SendTimedOut(Unavailable):
    """The process at the other end has not read for so long that nothing more could be sent before the deadline."""

    def __init__(self) -> None:
        super().__init__("The process at the other end of the channel does not read; the frame was not sent.")


class UnsendableFrame(SrvError):
    """A value or a tensor that has no form in a frame; nothing was sent, and the channel goes on."""

    def __init__(self, why: str) -> None:
        super().__init__(f"This cannot be sent to another process: {why}.")
