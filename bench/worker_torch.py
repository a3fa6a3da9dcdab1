# SPDX-License-Identifier: Apache-2.0
"""PyTorch as a contender: its native batch normalization, in NCHW and channels_last. bench/worker.h has the talk with the driver.

The operations are called below torch.nn, so that no graph is kept: they do what clbn's calls do, and allocate what they return.
"""
import mmap
import os
import re
import sys
import time

import numpy
import torch

EPSILON, WEIGHT = 1e-5, 0.1
PERIOD = 65521


def noise(seed, shape):
    """The values that tools/bench_target.c fills its buffers with."""
    state, values = seed, []
    for _ in range(PERIOD):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state >> 8) * 2.0**-24)
    return torch.from_numpy(numpy.resize(numpy.array(values, dtype=numpy.float32), int(numpy.prod(shape)))).reshape(shape)


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
                flat = next(iter(tensors.values())).reshape(-1) if tensors else noise(seed, shape).reshape(-1)
                view = flat.reshape(shape)
                tensors[layout] = view.permute(0, 3, 1, 2) if layout == "nhwc" else view
        self.layouts = list(self.x)
        self.gamma, self.beta = torch.ones(c), torch.zeros(c)
        self.running_mean, self.running_var = torch.zeros(c), torch.ones(c)
        self.mean, self.inv_std = torch.full((c,), 0.5), torch.full((c,), 3.46)
        self.out = None

    def run(self, way, calls):
        layout = self.layouts[way]
        x, gamma, beta = self.x[layout], self.gamma, self.beta
        mean, var = self.running_mean, self.running_var
        if self.op == "backward":
            dy, call = self.dy[layout], torch.ops.aten.native_batch_norm_backward
            for _ in range(calls):
                self.out = None
                self.out = call(dy, x, gamma, mean, var, self.mean, self.inv_std, True, EPSILON, [True, True, True])
        else:
            call, training = torch.native_batch_norm, self.op == "training"
            for _ in range(calls):
                self.out = None
                self.out = call(x, gamma, beta, mean, var, training, WEIGHT, EPSILON)

    def read(self, way):
        out = self.out[0]
        return (out.permute(0, 2, 3, 1) if self.layouts[way] == "nhwc" else out).contiguous().numpy().reshape(-1)


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
    print("hello torch PyTorch", torch.__version__, "(%s kernels)" % kernels.group(1) if kernels else "", file=talk)
    unit = None
    with torch.inference_mode():
        for line in sys.stdin:
            words = line.split()
            if words[0] == "open":
                unit = Unit(words[1], [int(word) for word in words[2:]])
                print("ways", *(layout + ":" + layout for layout in unit.layouts), file=talk)
            elif words[0] == "close":
                unit = None
                print("closed", file=talk)
            else:
                print(answer(unit, words), file=talk)


main()
