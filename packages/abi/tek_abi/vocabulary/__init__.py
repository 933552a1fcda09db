"""The requests of the built-in effects, one module a family.

Agents await these classes, effects take them as their input, ledgers hold their fields as arguments.
They are data: what happens is the business of the effects packages.
"""

from tek_abi.vocabulary import core, fs, net, proc

__all__ = ["core", "fs", "net", "proc"]
