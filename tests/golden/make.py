#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/golden/make.py [pytorch] [tensorflow] [keras] [onnx]: make the vectors of these frameworks anew, into the folder of this file.

Needs what requirements.txt and torch.txt name; scripts/conformance --golden makes that and runs this. tests/vectors.h says what a vector
holds. Beside each result stands how far the framework is from the exact one, in long double; where that is more than rounding
can explain (definition.py's limits), the framework means something else than the vector says, and none is written.
"""
import importlib
import os
import platform
import sys
import zlib

import numpy as np

import definition

HERE = os.path.dirname(os.path.abspath(__file__))
INPUTS = ("x", "gamma", "beta", "running_mean", "running_var", "dy")
RESULTS = ("y", "saved_mean", "saved_var", "saved_inv_std", "new_running_mean", "new_running_var", "dx", "dgamma", "dbeta")


def drawn(name):
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def rounded(values, kind):
    """As doubles, what the type holds of them."""
    if kind == "bfloat16":
        import ml_dtypes
        return np.asarray(values).astype(ml_dtypes.bfloat16).astype(np.float64)
    return np.asarray(values).astype(kind).astype(np.float64)


def case(name, dims, axis=1, x_type="float32", y_type=None, epsilon=1e-5, unbiased=1, weight=0.1, training=1, affine="gamma beta",
         running=True, gradients=True, mean=0.5, sigma=1.5, real=None):
    """A case with inputs drawn by its name, and no results yet."""
    y_type = y_type or x_type
    real = real or ("float64" if "float64" in (x_type, y_type) else "float32")
    c = dict(name=name, dims=tuple(dims), axis=axis, x_type=x_type, y_type=y_type, epsilon=epsilon, unbiased=unbiased, weight=weight,
             training=training, compute=real, real=real, out={})
    rng, channels = drawn(name), dims[axis]
    c["x"] = rounded(mean + sigma * rng.standard_normal(dims), x_type)
    draws = {"gamma": rng.uniform(0.5, 2, channels) * np.where(np.arange(channels) % 2, -1, 1), "beta": rng.uniform(-1, 1, channels),
             "running_mean": mean + sigma * rng.standard_normal(channels), "running_var": sigma**2 * rng.uniform(0.5, 1.5, channels),
             "dy": rng.standard_normal(dims)}
    for k in ("gamma", "beta"):
        if k in affine:
            c[k] = rounded(draws[k], real)
    if running:
        c["running_mean"], c["running_var"] = rounded(draws["running_mean"], real), rounded(draws["running_var"], real)
    if gradients:
        c["dy"] = rounded(draws["dy"], y_type)
    return c


def put(c, **results):
    c["out"].update({k: np.asarray(v, dtype=np.float64) for k, v in results.items() if v is not None})
    return c


def kept(c):
    return lambda name: {"y": c["y_type"], "dx": c["x_type"]}.get(name, c["real"])


def off_by(c):
    """{name: the framework's worst error}, or an end to it all where that is no rounding error."""
    if 0 in c["dims"]:
        return {}
    exact, limits, worst = definition.exact(c), definition.limits(c, c["compute"], kept(c)), {}
    for k, got in c["out"].items():
        error = np.abs(got.astype(definition.L).reshape(exact[k].shape) - exact[k])
        if not np.all(error <= limits[k]):
            sys.exit(f"{c['name']}: {k} is off by {float(np.max(error)):.3g}, and rounding explains {float(np.max(limits[k])):.3g} at most")
        # Rounded up, and by what two definitions in long double may differ.
        worst[k] = np.nextafter(np.float64(np.max(error) + np.max(limits[k]) / 1024), np.inf)
    return worst


def number(v):
    head, _, power = float(v).hex().partition("p")
    return head.rstrip("0").rstrip(".") + "p" + power if power else head


def row(out, name, values):
    values = np.asarray(values, dtype=np.float64).ravel()
    out.write(f"{name} {values.size}" + "".join(" " + number(v) for v in values) + "\n")


def write(framework, versions, cases):
    path = os.path.join(HERE, framework + ".txt")
    lines = [f"# Made by tests/golden/make.py from {versions}, NumPy {np.__version__}, Python {platform.python_version()}, on a processor.",
             "# SPDX-License-Identifier: Apache-2.0"]
    with open(path + ".new", "w") as out:
        out.write("\n".join(lines) + "\n")
        for c in cases:
            worst = off_by(c)
            out.write(f"case {framework}.{c['name']}\ndims {len(c['dims'])} {' '.join(map(str, c['dims']))}\naxis {c['axis']}\n"
                      f"types {c['x_type']} {c['y_type']}\nepsilon {number(c['epsilon'])}\nunbiased {c['unbiased']}\n"
                      f"weight {number(c['weight'])}\ntraining {c['training']}\n")
            for k in INPUTS:
                if c.get(k) is not None:
                    row(out, k, c[k])
            for k in RESULTS:
                if k in c["out"]:
                    row(out, k, c["out"][k])
                    if k in worst:
                        out.write(f"off {k} {number(worst[k])}\n")
            out.write("end\n")
    os.replace(path + ".new", path)
    print(f"{os.path.basename(path)}: {len(cases)} vectors, {os.path.getsize(path)} bytes, from {versions}")


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    for framework in sys.argv[1:] or ("pytorch", "tensorflow", "keras", "onnx"):
        write(framework, *importlib.import_module("make_" + framework).vectors())
