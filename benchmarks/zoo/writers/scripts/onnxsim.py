# requirements: onnxsim==0.8.1 onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"""onnxsim and onnxslim, on files of PyTorch's exporters."""

import onnx

from benchmarks.zoo.writers.files import Folder, files

SOURCES = {"legacy_training", "legacy_opset13_unfolded", "dynamo_unoptimised_external"}
CHOSEN = ("mnist_cnn", "resnet", "mobilenet", "lstm")


def main() -> None:
    import onnxsim
    import onnxslim

    folder = Folder("onnxsim")

    def simplified(source: str, path: str) -> None:
        model, is_same = onnxsim.simplify(onnx.load(source))
        assert is_same, "onnxsim finds another result"
        onnx.save(model, path)

    def slimmed(source: str, path: str) -> None:
        onnx.save(onnxslim.slim(onnx.load(source)), path)

    for file in files(folder.root, "torch_exporters"):
        if file.network in CHOSEN and file.form in SOURCES:
            for tool, write in (("onnxsim", simplified), ("onnxslim", slimmed)):
                source = str(file.path(folder.root))
                folder.write(
                    lambda path, write=write, source=source: write(source, path),
                    file.network,
                    f"{file.form}_{tool}",
                    file.samples,
                    file.head,
                )


if __name__ == "__main__":
    main()
