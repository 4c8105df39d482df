"""The command line's entry: the group of verbs, and how errors are said.

Importing this module imports neither torch nor pandas: verbs import what they need when they are invoked.
"""

from __future__ import annotations

from typing import Any

import click

from ganbench.cli import (
    bench,
    cache,
    extractor,
    extractors,
    info,
    ladder,
    plugins,
    rescore,
    run,
    sample,
    score,
    show,
    suites,
    table,
    tune,
)
from ganbench.errors import GanbenchError


class Verbs(click.Group):
    """A group that says an error which a user can mend in one sentence, with exit code 2, and any other with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the verb; with ``--debug`` errors keep their traceback."""
        try:
            return super().invoke(ctx)
        except (GanbenchError, ValueError) as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"ganbench: {_one_line(error)}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo(
                "stopped at once; what was saved last is kept, and the same command goes on from there", err=True
            )
            ctx.exit(run.INTERRUPTED)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else ctx.command_path
            click.echo(f"ganbench: {_one_line(error.format_message())}; see '{where} --help'", err=True)
            ctx.exit(2)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):  # click's to handle
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            hint = f"'ganbench --debug {ctx.invoked_subcommand} ...' shows where"
            click.echo(f"ganbench: unexpected {type(error).__name__}: {_one_line(error)}; {hint}", err=True)
            ctx.exit(1)

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the verbs in the order in which one meets them."""
        return list(self.commands)


@click.group("ganbench", cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ganbench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Benchmark GANs: train architectures x losses under one budget, score them under one protocol, compare."""
    del debug  # read from the context by `Verbs.invoke`


def _one_line(error: BaseException | str) -> str:
    return " ".join(str(error).split()) or type(error).__name__


for _verb in (
    run.command,
    table.command,
    score.command,
    sample.command,
    plugins.command,
    show.command,
    suites.command,
    suites.suite,
    rescore.command,
    extractors.command,
    extractor.extractor,
    cache.cache,
    ladder.command,
    bench.command,
    tune.command,
    info.command,
):
    main.add_command(_verb)
