# SPDX-License-Identifier: Apache-2.0
"""The library by ctypes: its structs are read from clbn.h, so that they cannot drift from it."""
import ctypes
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIMPLE = {"size_t": ctypes.c_size_t, "double": ctypes.c_double, "unsigned": ctypes.c_uint, "int": ctypes.c_int, "cl_mem": ctypes.c_void_p,
          "uint64_t": ctypes.c_uint64, "clbn_message_fn": ctypes.c_void_p, "clbn_activation_fn": ctypes.c_void_p}
F32, F16, BF16, F64 = range(4)
INSIDE, PYTORCH, HOST = 0, 0, 2


def read_header():
    with open(os.path.join(ROOT, "include", "clbn.h")) as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    types = dict(SIMPLE)
    types.update({name: ctypes.c_int for name in re.findall(r"typedef enum (\w+)", text)})
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text, flags=re.S):
        fields = []
        for line in re.findall(r"([^;]+);", body):
            kind, names = re.match(r"\s*(?:const )?(\w+)\s+(.*)", line, flags=re.S).groups()
            for field in re.split(r",\s*", names.strip()):
                one, size = re.match(r"\*?(\w+)(?:\[(\d+)\])?$", field).groups()
                base = ctypes.c_void_p if field.startswith("*") else ctypes.c_char if kind == "char" else types[kind]
                fields.append((one, base * int(size) if size else base))
        types[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return types


TYPES = read_header()
MESSAGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_char_p)


class Refused(Exception):
    """The library's sentence, and its status' name."""


class Device:
    def __init__(self, name, path=os.path.join(ROOT, "build", "libclbn.so")):
        self.api, self.said, self.plans = ctypes.CDLL(path), "", {}
        for f, result in (("clbn_config_preset", TYPES["clbn_config"]), ("clbn_status_name", ctypes.c_char_p)):
            getattr(self.api, f).restype = result
        self.listen = MESSAGE(self.hear)
        options = TYPES["clbn_device_options"](message=ctypes.cast(self.listen, ctypes.c_void_p))
        self.handle = ctypes.c_void_p()
        self.must(self.api.clbn_device_create(name.encode(), ctypes.byref(options), ctypes.byref(self.handle)))
        info = TYPES["clbn_device_info"]()
        self.must(self.api.clbn_device_query(self.handle, ctypes.byref(info)))
        self.name, self.is_cpu_path, self.has_f64 = info.device.decode(), info.kind == 0, bool(info.has_fp64)

    def hear(self, _, status, native, sentence):
        if status:
            self.said = sentence.decode()

    def must(self, status):
        if status:
            raise Refused(f"{self.api.clbn_status_name(status).decode()}: {self.said}")

    def plan(self, dims, axis, dtype, epsilon, unbiased):
        key = (tuple(dims), axis, dtype, epsilon, unbiased)
        if key not in self.plans:
            config, plan = self.api.clbn_config_preset(PYTORCH), ctypes.c_void_p()
            extents = (ctypes.c_size_t * max(len(dims), 1))(*dims)
            config.rank, config.dims, config.axis = len(dims), ctypes.cast(extents, ctypes.c_void_p), axis
            config.dtype, config.epsilon, config.running_variance = dtype, epsilon, int(unbiased)
            self.must(self.api.clbn_plan_create(self.handle, ctypes.byref(config), ctypes.byref(plan)))
            self.plans[key] = plan
        return self.plans[key]

    def call(self, verb, plan, update_weight=None, **pointers):
        """clbn_VERB on host arrays; a pointer that is None is an absent argument."""
        kind = {"forward": "clbn_forward_args", "backward": "clbn_backward_args"}[verb.split("_")[0]]
        args = TYPES[kind](**{k: TYPES["clbn_buffer"](kind=HOST, host=p) for k, p in pointers.items() if p})
        if update_weight is not None:
            args.update_weight = update_weight
        self.must(getattr(self.api, "clbn_" + verb)(plan, None, ctypes.byref(args), 0, None, None))
