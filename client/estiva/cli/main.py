"""Where the `estiva` command starts: what moves images begins at once, all else with the whole command line."""

import sys


def main() -> None:
    """Run the command line: 0 done, 1 failed with one line on standard error, 2 wrong usage, 130 interrupted."""
    try:
        from estiva.cli import quick  # here, so that Ctrl-C while it loads shows no traceback

        arguments = sys.argv[1:]
        move = quick.read(arguments)
        if move is not None:
            move()
            return
        from estiva.cli import app

        app.run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from estiva.cli import advice
        from estiva.cli.failing import EXPECTED, line

        text = advice.advised(error) if isinstance(error, EXPECTED) else advice.unforeseen(error)
        sys.stderr.write(f"estiva: {line(text)}\n")
        sys.exit(1)
