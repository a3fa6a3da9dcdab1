# SPDX-License-Identifier: Apache-2.0
"""PyTorch's batch_norm by the library: a torch.autograd.Function, and a function that can stand in F.batch_norm's place."""
import ctypes

import torch

from library import BF16, F16, F32, F64

DTYPES = {torch.float32: F32, torch.float16: F16, torch.bfloat16: BF16, torch.float64: F64}
NOWHERE = ctypes.c_char()


def dense(t):
    return None if t is None else t.detach().contiguous()


def at(t):
    """A tensor without elements has no memory; as an argument it is there."""
    return None if t is None else t.data_ptr() or ctypes.addressof(NOWHERE)


def dims_of(x):
    """Dims and channel axis of memory as it lies: channels last where it is so, and (0,) has no axis 1."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return x.permute(0, 2, 3, 1), -1
    return x.contiguous(), 1 if x.dim() > 1 else 0


class BatchNorm(torch.autograd.Function):
    """Running statistics are updated in place, as F.batch_norm does."""

    @staticmethod
    def forward(ctx, x, gamma, beta, running_mean, running_var, training, weight, epsilon, device):
        stored, axis = dims_of(x.detach())
        real = torch.float64 if x.dtype == torch.float64 else torch.float32
        plan = device.plan(stored.shape, axis, DTYPES[x.dtype], epsilon, True)
        y, channels = torch.empty_like(stored), stored.shape[axis]
        saved = [torch.empty(channels, dtype=real) for _ in range(3)] if training else [None] * 3
        gamma, beta = dense(gamma), dense(beta)
        device.call("forward_training" if training else "forward_inference", plan, weight if running_mean is not None else None,
                    x=at(stored), y=at(y), gamma=at(gamma), beta=at(beta), running_mean=at(running_mean), running_var=at(running_var),
                    saved_mean=at(saved[0]), saved_mean_lo=at(saved[1]), saved_inv_std=at(saved[2]))
        ctx.device, ctx.plan, ctx.axis, ctx.training, ctx.real = device, plan, axis, training, real
        population = [None, None] if training else [running_mean.clone(), running_var.clone()]
        ctx.save_for_backward(stored, gamma, beta, *saved, *population)
        return y.permute(0, 3, 1, 2) if stored.dim() == 4 and axis == -1 else y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        x, gamma, beta, mean, mean_lo, inv_std, running_mean, running_var = ctx.saved_tensors
        last = ctx.axis == -1
        dy = (dy.permute(0, 2, 3, 1) if last else dy).contiguous()
        dx, channels = torch.empty_like(x), x.shape[ctx.axis]
        dgamma, dbeta = (torch.empty(channels, dtype=ctx.real) for _ in range(2))
        ctx.device.call("backward_training" if ctx.training else "backward_inference", ctx.plan, x=at(x), dy=at(dy), dx=at(dx),
                        dgamma=at(dgamma), dbeta=at(dbeta), gamma=at(gamma), saved_mean=at(mean), saved_mean_lo=at(mean_lo),
                        saved_inv_std=at(inv_std), running_mean=at(running_mean), running_var=at(running_var))
        dx = dx.permute(0, 3, 1, 2) if last else dx
        return dx, dgamma if gamma is not None else None, dbeta if beta is not None else None, None, None, None, None, None, None


def batch_norm_by(device):
    def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        return BatchNorm.apply(input, weight, bias, running_mean, running_var, training, momentum, eps, device)
    return batch_norm
