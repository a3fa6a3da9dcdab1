#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/conformance/edges.py: what each framework does where they differ. docs/conformance.md's table is written from this."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx
import tensorflow as tf
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

EDGES = {"one value a channel": (np.ones((1, 1, 1, 3)), {}), "no value": (np.ones((0, 2, 2, 3)), {}),
         "a constant channel, epsilon 0": (np.ones((4, 2, 2, 3)), {"epsilon": 0.0}),
         "a NaN, weight 0": (np.where(np.arange(48).reshape(4, 2, 2, 3) == 0, np.nan, 1.0), {"weight": 0.0}),
         "weight 1 over NaN": (np.arange(48).reshape(4, 2, 2, 3) / 7, {"weight": 1.0, "old": np.nan})}


def pytorch(x, epsilon, weight, old):
    x = torch.tensor(x).permute(0, 3, 1, 2).contiguous()
    mean, var = torch.full((3,), old), torch.full((3,), 2 * old)
    y = torch.nn.functional.batch_norm(x, mean, var, training=True, momentum=weight, eps=epsilon)
    return y.numpy(), mean.numpy(), var.numpy()


def keras_layer(x, epsilon, weight, old):
    layer = keras.layers.BatchNormalization(epsilon=epsilon, momentum=1 - weight)
    layer.build(x.shape)
    layer.moving_mean.assign(np.full(3, old))
    layer.moving_variance.assign(np.full(3, 2 * old))
    return layer(x, training=True).numpy(), layer.moving_mean.numpy(), layer.moving_variance.numpy()


def tensorflow(x, epsilon, weight, old):
    ones = np.ones(3, np.float32)
    o = tf.raw_ops.FusedBatchNormV3(x=x, scale=ones, offset=0 * ones, mean=np.float32(old) * ones, variance=np.float32(2 * old) * ones,
                                    epsilon=epsilon, exponential_avg_factor=weight, is_training=True)
    return o.y.numpy(), o.batch_mean.numpy(), o.batch_variance.numpy()


def onnx_evaluator(x, epsilon, weight, old):
    names, outputs = list("xsbmv"), ["y", "rm", "rv"]
    node = helper.make_node("BatchNormalization", names, outputs, epsilon=epsilon, momentum=1 - weight, training_mode=1)
    graph = helper.make_graph([node], "one", *([helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in of] for of in (names, outputs)))
    one = np.ones(3, np.float32)
    given = {"x": np.moveaxis(x, 3, 1), "s": one, "b": 0 * one, "m": one * np.float32(old), "v": one * np.float32(2 * old)}
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])).run(None, given)


def said(f, x, how):
    try:
        y, mean, var = f(x.astype(np.float32), **{"epsilon": 1e-3, "weight": 0.1, "old": 0.5, **how})
    except Exception as e: # the refusal is what is to be shown
        return f"{type(e).__name__}: {str(e).splitlines()[0][:90]}"
    return f"y {y.ravel()[:1]}, running mean {mean[0]:.4g}, variance {var[0]:.4g}"


if __name__ == "__main__":
    np.seterr(all="ignore")
    print(f"PyTorch {torch.__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}, ONNX {onnx.__version__};",
          "channel 0 of 3, running statistics from 0.5 and 1")
    for edge, (x, how) in EDGES.items():
        for f in (pytorch, tensorflow, keras_layer, onnx_evaluator):
            print(f"{edge:<30} {f.__name__:<15} {said(f, x, how)}")
