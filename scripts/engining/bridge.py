"""The engine's network on the machine, and how it was before."""

import json
import subprocess
from pathlib import Path

from engining.machine import Trouble, call, state

NAME = "srv-engine0"
ADDRESS = "172.31.254.1/24"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def up() -> None:
    """Make the bridge. What dockerd will change beside it is written down first, so that `down` can undo it."""
    before = state() / "network.json"
    if not before.exists():
        rules = call("iptables", "iptables-save")
        policy = "DROP" if ":FORWARD DROP" in rules else "ACCEPT"
        before.write_text(
            json.dumps({"forwarding": FORWARDING.read_text(), "policy": policy, "foreign": ":DOCKER" in rules})
        )
    if not Path(f"/sys/class/net/{NAME}").exists():
        call("ip", "ip", "link", "add", NAME, "type", "bridge")
    call("ip", "ip", "addr", "replace", ADDRESS, "dev", NAME)
    call("ip", "ip", "link", "set", NAME, "up")


def down() -> None:
    """Delete the bridge and leave the machine's rules as they were; those of another engine are not touched."""
    before = state() / "network.json"
    if not before.exists():
        return
    was = json.loads(before.read_text())
    if not was["foreign"]:
        for table in ("filter", "nat"):
            _forget_rules(table)
        _quietly("iptables", "-P", "FORWARD", was["policy"])
        FORWARDING.write_text(was["forwarding"])
    _quietly("ip", "link", "del", NAME)
    before.unlink()


def _forget_rules(table: str) -> None:
    """Delete what dockerd put into a table: rules in other chains first, because they keep its chains in use."""
    try:
        lines = [line.split() for line in call("iptables", "iptables", "-t", table, "-S").splitlines()]
    except Trouble:
        return
    chains = [line[1] for line in lines if line[0] == "-N" and line[1].startswith("DOCKER")]
    for line in lines:
        if line[0] == "-A" and line[1] not in chains and (NAME in line or any(word in chains for word in line)):
            _quietly("iptables", "-t", table, "-D", *line[1:])
    for action in ("-F", "-X"):
        for chain in chains:
            _quietly("iptables", "-t", table, action, chain)


def _quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)
