# SPDX-License-Identifier: Apache-2.0
"""Vectors of ONNX's BatchNormalization by its reference evaluator. Of opset 9 there are none: there the evaluator normalizes by a mixture
of the batch's and the given statistics, which the operator's text does not say (see docs/conformance.md)."""
import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from make import case, put

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16}
INPUTS = {"X": "x", "scale": "gamma", "B": "beta", "input_mean": "running_mean", "input_var": "running_var"}


def run(name, dims, opset=15, momentum=0.9, epsilon=1e-5, training=1, kind="float32", **more):
    # Attributes are float32.
    momentum, epsilon = float(np.float32(momentum)), float(np.float32(epsilon))
    c = case(name, dims, x_type=kind, epsilon=epsilon, unbiased=0, weight=1 - momentum, training=training, gradients=False, real=kind, **more)
    outputs = ["Y", "running_mean", "running_var"] if training else ["Y"]
    mode = {"training_mode": training} if opset >= 14 else {}
    node = helper.make_node("BatchNormalization", list(INPUTS), outputs, momentum=momentum, epsilon=epsilon, **mode)
    graph = helper.make_graph([node], "one", [helper.make_tensor_value_info(k, TYPES[kind], None) for k in INPUTS],
                              [helper.make_tensor_value_info(k, TYPES[kind], None) for k in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    got = ReferenceEvaluator(model).run(None, {k: c[v].astype(kind) for k, v in INPUTS.items()})
    put(c, y=got[0])
    return put(c, new_running_mean=got[1], new_running_var=got[2]) if training else c


def vectors():
    made = [run("training", (2, 3, 4, 5)), run("inference", (2, 3, 4, 5), training=0), run("epsilon", (2, 3, 4, 5), epsilon=1e-2, training=0),
            run("epsilon.training", (2, 3, 4, 5), epsilon=1e-2), run("momentum_0.5", (6, 4), momentum=0.5), run("one_value", (1, 4)),
            run("opset_14", (3, 4, 5), opset=14), run("far", (20, 3), mean=100, sigma=1)]
    for kind in ("float64", "float16"):
        made += [run(f"{kind}.training", (4, 3, 2), kind=kind), run(f"{kind}.inference", (4, 3, 2), kind=kind, training=0)]
    return f"ONNX {onnx.__version__}'s reference evaluator", made
