#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/conformance/onnx_nodes.py DEVICE [FOLDER]: the library as an ONNX backend, under the onnx package's own runner.

Of the package: its batch-normalization node tests and its models converted from PyTorch that are one BatchNormalization. Of FOLDER (Debian's
libonnx-testdata, /usr/share/libonnx-testdata/data): the node tests of its release. Tolerances are those of the tests.
"""
import glob
import os
import sys
import unittest
import warnings

import numpy as np
import onnx
import onnx.backend.base
import onnx.backend.test
from onnx import numpy_helper

import library

warnings.filterwarnings("ignore", category=RuntimeWarning) # of other operators' examples, which the runner makes too
DTYPES = {np.dtype(np.float32): library.F32, np.dtype(np.float16): library.F16, np.dtype(np.float64): library.F64}
device = library.Device(sys.argv[1])
ran = []


def normalize(node, x, gamma, beta, mean, var):
    """The operator, opset 6 to 15: [y], in training with the new running statistics."""
    how = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    training = how.get("training_mode", 0)
    real = np.float64 if x.dtype == np.float64 else np.float32
    x = np.ascontiguousarray(x)
    gamma, beta, mean, var = (np.array(a, dtype=real) for a in (gamma, beta, mean, var))
    y = np.empty_like(x)
    plan = device.plan(x.shape, 1, DTYPES[x.dtype], how.get("epsilon", 1e-5), False)
    device.call("forward_training" if training else "forward_inference", plan, 1 - how.get("momentum", 0.9) if training else None,
                x=x.ctypes.data, y=y.ctypes.data, gamma=gamma.ctypes.data, beta=beta.ctypes.data, running_mean=mean.ctypes.data,
                running_var=var.ctypes.data)
    return [y, mean, var] if training else [y]


class Prepared(onnx.backend.base.BackendRep):
    def __init__(self, model):
        self.model = model

    def run(self, inputs, **kwargs):
        graph = self.model.graph
        known = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        known.update(zip([i.name for i in graph.input if i.name not in known], inputs))
        ran.append(graph.name)
        return normalize(graph.node[0], *(known[name] for name in graph.node[0].input))


class Backend(onnx.backend.base.Backend):
    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        return Prepared(model)

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"


def of_folder(folder):
    """The runner's comparison over a folder of model.onnx, input_N.pb and output_N.pb."""
    def load(path):
        tensor = onnx.TensorProto()
        with open(path, "rb") as f:
            tensor.ParseFromString(f.read())
        return numpy_helper.to_array(tensor)

    count = 0
    for path in sorted(glob.glob(os.path.join(folder, "node", "test_batchnorm_*"))):
        data = os.path.join(path, "test_data_set_0")
        inputs, outputs = ([load(os.path.join(data, f"{kind}_{k}.pb")) for k in range(len(glob.glob(os.path.join(data, kind + "_*"))))]
                           for kind in ("input", "output"))
        got = Backend.prepare(onnx.load(os.path.join(path, "model.onnx"))).run(inputs)
        assert len(got) == len(outputs), path
        for ours, theirs in zip(got, outputs):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-7, err_msg=path)
        count += 1
    return count


def main():
    runner = onnx.backend.test.BackendTest(Backend, __name__)
    runner.include(r"test_batchnorm_.*_cpu$").include(r"test_BatchNorm\d?d?_.*_cpu$")
    result = unittest.TextTestRunner(stream=open(os.devnull, "w"), verbosity=0).run(runner.test_suite)
    for name, text in result.failures + result.errors:
        print(f"failed: {name}\n{text}")
    by_runner = len(ran)
    debian = of_folder(sys.argv[2]) if len(sys.argv) > 2 and os.path.isdir(sys.argv[2]) else 0
    print(f"ONNX {onnx.__version__} by {device.name}: node and converted tests {by_runner}, of Debian's test data {debian}, "
          f"failed {len(result.failures) + len(result.errors)}")
    return not result.wasSuccessful() or by_runner == 0 or (len(sys.argv) > 2 and debian == 0)


if __name__ == "__main__":
    sys.exit(main())
