"""The ``tek-runner`` command line: reads plans and configuration, wires a run together, shows and reports it.

The only package that knows all others, and the only place where the machine's own clock, environment, disk and
terminal enter. Commands stand in ``commands``, one module each, imported when they are called.
"""
