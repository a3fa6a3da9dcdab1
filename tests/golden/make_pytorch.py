# SPDX-License-Identifier: Apache-2.0
"""Vectors of PyTorch: its own samples of OpInfo and ModuleInfo, and what these leave out."""
import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from make import case, drawn, put, rounded

F = torch.nn.functional
TYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}


def tensor(values, kind, grad=False):
    return None if values is None else torch.tensor(values, dtype=TYPES[kind]).requires_grad_(grad)


def array(t):
    return None if t is None else t.detach().double().numpy()


def run(c, momentum, layout=torch.contiguous_format):
    """F.batch_norm and its backward, of a case whose channel axis is 1; where it is the last, of its channels_last view."""
    last = c["axis"] == -1
    x = tensor(c["x"], c["x_type"])
    x = (x.permute(0, 3, 1, 2) if last else x).contiguous(memory_format=layout).requires_grad_("dy" in c)
    gamma, beta = tensor(c.get("gamma"), c["real"], True), tensor(c.get("beta"), c["real"], True)
    mean, var = tensor(c.get("running_mean"), c["real"]), tensor(c.get("running_var"), c["real"])
    y = F.batch_norm(x, mean, var, gamma, beta, bool(c["training"]), momentum, c["epsilon"])

    def back(t):
        return array(t.permute(0, 2, 3, 1) if last else t)

    put(c, y=back(y))
    if c["training"]:
        put(c, new_running_mean=array(mean), new_running_var=array(var))
    if "dy" in c:
        dy = tensor(c["dy"], c["y_type"])
        y.backward((dy.permute(0, 3, 1, 2) if last else dy).contiguous(memory_format=layout))
        put(c, dx=back(x.grad), dgamma=array(gamma.grad) if gamma is not None else None, dbeta=array(beta.grad) if beta is not None else None)
    return c


def of_opinfo():
    op = next(o for o in op_db if o.name == "nn.functional.batch_norm" and not o.variant_test_name)
    for k, s in enumerate(op.sample_inputs("cpu", torch.float32, requires_grad=False)):
        dims, momentum = tuple(s.input.shape), s.kwargs.get("momentum", 0.1)
        mean, var, gamma, beta = s.args
        training = int(s.kwargs.get("training", False))
        # A weight outside of [0, 1] is refused here: then, without running statistics, it is not looked at.
        running = mean is not None and not (training and momentum < 0)
        c = case(f"OpInfo.{k}", dims, axis=1 if len(dims) > 1 else 0, epsilon=s.kwargs.get("eps", 1e-5), weight=max(momentum, 0),
                 training=training, affine="", running=False)
        c["x"] = array(s.input)
        given = {"gamma": gamma, "beta": beta, "running_mean": mean if running else None, "running_var": var if running else None}
        c.update({k: array(v) for k, v in given.items() if v is not None})
        yield run(c, momentum)


def set_module(m, rng):
    """What a module starts with, 1 and 0, would hide mistakes."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        t = getattr(m, name)
        if t is not None:
            least = 0.5 if name == "running_var" else -1
            t.data = torch.tensor(rng.uniform(least, 2, t.shape), dtype=t.dtype)


def step(m, name, x, dy):
    """One call of a module, as a case."""
    training = int(m.training or m.running_mean is None)
    momentum = m.momentum if m.momentum is not None else 1 / (int(m.num_batches_tracked) + 1)
    c = case(name, tuple(x.shape), epsilon=m.eps, weight=momentum, training=training, affine="", running=False, gradients=False)
    c.update(x=array(x), dy=array(dy))
    for ours, theirs in (("gamma", m.weight), ("beta", m.bias), ("running_mean", m.running_mean), ("running_var", m.running_var)):
        if theirs is not None:
            c[ours] = array(theirs).copy()
    x = x.detach().requires_grad_(True)
    m.zero_grad()
    y = m(x)
    y.backward(dy)
    put(c, y=array(y), dx=array(x.grad))
    if training and m.running_mean is not None:
        put(c, new_running_mean=array(m.running_mean).copy(), new_running_var=array(m.running_var).copy())
    return put(c, dgamma=array(m.weight.grad) if m.weight is not None else None, dbeta=array(m.bias.grad) if m.bias is not None else None)


def of_moduleinfo():
    kinds = {torch.nn.BatchNorm1d: None, torch.nn.BatchNorm2d: None, torch.nn.BatchNorm3d: ("", "3d_simple_average", "zero_batch")}
    for info in module_db:
        if info.module_cls not in kinds:
            continue
        for training in (True, False):
            for sample in info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=training):
                if kinds[info.module_cls] is not None and sample.desc not in kinds[info.module_cls]:
                    continue
                m = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs).train(training)
                name = f"{info.module_cls.__name__}.{sample.desc or 'default'}.{'training' if training else 'evaluation'}"
                rng, shape = drawn(name), sample.forward_input.args[0].shape
                set_module(m, rng)
                for k in range(3 if training and m.momentum is None else 1):
                    x, dy = (torch.tensor(rng.standard_normal(shape), dtype=torch.float32) for _ in range(2))
                    yield step(m, f"{name}.{k}" if training and m.momentum is None else name, x, dy)


def others():
    last = torch.channels_last
    yield run(case("channels_last", (3, 4, 3, 5), axis=-1), 0.1, last)
    yield run(case("channels_last.evaluation", (3, 4, 3, 5), axis=-1, training=0), 0.1, last)
    for kind in ("float16", "bfloat16"):
        for training in (1, 0):
            yield run(case(f"{kind}.{'training' if training else 'evaluation'}", (3, 5, 2, 4), x_type=kind, training=training), 0.1)
        yield run(case(f"{kind}.channels_last", (3, 2, 4, 5), axis=-1, x_type=kind), 0.1, last)
    yield run(case("float64.training", (3, 5, 2, 4), x_type="float64"), 0.1)
    yield run(case("float64.evaluation", (3, 5, 2, 4), x_type="float64", training=0), 0.1)
    yield run(case("momentum_1", (6, 5), weight=1), 1.0)
    yield run(case("far", (16, 3, 5), mean=100, sigma=1), 0.1)
    yield run(case("float64.far", (16, 3, 5), x_type="float64", mean=1e6, sigma=1), 0.1)
    c = case("saved", (4, 5, 3), gradients=False)
    mean, var = tensor(c["running_mean"], "float32"), tensor(c["running_var"], "float32")
    y, saved_mean, saved_inv_std = torch.native_batch_norm(tensor(c["x"], "float32"), tensor(c["gamma"], "float32"),
                                                           tensor(c["beta"], "float32"), mean, var, True, 0.1, c["epsilon"])
    yield put(c, y=array(y), saved_mean=array(saved_mean), saved_inv_std=array(saved_inv_std), new_running_mean=array(mean),
              new_running_var=array(var))


def vectors():
    torch.manual_seed(20150211)
    torch.set_num_threads(1)
    return f"PyTorch {torch.__version__}", [*of_opinfo(), *of_moduleinfo(), *others()]
