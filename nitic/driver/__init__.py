"""What the commands of `nitic` do, one file each; what several of them need is beside them.

compile.py, opt.py, inspect.py, check.py, launch.py (`nitic train`) and demo.py are commands. build.py makes the Program
of an ONNX file, plan.py its calls and memory on each variant, and outputs.py the files.
"""
