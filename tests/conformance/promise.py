# SPDX-License-Identifier: Apache-2.0
"""How far the library may be from the exact result: docs/accuracy.md's promise, which oracle/bounds.h and bounds_gradients.h hold for
the suites, once more here, as the frameworks are called from Python; half an ulp more for the CPU path, which has stricter bounds there."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden"))
import definition  # noqa: E402

L = definition.L


def promise(c):
    """{name: bound} of a case of tests/golden/make.py."""
    e = definition.exact(c)
    outer, channels, inner = definition.three(c["dims"], c["axis"])
    n, u = outer * inner, definition.UNIT[c["real"]]
    a = L(1e-13) if c["real"] == "float64" else L(1e-6)
    mean, var, r = e["saved_mean"], e["saved_var"], e["saved_inv_std"]
    x = np.asarray(c["x"]).astype(L).reshape(outer, channels, inner)
    gamma, beta = definition.channel(c.get("gamma"), 1, channels), definition.channel(c.get("beta"), 0, channels)
    xhat = np.abs(x - mean) * r
    spread = np.abs(gamma) * r * np.sqrt(var) if c["training"] else 0
    out = {"y": a * np.maximum(np.maximum(1, spread), np.abs(gamma) * xhat + np.abs(beta))}
    if "new_running_mean" in e:
        w, f = L(c["weight"]), L(n) / (n - 1) if c["unbiased"] and n > 1 else L(1)
        for k, batch, of in (("mean", mean, a * np.sqrt(var)), ("var", var * f, a * var * f)):
            old = definition.channel(c["running_" + k], 0, channels)
            out["new_running_" + k] = w * of + 6 * u * (np.abs((1 - w) * old) + np.abs(w * batch))
    if "dx" in e:
        g, sums = np.abs(np.asarray(c["dy"]).astype(L).reshape(x.shape)), definition.per_channel
        signed = np.abs(sums(np.asarray(c["dy"]).astype(L).reshape(x.shape)))
        out["dbeta"], out["dgamma"] = a * sums(g), a * (sums(g * xhat) + r * np.sqrt(var) * signed)
        out["dx"] = a * np.abs(gamma) * r * (g + (sums(g) / n + xhat * sums(g * xhat) / n if c["training"] else 0))
    kept = {"y": c["y_type"], "dx": c["x_type"]}
    return {k: v + definition.UNIT[kept.get(k, c["real"])] * (np.abs(e[k]) + v) + definition.LEAST[kept.get(k, c["real"])]
            for k, v in out.items()}
