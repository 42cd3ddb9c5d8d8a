"""Hooks: implementations are registered plugin by plugin, and each hook is called in one place."""

from srv.hooks.calling import AfterInfer, BeforeInfer, Hooks
from srv.hooks.errors import BadHooks, BadSection, HookFailed, PlanFailed, UnknownHook
from srv.hooks.implementations import ARGUMENTS
from srv.hookspecs import Timings

__all__ = [
    "ARGUMENTS",
    "AfterInfer",
    "BadHooks",
    "BadSection",
    "BeforeInfer",
    "HookFailed",
    "Hooks",
    "PlanFailed",
    "Timings",
    "UnknownHook",
]
