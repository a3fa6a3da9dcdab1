# SPDX-License-Identifier: Apache-2.0
"""PyTorch as a contender: its native batch normalization, in NCHW and channels_last. bench/worker.h has the talk with the driver.
worker_torch.py [cpu|cuda [f32|f16]]. On cuda there is cuDNN's besides, the kernels that torch.nn takes for most shapes.

The operations are called below torch.nn, so that no graph is kept: they do what clbn's calls do, and allocate what they return.
"""
import functools
import math
import mmap
import os
import re
import sys
import time

import numpy
import torch

EPSILON, WEIGHT = 1e-5, 0.1
PERIOD = 65521
DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cpu"
DTYPE = {"f32": torch.float32, "f16": torch.float16}[sys.argv[2] if len(sys.argv) > 2 else "f32"]


@functools.lru_cache(None)
def period(seed):
    state, values = seed, []
    for _ in range(PERIOD):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state >> 8) * 2.0**-24)
    return torch.tensor(values, dtype=torch.float32, device=DEVICE).to(DTYPE)


def noise(seed, count):
    """The values that tools/bench_target.c fills its buffers with."""
    return period(seed).repeat(count // PERIOD + 1)[:count].clone()


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Unit:
    def __init__(self, op, dims):
        self.op = op
        n, c = dims[:2]
        self.x = {}
        self.dy = {}
        # Both layouts are views of the same memory, as everywhere in this comparison.
        for layout in ["nchw", "nhwc"] if len(dims) == 4 else ["nc"]:
            shape = (n, dims[2], dims[3], c) if layout == "nhwc" else tuple(dims)
            views = [self.x] if op != "backward" else [self.x, self.dy]
            for tensors, seed in zip(views, (1, 4)):
                flat = next(iter(tensors.values())).reshape(-1) if tensors else noise(seed, math.prod(shape))
                view = flat.reshape(shape)
                tensors[layout] = view.permute(0, 3, 1, 2) if layout == "nhwc" else view
        self.gamma, self.beta = torch.ones(c, device=DEVICE), torch.zeros(c, device=DEVICE)
        self.running_mean, self.running_var = torch.zeros(c, device=DEVICE), torch.ones(c, device=DEVICE)
        self.mean, self.inv_std = torch.full((c,), 0.5, device=DEVICE), torch.full((c,), 3.46, device=DEVICE)
        self.reserve = {}
        self.out = None
        self.ways = []
        for kind in ["native", "cudnn"] if DEVICE == "cuda" else ["native"]:
            for layout in self.x:
                try:
                    if kind == "cudnn" and op == "backward":
                        self.reserve[layout] = self.cudnn_training(layout)[3]
                    self.call(layout, kind, 1)
                    self.ways.append((layout, kind))
                except RuntimeError as error:
                    print("worker_torch: without", kind, layout, "of", op, dims, str(error).split("\n")[0], file=sys.stderr)

    def cudnn_training(self, layout):
        mean, var = self.running_mean, self.running_var
        return torch.cudnn_batch_norm(self.x[layout], self.gamma, self.beta, mean, var, True, WEIGHT, EPSILON)

    def run(self, way, calls):
        self.call(*self.ways[way], calls)

    def call(self, layout, kind, calls):
        x, gamma, beta = self.x[layout], self.gamma, self.beta
        mean, var, saved_mean, inv_std = self.running_mean, self.running_var, self.mean, self.inv_std
        dy, reserve, training = self.dy.get(layout), self.reserve.get(layout), self.op == "training"
        aten = torch.ops.aten
        if self.op == "backward" and kind == "cudnn":
            function, args = aten.cudnn_batch_norm_backward, (x, dy, gamma, mean, var, saved_mean, inv_std, EPSILON, reserve)
        elif self.op == "backward":
            function = aten.native_batch_norm_backward
            args = (dy, x, gamma, mean, var, saved_mean, inv_std, True, EPSILON, [True, True, True])
        else:
            function = torch.native_batch_norm if kind == "native" else torch.cudnn_batch_norm
            args = (x, gamma, beta, mean, var, training, WEIGHT, EPSILON)
        for _ in range(calls):
            self.out = None
            self.out = function(*args)
        wait()

    def read(self, way):
        out = self.out[0]
        out = out.permute(0, 2, 3, 1) if self.ways[way][0] == "nhwc" else out
        return out.contiguous().float().cpu().numpy().reshape(-1)


def shared(size):
    return numpy.frombuffer(mmap.mmap(3, 4 * size, access=mmap.ACCESS_READ), dtype=numpy.float32)


def answer(unit, words):
    if words[0] == "run":
        way, warm, calls = map(int, words[1:])
        unit.run(way, warm)
        begin = time.perf_counter()
        unit.run(way, calls)
        return "time %.9f" % (time.perf_counter() - begin)
    if words[0] == "compare":
        way = int(words[1])
        unit.run(way, 1)
        own = unit.read(way)
        return "differs %.3g" % float(numpy.abs(own - shared(own.size)).max())
    return "no such request"


def main():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    talk = os.fdopen(os.dup(1), "w", buffering=1)
    kernels = re.search(r"CPU capability usage: (\w+)", torch.__config__.show())
    what = "(%s kernels)" % kernels.group(1) if kernels else ""
    if DEVICE == "cuda":
        what = "on %s CUDA %s cuDNN %s" % (torch.cuda.get_device_name(), torch.version.cuda, torch.backends.cudnn.version())
    print("hello torch PyTorch", torch.__version__, what, file=talk)
    unit = None
    with torch.inference_mode():
        for line in sys.stdin:
            words = line.split()
            if words[0] == "open":
                unit = Unit(words[1], [int(word) for word in words[2:]])
                print("ways", *(layout + ":" + kind for layout, kind in unit.ways), file=talk)
            elif words[0] == "close":
                unit = None
                print("closed", file=talk)
            else:
                print(answer(unit, words), file=talk)


main()
