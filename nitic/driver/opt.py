"""`nitic opt`: any passes over any IR."""

from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ParseError, VerifyException

from nitic.codegen.output import link
from nitic.driver.outputs import check_output
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import import_onnx
from nitic.ir.text import parse_module, print_module
from nitic.ops import Bfp, Nn
from nitic.options import OptOptions
from nitic.pipeline import parse_passes, run_passes


def transform_file(options: OptOptions) -> None:
    """Applies the passes to the file, and prints or writes the IR that they leave. Raises CompileError."""
    passes, watch = parse_passes(options.passes), Watcher(options.print_before, options.print_after)
    if options.output and options.file.suffix == ".onnx":
        check_output(options.output, options.file)
    module = read_module(options.file)
    run_passes(module, passes, watch)
    text = print_module(module)
    if options.output is None:
        print(text, end="")
    else:
        link.write_text(text, options.output)


def read_module(file: Path) -> ModuleOp:
    """A module from text, or from an ONNX file. Raises CompileError."""
    if file.suffix == ".onnx":
        return import_onnx(file, standardises=False).module  # which IR does not hold
    try:
        return parse_module(file.read_text(encoding="utf-8"), [Nn, Bfp], str(file))
    except ParseError as error:
        raise CompileError(str(file), str(error), exit_code=ExitCode.USAGE) from error
    except VerifyException as error:
        raise CompileError(str(file), str(error).splitlines()[-1], exit_code=ExitCode.USAGE) from error
    except UnicodeDecodeError as error:
        message = f"is no IR: its byte {error.start} is not of a UTF-8 text"
        raise CompileError(str(file), message, exit_code=ExitCode.USAGE) from error
