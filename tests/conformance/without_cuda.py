# SPDX-License-Identifier: Apache-2.0
"""PyPI's PyTorch without the gigabytes of CUDA that its wheel asks for: makes stand-ins for those libraries.

The wheel's own libraries name CUDA's, which the loader must find though a processor never calls them. A stand-in has the right name
and versions, and functions that say "no device" (100, cudaErrorNoDevice). Run by the Python that has torch, before it imports it:
stand-ins are written beside torch's libraries, for those that are not there.
"""
import glob
import os
import re
import subprocess
import sys
import sysconfig
import tempfile

OURS = re.compile(r"(_*cu|nccl|_*nv)[A-Za-z_]")
TORCH = re.compile(r"lib(torch|c10|shm|gomp|gfortran|caffe2)")
SYSTEM = re.compile(r"(lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|gomp)\.so|ld-linux)")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True, text=True).stdout


def wanted(libraries):
    """{library: {version or "": symbols}} of what is needed and not torch's; symbols without a version stand under None."""
    needed, loose = {}, set()
    for path in libraries:
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", path)):
            if not SYSTEM.match(name) and not TORCH.match(name):
                needed.setdefault(name, {})
        of_version, file = {}, None
        for line in readelf("-V", path).splitlines():
            if found := re.search(r"File: (\S+) ", line):
                file = found[1]
            elif (found := re.search(r"Name: (\S+) .*Flags", line)) and file:
                of_version[found[1]] = file
        for symbol, version in re.findall(r" UND ([\w$.]+)(?:@(\S+))?", readelf("--dyn-syms", path)):
            if version and of_version.get(version) in needed:
                needed[of_version[version]].setdefault(version, set()).add(symbol)
            elif not version and OURS.match(symbol):
                loose.add(symbol)
    if needed:
        next(iter(needed.values())).setdefault("", set()).update(loose)
    return needed


def write(folder, name, versions):
    with tempfile.TemporaryDirectory() as work:
        code, script = os.path.join(work, "stub.c"), os.path.join(work, "stub.map")
        with open(code, "w") as c, open(script, "w") as m:
            for version, symbols in versions.items():
                c.writelines(f"long {s}(void) {{ return 100; }}\n" for s in sorted(symbols))
                if version:
                    m.write(f"{version} {{ global: {' '.join(s + ';' for s in sorted(symbols))} }};\n")
            c.write("extern int clbn_stand_in;\nint clbn_stand_in = 1;\n")
        scripted = [f"-Wl,--version-script={script}"] if any(versions) else []
        subprocess.run(["cc", "-w", "-shared", "-fPIC", "-fno-builtin", "-o", os.path.join(folder, name), code,
                        f"-Wl,-soname,{name}", *scripted], check=True)


def main():
    torch = os.path.join(sysconfig.get_path("purelib"), "torch")
    folder = os.path.join(torch, "lib")
    libraries = [f for f in glob.glob(os.path.join(folder, "*.so*")) if TORCH.match(os.path.basename(f))]
    made = 0
    for name, versions in wanted(libraries).items():
        if not os.path.exists(os.path.join(folder, name)):
            write(folder, name, versions)
            made += 1
    print(f"without_cuda: {made} stand-ins")


if __name__ == "__main__":
    sys.exit(main())
