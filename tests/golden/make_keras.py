# SPDX-License-Identifier: Apache-2.0
"""Vectors of Keras' layer BatchNormalization, on TensorFlow."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf

from make import case, put


def array(t):
    return tf.cast(t, tf.float64).numpy()


def run(name, dims, axis=-1, policy=None, momentum=0.99, epsilon=1e-3, training=1, scale=True, center=True, kind="float32", **more):
    c = case(name, dims, axis=axis, x_type=kind, epsilon=epsilon, unbiased=0, weight=1 - momentum, training=training,
             affine=("gamma " if scale else "") + ("beta" if center else ""), **more)
    layer = keras.layers.BatchNormalization(axis=axis, momentum=momentum, epsilon=epsilon, scale=scale, center=center, dtype=policy or kind)
    layer.build(dims)
    values = {"gamma": "gamma", "beta": "beta", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for theirs, ours in values.items():
        if ours in c:
            getattr(layer, theirs).assign(c[ours])
    x = tf.constant(c["x"], kind)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=bool(training))
    weights = [w.value for w in (layer.gamma if scale else None, layer.beta if center else None) if w is not None]
    gradients = tape.gradient(y, [x, *weights], tf.constant(c["dy"], c["y_type"]))
    put(c, y=array(y), dx=array(gradients[0]))
    if training:
        put(c, new_running_mean=array(layer.moving_mean.value), new_running_var=array(layer.moving_variance.value))
    return put(c, **dict(zip([k for k, on in (("dgamma", scale), ("dbeta", center)) if on], map(array, gradients[1:]))))


def vectors():
    made = [run("default.training", (6, 5)), run("default.inference", (6, 5), training=0), run("axis_1", (5, 3, 2, 3), axis=1),
            run("axis_1.inference", (5, 3, 2, 3), axis=1, training=0), run("last", (5, 3, 3, 2), mean=5, sigma=10),
            run("momentum_0.5", (5, 2, 3), momentum=0.5, epsilon=0.1), run("momentum_0", (4, 3), momentum=0.0),
            run("no_scale", (6, 4), scale=False), run("no_center", (6, 4), center=False),
            run("no_scale_no_center.inference", (6, 4), scale=False, center=False, training=0), run("one_value", (1, 5)),
            run("float64", (6, 5), kind="float64"), run("far", (20, 4), mean=100, sigma=1)]
    for kind in ("float16", "bfloat16"):
        made += [run(f"mixed_{kind}", (5, 2, 3, 4), policy=f"mixed_{kind}", kind=kind),
                 run(f"mixed_{kind}.inference", (5, 2, 3, 4), policy=f"mixed_{kind}", kind=kind, training=0)]
    return f"Keras {keras.__version__} on TensorFlow {tf.__version__}", made
