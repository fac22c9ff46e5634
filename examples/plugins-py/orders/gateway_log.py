"""Sends the records of Python's `logging`, and warnings, to the gateway's log with their levels.

    import gateway_log

    gateway_log.use()

at the top of a plugin. Without it they arrive by standard error.
"""

import logging

from wit_world.imports import log


class Handler(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.ERROR:
            level = log.Level.ERROR
        elif record.levelno >= logging.WARNING:
            level = log.Level.WARN
        elif record.levelno >= logging.INFO:
            level = log.Level.INFO
        else:
            level = log.Level.DEBUG
        log.write(level, self.format(record))


def use(level=logging.DEBUG):
    handler = Handler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
