# requirements: scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 numpy==2.4.6
"""scikit-learn's linear models and neural networks, by skl2onnx, with and without preprocessing in a pipeline."""

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, Normalizer, StandardScaler

from benchmarks.zoo.writers.files import Folder, Samples

FEATURES = Samples((64,), 16 / 255)
PIXELS = {"mean": (0.0,), "std": (1 / 16,)}
"""Features go from 0 to 16, as the pixels of scikit-learn's digits do."""


def mlp(activation: str = "relu", hidden: tuple[int, ...] = (32,)) -> Any:
    return MLPClassifier(hidden, activation=activation, max_iter=8, random_state=0)


MODELS: dict[str, Any] = {
    "mlp": mlp(),
    "mlp_tanh": mlp("tanh", (32, 16)),
    "mlp_logistic": mlp("logistic"),
    "logistic_regression": LogisticRegression(max_iter=20),
    "perceptron": SGDClassifier(loss="log_loss", max_iter=20, random_state=0),
    "standard_scaler_mlp": make_pipeline(StandardScaler(), mlp()),
    "standard_scaler_logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=20)),
    "min_max_scaler_mlp": make_pipeline(MinMaxScaler(), mlp()),
    "normalizer_mlp": make_pipeline(Normalizer(), mlp()),
    "passthrough_mlp": make_pipeline(FunctionTransformer(), mlp()),
}
BINARY: dict[str, Any] = {"mlp_binary": mlp(), "logistic_binary": LogisticRegression(max_iter=20)}
NUMBERS: dict[str, Any] = {"mlp_regressor": MLPRegressor(hidden_layer_sizes=(32,), max_iter=8, random_state=0)}


def main() -> None:
    from skl2onnx import to_onnx

    folder = Folder("skl2onnx")
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 16, (400, 64)).astype(np.float32)
    y = ((x - 8) @ rng.normal(size=(64, 10))).argmax(1)

    def write(models: dict[str, Any], labels: Any, head: str, keeps_map: bool = False, **details: Any) -> None:
        for name, model in models.items():

            def export(path: str, model: Any = model) -> None:
                model.fit(x, labels)
                has_map = hasattr(model, "predict_proba") and not keeps_map
                written = to_onnx(model, x[:1], options={"zipmap": False} if has_map else None)
                with open(path, "wb") as file:  # noqa: PTH123 - as skl2onnx's users do
                    file.write(written.SerializeToString())

            form = "default" if keeps_map else ""
            folder.write(export, name, form, FEATURES, head, **{"options": PIXELS, **details})

    write(MODELS, y, "softmax", output="probabilities")
    write(BINARY, y % 2, "softmax", output="probabilities")
    write(
        {"logistic_regression": MODELS["logistic_regression"]},
        y,
        "softmax",
        keeps_map=True,
        output="output_probability",
    )
    write(NUMBERS, y, "number", options={**PIXELS, "loss": "mse"})


if __name__ == "__main__":
    main()
