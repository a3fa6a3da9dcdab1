# SPDX-License-Identifier: Apache-2.0
"""Batch normalization from the formulas in long double, and how far from it a framework may be before it means something else.

The formulas are those of docs/semantics.md, epsilon inside. limits() is what the textbook's worst case allows who computes and stores
with given unit roundoffs: N. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, sections 1.9 and 3.1, with g(k) = k u / (1 - k u):
    mean        g(n + 1) mean|x|                                           any order of summation, and a division
    var         4 g(n + 4) mean x^2          by raw moments, mean x^2 - mean^2, the worst of all rules; two passes are within it
    inv_std     relative: t = (that + 4 u var) / (var + epsilon) gives 1 / sqrt(1 - t) - 1, and 6 u
    y           |gamma xhat| times that, |gamma| inv_std times the mean's, and 8 u of each term of x a + (beta - mean a)
    sums        g(n + 4) of the sums of absolute values, of dy (x - mean) as sum dy x - mean sum dy
    dx          those over n, in gamma inv_std (dy - S1 / n - (x - mean) inv_std^2 S2 / n), and 16 u of each term
A stored result is rounded once more. A framework beyond its limits is no matter of rounding: make.py then refuses.
"""
import numpy as np

L = np.longdouble
UNIT = {"float64": L(2) ** -53, "float32": L(2) ** -24, "float16": L(2) ** -11, "bfloat16": L(2) ** -8}
LEAST = {"float64": L(2) ** -1074, "float32": L(2) ** -149, "float16": L(2) ** -24, "bfloat16": L(2) ** -133}


def three(dims, axis):
    """x[outer][channels][inner]."""
    axis %= len(dims)
    return int(np.prod(dims[:axis])), dims[axis], int(np.prod(dims[axis + 1:]))


def channel(values, default, channels):
    return np.full((1, channels, 1), default, L) if values is None else np.asarray(values).astype(L).reshape(1, channels, 1)


def per_channel(a):
    return a.sum(axis=(0, 2), keepdims=True)


def statistics(c, x, n):
    """What normalizes: the batch's, or the population's."""
    if not c["training"]:
        return channel(c["running_mean"], 0, x.shape[1]), channel(c["running_var"], 1, x.shape[1])
    mean = per_channel(x) / n
    mean = mean + per_channel(x - mean) / n
    return mean, per_channel((x - mean) ** 2) / n


def exact(c):
    """{name: what must come out} of a case: its dims, axis, epsilon, unbiased, weight, training and inputs."""
    outer, channels, inner = three(c["dims"], c["axis"])
    n = outer * inner
    x = np.asarray(c["x"]).astype(L).reshape(outer, channels, inner)
    mean, var = statistics(c, x, n)
    r = 1 / np.sqrt(var + L(c["epsilon"]))
    gamma, beta = channel(c.get("gamma"), 1, channels), channel(c.get("beta"), 0, channels)
    about = x - mean
    out = {"y": gamma * about * r + beta, "saved_mean": mean, "saved_var": var, "saved_inv_std": r}
    if c["training"] and c.get("running_mean") is not None:
        w, old_mean, old_var = L(c["weight"]), channel(c["running_mean"], 0, channels), channel(c["running_var"], 1, channels)
        batch = var if not c["unbiased"] else var * n / (n - 1) if n > 1 else old_var
        out["new_running_mean"] = (1 - w) * old_mean + w * mean
        out["new_running_var"] = (1 - w) * old_var + w * batch
    if c.get("dy") is not None:
        dy = np.asarray(c["dy"]).astype(L).reshape(x.shape)
        s1, s2 = per_channel(dy), per_channel(dy * about)
        out["dbeta"], out["dgamma"] = s1, r * s2
        out["dx"] = gamma * r * (dy - (s1 / n + about * r * r * s2 / n if c["training"] else 0))
    return out


def limits(c, compute, kept):
    """{name: how far from exact() it may be}: compute is the type of the arithmetic, kept(name) the one a result is stored in."""
    e = exact(c)
    outer, channels, inner = three(c["dims"], c["axis"])
    n, u, given = outer * inner, UNIT[compute], not c["training"]

    def g(k):
        return k * u / (1 - k * u)

    x = np.asarray(c["x"]).astype(L).reshape(outer, channels, inner)
    mean, var, r = e["saved_mean"], e["saved_var"], e["saved_inv_std"]
    gamma, beta = channel(c.get("gamma"), 1, channels), channel(c.get("beta"), 0, channels)
    about, ax, am, scale = np.abs(x - mean), np.abs(x), np.abs(mean), np.abs(gamma) * r
    of_mean = 0 * mean if given else g(n + 1) * per_channel(ax) / n
    of_var = 0 * var if given else 4 * g(n + 4) * per_channel(x * x) / n
    t = np.minimum((of_var + 4 * u * var) / (var + L(c["epsilon"])), L(0.75))
    of_r = 1 / np.sqrt(1 - t) - 1 + 6 * u
    out = {"saved_mean": of_mean, "saved_var": of_var, "saved_inv_std": r * of_r,
           "y": scale * (about * of_r + of_mean + 8 * u * (ax + am)) + 8 * u * np.abs(beta)}
    if "new_running_mean" in e:
        w, f = np.abs(L(c["weight"])), L(n) / (n - 1) if c["unbiased"] and n > 1 else L(1)
        out["new_running_mean"] = w * of_mean + 8 * u * (np.abs(channel(c["running_mean"], 0, channels)) + w * am)
        out["new_running_var"] = w * f * of_var + 8 * u * (np.abs(channel(c["running_var"], 1, channels)) + w * f * var)
    if "dx" in e:
        ady = np.abs(np.asarray(c["dy"]).astype(L).reshape(x.shape))
        a1, a2 = per_channel(ady), per_channel(ady * ax) + am * per_channel(ady)
        of_s1, of_s2 = g(n + 4) * a1, g(n + 4) * a2 + of_mean * a1
        s2 = np.abs(e["dgamma"]) / r
        out["dbeta"], out["dgamma"] = of_s1, r * of_s2 + of_r * r * s2
        last = (ax + am) * r * r
        of_last = last * (of_s2 + (3 * of_r + 16 * u) * (s2 + of_s2)) + of_mean * r * r * (s2 + of_s2)
        out["dx"] = scale * ((of_r + 16 * u) * ady + (0 if given else ((1 + of_r) * of_s1 + 16 * u * a1 + of_last) / n))
    return {k: v + UNIT[kept(k)] * (np.abs(e[k]) + v) + LEAST[kept(k)] + 0 * e[k] for k, v in out.items()}
