"""Scripts that Redis runs: each stands in a ``.lua`` file beside the module that sends it. No ORM: both planes read it."""

from pathlib import Path


def read_script(module: str, name: str, **constants: int) -> str:
    """The text of ``name.lua`` beside ``module`` (its ``__file__``); ``constants`` are locals that it may use.

    Texts may be joined: a file that defines a function goes before the script that calls it.
    """
    declared = "".join(f"local {constant} = {value}\n" for constant, value in constants.items())
    return declared + Path(module).with_name(f"{name}.lua").read_text(encoding="utf-8")
