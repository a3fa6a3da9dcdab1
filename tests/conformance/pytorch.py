#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/conformance/pytorch.py DEVICE: the library in the place of F.batch_norm.

gradcheck, in float64, over PyTorch's own samples (OpInfo) and some of ours; then those samples, and ModuleInfo's modules for some steps of
training and one of evaluation, side by side with PyTorch's own results: each side must be within its limits of the exact
result (the library's promise; for PyTorch what rounding explains), and so within both of the other. PyTorch keeps some
intermediate results in the 16-bit types; where that shows, its limits are those of arithmetic in them, and the sample is counted.
"""
import copy
import sys
from unittest import mock

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

import library
from layer import batch_norm_by
from promise import definition, promise

TYPES = {torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16"}
MODULES = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
F = torch.nn.functional
count = {"gradcheck": 0, "opinfo": 0, "moduleinfo": 0, "values": 0, "worst": 0.0, "coarse": 0, "failed": 0}


def array(t):
    return None if t is None else t.detach().double().numpy().copy()


def fail(what):
    count["failed"] += 1
    print("failed:", what)


# ------------------------------------------------------------------------------------------------------------ one call, both ways

def call(function, x, mean, var, gamma, beta, dy, **how):
    """{name: array} of what a batch_norm gives."""
    x, gamma, beta = (t.detach().clone(memory_format=torch.preserve_format).requires_grad_() if t is not None else None for t in (x, gamma, beta))
    mean, var = (t.detach().clone() if t is not None else None for t in (mean, var))
    y = function(x, mean, var, gamma, beta, **how)
    y.backward(dy)
    out = {"y": y, "dx": x.grad, "dgamma": None if gamma is None else gamma.grad, "dbeta": None if beta is None else beta.grad}
    if how["training"]:
        out.update(new_running_mean=mean, new_running_var=var)
    return {k: array(v) for k, v in out.items() if v is not None}


def theirs_within(c, exact, theirs):
    """PyTorch's limits: those of arithmetic in real, or, where it is beyond them, in the 16-bit type itself (counted)."""
    def kept(k):
        return {"y": c["y_type"], "dx": c["x_type"]}.get(k, c["real"])

    may = definition.limits(c, c["real"], kept)
    if c["x_type"] not in ("float16", "bfloat16"):
        return may
    if all(np.all(np.abs(theirs[k].astype(definition.L).reshape(e.shape) - e) <= may[k]) for k, e in exact.items() if k in theirs):
        return may
    count["coarse"] += 1
    return definition.limits(c, c["x_type"], lambda k: c["x_type"])


def compare(name, c, ours, theirs):
    """c: the inputs as a case of tests/golden/make.py."""
    if set(ours) != set(theirs):
        return fail(f"{name}: {sorted(ours)} here and {sorted(theirs)} there")
    if 0 in c["dims"]:
        for k in ours:
            if not np.array_equal(ours[k], theirs[k]):
                fail(f"{name}: {k} of no value is {ours[k]} here and {theirs[k]} there")
            count["values"] += ours[k].size
        return None
    exact, ours_may = definition.exact(c), promise(c)
    theirs_may = theirs_within(c, exact, theirs)
    for k in ours:
        e = exact[k]
        ours_off, theirs_off = (np.abs(r[k].astype(definition.L).reshape(e.shape) - e) for r in (ours, theirs))
        apart = np.abs(ours[k].astype(definition.L) - theirs[k]).reshape(e.shape)
        count["values"] += e.size
        count["worst"] = max(count["worst"], float(np.max(ours_off / ours_may[k])))
        for what, error, bound in (("ours", ours_off, ours_may[k]), ("PyTorch's", theirs_off, theirs_may[k]),
                                   ("their difference", apart, ours_may[k] + np.max(theirs_off))):
            if not np.all(error <= bound):
                fail(f"{name}: {what}: {k} is off by {float(np.max(error)):.3g}, {float(np.max(error / bound)):.3g} of what it may be")
    return None


def case_of(x, gamma, beta, mean, var, dy, training, weight, epsilon):
    kind = TYPES[x.dtype]
    c = {"dims": tuple(x.shape), "axis": 1 if x.dim() > 1 else 0, "x": array(x), "dy": array(dy), "x_type": kind, "y_type": kind,
         "real": "float64" if kind == "float64" else "float32", "epsilon": epsilon, "weight": weight, "training": training, "unbiased": 1}
    c.update({k: array(t) for k, t in (("gamma", gamma), ("beta", beta), ("running_mean", mean), ("running_var", var)) if t is not None})
    return c


# ----------------------------------------------------------------------------------------------------------------------- OpInfo

def samples(kind):
    """(name, x, running_mean, running_var, gamma, beta, how) of OpInfo, a type's per channel tensors being real."""
    op = next(o for o in op_db if o.name == "nn.functional.batch_norm" and not o.variant_test_name)
    real = torch.float64 if kind == torch.float64 else torch.float32
    for k, s in enumerate(op.sample_inputs("cpu", real, requires_grad=False)):
        how = {"training": False, "momentum": 0.1, "eps": 1e-5, **s.kwargs}
        yield f"OpInfo.{k} {tuple(s.input.shape)} {s.kwargs} {kind}", s.input.to(kind), *s.args, how


def more_samples(kind):
    real = torch.float64 if kind == torch.float64 else torch.float32
    for shape in ((3, 5, 2, 4), (2, 17, 3, 3), (7, 1), (2, 3)):
        for training in (True, False):
            for last in (False, True) if len(shape) == 4 else (False,):
                x, channels = torch.randn(shape, dtype=real).to(kind), shape[1]
                x = x.contiguous(memory_format=torch.channels_last) if last else x
                mean, var, gamma, beta = (torch.rand(channels, dtype=real) + 0.5 for _ in range(4))
                yield (f"{shape}{' channels last' if last else ''} {kind} training {training}", x, mean, var, gamma, beta,
                       {"training": training, "momentum": 0.3, "eps": 1e-5})


def refuses(batch_norm, x, mean, var, gamma, beta, how):
    """A weight outside of [0, 1] is refused in training with running statistics; then they are left out."""
    try:
        batch_norm(x, mean.clone(), var.clone(), gamma, beta, **how)
    except library.Refused as e:
        return "INVALID_VALUE" in str(e)
    return False


def by_samples(batch_norm, kinds):
    for kind in kinds:
        for name, x, mean, var, gamma, beta, how in [*samples(kind), *more_samples(kind)]:
            if how["training"] and how["momentum"] < 0:
                if not refuses(batch_norm, x, mean, var, gamma, beta, how):
                    fail(f"{name}: a negative weight was not refused")
                mean = var = None
            dy = torch.randn(x.shape, dtype=torch.float64).to(kind)
            c = case_of(x, gamma, beta, mean, var, dy, how["training"], how["momentum"], how["eps"])
            compare(name, c, call(batch_norm, x, mean, var, gamma, beta, dy, **how), call(F.batch_norm, x, mean, var, gamma, beta, dy, **how))
            count["opinfo"] += 1


def by_gradcheck(batch_norm):
    for name, x, mean, var, gamma, beta, how in [*samples(torch.float64), *more_samples(torch.float64)]:
        inputs = [t.detach().requires_grad_() if t is not None else None for t in (x, gamma, beta)]
        if how["training"]: # gradcheck calls again and again
            mean = var = None

        def of(a, g, b, mean=mean, var=var, how=how):
            return batch_norm(a, mean, var, g, b, **how)

        try:
            torch.autograd.gradcheck(of, inputs)
        except Exception as e: # its error's text says where
            fail(f"gradcheck {name}: {type(e).__name__}: {str(e)[:300]}")
        count["gradcheck"] += 1


# --------------------------------------------------------------------------------------------------------------------- ModuleInfo

def step(m, batch_norm, x, dy):
    x = x.detach().clone().requires_grad_()
    m.zero_grad()
    with mock.patch.object(F, "batch_norm", batch_norm):
        y = m(x)
    y.backward(dy)
    out = {"y": y, "dx": x.grad, "dgamma": None if m.weight is None else m.weight.grad, "dbeta": None if m.bias is None else m.bias.grad}
    if m.training and m.running_mean is not None:
        out.update(new_running_mean=m.running_mean, new_running_var=m.running_var)
    return {k: array(v) for k, v in out.items() if v is not None}


def by_modules(batch_norm, kinds):
    """Each step starts from PyTorch's state, so that errors do not gather."""
    for kind, training in ((k, t) for k in kinds for t in (True, False)):
        for info in (i for i in module_db if i.module_cls in MODULES):
            for sample in info.module_inputs_func(info, device="cpu", dtype=kind, requires_grad=False, training=training):
                args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
                theirs = info.module_cls(*args, **{**kwargs, "dtype": kind}).train(training)
                for p in theirs.parameters():
                    torch.nn.init.uniform_(p, 0.5, 2)
                for k in range(3 if training else 1):
                    ours, before = copy.deepcopy(theirs), copy.deepcopy(theirs)
                    x, dy = (torch.randn(sample.forward_input.args[0].shape, dtype=kind) for _ in range(2))
                    name = f"{info.module_cls.__name__}{args} {sample.desc} {kind} training {training}, step {k}"
                    results = step(ours, batch_norm, x, dy), step(theirs, F.batch_norm, x, dy)
                    weight = before.momentum if before.momentum is not None else 1 / (k + 1)
                    c = case_of(x, before.weight, before.bias, before.running_mean, before.running_var, dy,
                                training or before.running_mean is None, weight, before.eps)
                    compare(name, c, *results)
                    if getattr(ours, "num_batches_tracked", None) != getattr(theirs, "num_batches_tracked", None):
                        fail(f"{name}: num_batches_tracked")
                    count["moduleinfo"] += 1


def main():
    torch.manual_seed(20150211)
    device = library.Device(sys.argv[1])
    batch_norm = batch_norm_by(device)
    kinds = [torch.float32, torch.float16, torch.bfloat16] + [torch.float64] * device.has_f64
    if device.has_f64:
        by_gradcheck(batch_norm)
    by_samples(batch_norm, kinds)
    by_modules(batch_norm, [k for k in kinds if k in (torch.float32, torch.float64)])
    print(f"PyTorch {torch.__version__} by {device.name}: gradcheck {count['gradcheck']}, OpInfo and more {count['opinfo']}, ModuleInfo's steps "
          f"{count['moduleinfo']}, values compared {count['values']}, worst {count['worst']:.2f} of the promise; PyTorch off by more than float32's rounding {count['coarse']}; failed {count['failed']}")
    return count["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())
