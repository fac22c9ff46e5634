"""What callgrind wrote down: instructions of one function with all that it calls.

Only as much of the format as that needs: names are written out once and referred to by number after that, and the line
behind `calls=` has the instructions of what is called there."""

import re

NAME = re.compile(r"\((\d+)\)(?: (.*))?$")


def total(text):
    """Instructions of everything."""
    return int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])


def inclusive(text, function):
    """Instructions of one function and of what it calls, but for calls of itself; 0 if it does not occur."""
    names, summed = {}, 0
    current = called = None
    for line in text.splitlines():
        if line.startswith("fn="):
            current = named(names, line[3:])
        elif line.startswith("cfn="):
            called = named(names, line[4:])
        elif line[:1].isdigit() or line[:1] in "+-*":
            # Where it was, and how many; without a number, none.
            words = line.split()
            if len(words) > 1 and current == function and called != function:
                summed += int(words[-1])
            called = None
    return summed


def named(names, text):
    number, name = NAME.match(text).groups()
    if name is not None:
        names[number] = name
    return names[number]
