"""`nitic opt`: any passes over any IR."""

from nitic.codegen.output import link
from nitic.driver.outputs import check_output
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ir.text import damaged, print_module, read_module
from nitic.ops import Bfp, Nn
from nitic.options import OptOptions
from nitic.pipeline import parse_passes, run_passes


def transform_file(options: OptOptions) -> None:
    """Applies the passes to the file, and prints or writes the IR that they leave. Raises CompileError."""
    passes, watch = parse_passes(options.passes), Watcher(options.print_before, options.print_after)
    is_onnx = options.file.suffix == ".onnx"
    if options.output and is_onnx:
        check_output(options.output, options.file)
    module = import_onnx(options.file, standardises=False).module if is_onnx else read_module(options.file, [Nn, Bfp])
    try:
        run_passes(module, passes, watch)
        text = print_module(module)
    except (CompileError, OSError):
        raise
    except Exception as error:
        if is_onnx:  # the compiler's own IR: that is a bug of a pass
            raise
        said = str(error) or type(error).__name__
        raise damaged(str(options.file), f"is no IR that the passes can take: {said}") from error
    if options.output is None:
        print(text, end="")
    else:
        link.write(text.encode(), options.output)
