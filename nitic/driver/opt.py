"""`nitic opt`: any passes over any IR."""

from xdsl.dialects.builtin import ModuleOp

from nitic.codegen.output import link
from nitic.driver.build import imported
from nitic.driver.outputs import check_output
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError, ExitCode
from nitic.ir.text import damaged, print_module, read_module
from nitic.ops import context
from nitic.options import IMPORTING, CompileOptions, OptOptions
from nitic.pipeline import parse_passes, run_passes


def transform_file(options: OptOptions) -> None:
    """Applies the passes to the file, and prints or writes the IR that they leave. Raises CompileError."""
    source, file = options.source, options.source.model
    passes, watch = parse_passes(options.passes), Watcher(source.print_before, source.print_after)
    is_onnx = file.suffix == ".onnx"
    if source.output and is_onnx:
        check_output(source.output, file)
    module = imported(source, standardises=False).module if is_onnx else read_ir(source)
    try:
        run_passes(module, passes, watch)
        text = print_module(module)
    except (CompileError, OSError):
        raise
    except Exception as error:
        if is_onnx:  # the compiler's own IR: that is a bug of a pass
            raise
        said = str(error) or type(error).__name__
        raise damaged(str(file), f"is no IR that the passes can take: {said}") from error
    if source.output is None:
        print(text, end="")
    else:
        link.write(text.encode(), source.output)


def read_ir(source: CompileOptions) -> ModuleOp:
    given = [name for name in IMPORTING if getattr(source, name) is not None]
    if given:
        message = f"says how an ONNX file is imported, but {str(source.model)!r} is taken for IR in text form"
        raise CompileError(f"--{given[0].replace('_', '-')}", message, exit_code=ExitCode.USAGE)
    return read_module(source.model, context())
