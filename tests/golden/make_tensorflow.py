# SPDX-License-Identifier: Apache-2.0
"""Vectors of TensorFlow's operators: the fused one, which returns the unbiased variance, its gradient, and tf.nn's."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from make import case, put


def array(t):
    return tf.cast(t, tf.float64).numpy()


def fused(c):
    """FusedBatchNormV3 and its gradient. Its attributes are float32."""
    layout, training, real = "NHWC" if c["axis"] == -1 else "NCHW", bool(c["training"]), tf.float32
    c["epsilon"], c["weight"] = float(np.float32(c["epsilon"])), float(np.float32(c["weight"]))
    x, gamma, beta = tf.constant(c["x"], c["x_type"]), tf.constant(c["gamma"], real), tf.constant(c["beta"], real)
    none = tf.zeros([0], real)
    mean, var = (tf.constant(c[k], real) if k in c else none for k in ("running_mean", "running_var"))
    o = tf.raw_ops.FusedBatchNormV3(x=x, scale=gamma, offset=beta, mean=mean, variance=var, epsilon=c["epsilon"], data_format=layout,
                                    exponential_avg_factor=c["weight"], is_training=training)
    put(c, y=array(o.y))
    if training:
        put(c, saved_mean=array(o.reserve_space_1), saved_var=array(o.reserve_space_2))
        put(c, new_running_mean=array(o.batch_mean), new_running_var=array(o.batch_variance))
        if "running_mean" not in c: # a factor of 1 replaces: whatever they held
            c["running_mean"] = c["running_var"] = np.ones(c["dims"][c["axis"]])
    g = tf.raw_ops.FusedBatchNormGradV3(y_backprop=tf.constant(c["dy"], c["y_type"]), x=x, scale=tf.cast(gamma, tf.float32),
                                        reserve_space_1=o.reserve_space_1 if training else mean,
                                        reserve_space_2=o.reserve_space_2 if training else var, reserve_space_3=o.reserve_space_3,
                                        epsilon=c["epsilon"], data_format=layout, is_training=training)
    return put(c, dx=array(g.x_backprop), dgamma=array(g.scale_backprop), dbeta=array(g.offset_backprop))


def by_hand(c):
    """tf.nn.moments and tf.nn.batch_normalization, differentiated by the tape."""
    kind = c["x_type"]
    x, gamma, beta = (tf.constant(c[k], kind) for k in ("x", "gamma", "beta"))
    axes = [a for a in range(len(c["dims"])) if a != c["axis"] % len(c["dims"])]
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        mean, var = tf.nn.moments(x, axes)
        y = tf.nn.batch_normalization(x, mean, var, beta, gamma, c["epsilon"])
    dx, dgamma, dbeta = tape.gradient(y, [x, gamma, beta], tf.constant(c["dy"], kind))
    return put(c, y=array(y), saved_mean=array(mean), saved_var=array(var), dx=array(dx), dgamma=array(dgamma), dbeta=array(dbeta))


def vectors():
    made = [fused(case("fused.NHWC", (3, 4, 3, 5), axis=-1, epsilon=1e-3, weight=1, running=False)),
            fused(case("fused.NCHW", (3, 5, 4, 3), epsilon=1e-3, weight=1, running=False)),
            fused(case("fused.factor", (2, 3, 3, 4), axis=-1, epsilon=1e-4, weight=0.25)),
            fused(case("fused.inference", (2, 3, 3, 4), axis=-1, epsilon=1e-3, training=0)),
            fused(case("fused.inference.NCHW", (2, 4, 3, 3), epsilon=1e-3, training=0))]
    for kind in ("float16", "bfloat16"):
        made.append(fused(case(f"fused.{kind}", (3, 4, 3, 5), axis=-1, x_type=kind, epsilon=1e-3, weight=1, running=False)))
    made += [by_hand(case("moments", (6, 4, 5), axis=-1, epsilon=1e-3, running=False)),
             by_hand(case("moments.float64", (6, 4, 5), axis=-1, x_type="float64", epsilon=1e-3, running=False)),
             by_hand(case("moments.far", (16, 5, 3), axis=-1, epsilon=1e-3, running=False, mean=100, sigma=1))]
    return f"TensorFlow {tf.__version__}", made
