"""The commands of ``tek-runner``, one module each."""
