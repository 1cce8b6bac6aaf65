"""Stands in for nvidia-smi: asks the NVML it finds and says what the real one says, with its exit codes.

Only what other diagnosis tools call: no argument, and --query-gpu with --format=csv.
"""

import ctypes
import sys

_REFUSALS = {
    4: "Failed to initialize NVML: Insufficient Permissions",
    9: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "
       "driver is installed and running.\n",
    15: "Unable to determine the device handle for GPU0: {bus}: GPU is lost.  Reboot the system to recover this GPU",
    17: "Failed to initialize NVML: GPU access blocked by the operating system",
    18: "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {library}",
    999: "Failed to initialize NVML: Unknown Error",
}  # fmt: skip


def _fail(code, **words):
    sys.stdout.write(_REFUSALS.get(code, f"Failed to initialize NVML: error {code}").format(**words) + "\n")
    return code if code < 255 else 255


def _text(function, *arguments):
    buffer = ctypes.create_string_buffer(96)
    function(*arguments, buffer, ctypes.c_uint(96))
    return buffer.value.decode("utf-8", "replace")


def main() -> int:
    """The exit code."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        sys.stdout.write(
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display "
            "Driver is properly installed and present in your system.\n"
            "Please also try adding directory that contains libnvidia-ml.so to your system PATH.\n"
        )
        return 12
    code = nvml.nvmlInit_v2()
    if code:
        return _fail(code, library=_text(nvml.nvmlSystemGetNVMLVersion))
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    if count.value == 0:
        sys.stdout.write("No devices were found\n")
        return 6
    rows = []
    for index in range(count.value):
        handle = ctypes.c_long()
        code = nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle))
        if code:
            return _fail(code, bus=f"0000:{index + 1:02X}:00.0")
        rows.append(_row(nvml, index, handle))
    version = ctypes.c_int()
    nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(version))
    driver = _text(nvml.nvmlSystemGetDriverVersion)
    fields = [a.partition("=")[2].split(",") for a in sys.argv[1:] if a.startswith("--query-gpu=")]
    if not fields:
        cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
        sys.stdout.write(f"| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda} |\n")
        for row in rows:
            sys.stdout.write(f"|   {row['index']}  {row['name']}   | {row['memory.used']} / {row['memory.total']} |\n")
        return 0
    for row in rows:
        row["driver_version"] = driver
        sys.stdout.write(", ".join(row.get(field.strip(), "[N/A]") for field in fields[0]) + "\n")
    return 0


def _row(nvml, index, handle):
    memory = (ctypes.c_ulonglong * 3)()
    major, minor, mode = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    nvml.nvmlDeviceGetMemoryInfo(handle, memory)
    nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
    nvml.nvmlDeviceGetComputeMode(handle, ctypes.byref(mode))
    total, free, used = (value // 2**20 for value in memory)
    return {
        "index": str(index),
        "name": _text(nvml.nvmlDeviceGetName, handle),
        "uuid": _text(nvml.nvmlDeviceGetUUID, handle),
        "memory.total": f"{total} MiB",
        "memory.free": f"{free} MiB",
        "memory.used": f"{used} MiB",
        "compute_cap": f"{major.value}.{minor.value}",
        "compute_mode": ["Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process"][mode.value % 4],
        "pci.bus_id": f"00000000:{index + 1:02X}:00.0",
    }


if __name__ == "__main__":
    sys.exit(main())
