#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/conformance/accuracy.py [DEVICE...]: how far the variance and the mean of 65536 x 8 float32 values, sigma 1, are from the exact
ones, by the library and by each framework that this Python has; the worst of eight channels. Exit status 1 where the library is
further off than docs/accuracy.md promises of any device."""
import importlib.util
import itertools
import os
import sys

import numpy as np

import library

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROWS, CHANNELS, MEANS = 65536, 8, (0, 1e2, 1e3, 1e4, 1e5)
PROMISE, HALF_ULP = 1e-6, 2.0 ** -24


def by_library(device):
    def moments(x):
        mean, var = (np.zeros(CHANNELS, np.float32) for _ in range(2))
        plan = device.plan(x.shape, 1, library.F32, 1e-5, False)
        device.call("forward_training", plan, 1.0, x=x.ctypes.data, running_mean=mean.ctypes.data, running_var=var.ctypes.data)
        return mean, var
    return moments


def peers():
    if importlib.util.find_spec("torch"):
        import torch

        def pytorch(x, lay=lambda t: t, threads=1):
            torch.set_num_threads(threads)
            mean, var = torch.zeros(CHANNELS), torch.zeros(CHANNELS)
            torch.nn.functional.batch_norm(lay(torch.from_numpy(x)), mean, var, training=True, momentum=1.0)
            return mean.numpy(), var.numpy().astype(np.longdouble) * (ROWS - 1) / ROWS

        for threads in (1, 2):
            yield f"PyTorch {torch.__version__}, (N, C), threads: {threads}", lambda x, n=threads: pytorch(x, threads=n)
        yield f"PyTorch {torch.__version__}, (1, C, H, W)", lambda x: pytorch(x, lambda t: t.t().reshape(1, CHANNELS, 256, 256).contiguous())
    if importlib.util.find_spec("tensorflow"):
        import keras
        import tensorflow as tf

        def layer(x):
            one = keras.layers.BatchNormalization(momentum=0.0)
            one(x, training=True)
            return one.moving_mean.numpy(), one.moving_variance.numpy()

        def fused(x):
            ones = np.ones(CHANNELS, np.float32)
            _, mean, var = tf.compat.v1.nn.fused_batch_norm(x.reshape(1, 256, 256, CHANNELS), ones, ones, is_training=True)
            return mean.numpy(), var.numpy().astype(np.longdouble) * (ROWS - 1) / ROWS

        yield f"Keras {keras.__version__} on TensorFlow {tf.__version__}", layer
        yield f"TensorFlow {tf.__version__}, fused_batch_norm", fused
    if importlib.util.find_spec("onnx"):
        yield "NumPy, as ONNX's reference evaluator", lambda x: (x.mean(axis=0), x.var(axis=0))


def main():
    # In this order: an OpenCL driver that compiles behind TensorFlow's import meets another LLVM's symbols, and crashes.
    judged = itertools.chain(((f"clbn, {d.name}", by_library(d)) for d in map(library.Device, sys.argv[1:])), peers())
    print(f"{ROWS} x {CHANNELS}, float32, sigma 1: variance's relative error, and the mean's in sigmas, at a mean of {MEANS}")
    beyond = 0
    for name, moments in judged:
        errors = []
        for at in MEANS:
            x = (np.random.Generator(np.random.PCG64(0)).standard_normal((ROWS, CHANNELS)) + at).astype(np.float32)
            e = x.astype(np.longdouble)
            mean = e.mean(axis=0)
            var = ((e - mean) ** 2).mean(axis=0)
            got_mean, got_var = moments(x)
            off_var, off_mean = np.abs(got_var - var) / var, np.abs(got_mean - mean)
            ours = name.startswith("clbn")
            beyond += ours and bool(np.any(off_var > PROMISE + HALF_ULP) or np.any(off_mean > PROMISE * np.sqrt(var) + HALF_ULP * np.abs(mean)))
            errors.append(f"{float(np.max(off_var)):.1e} {float(np.max(off_mean / np.sqrt(var))):.0e}")
        print(f"{name:<55}", "   ".join(errors))
    if beyond:
        print(f"accuracy: the library broke its promise at {beyond} of its means", file=sys.stderr)
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
