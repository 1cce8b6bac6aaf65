/* libcuda.so.1 for a machine without a GPU: enough for a runtime to start, ask and be refused in its own words.
   Signatures: NVIDIA's cuda.h. A scenario names return codes; a device that computes cannot be faked. */
#define _GNU_SOURCE
#include "scenario.h"
#include <dlfcn.h>

#define NO_DEVICE 100
#define INVALID_DEVICE 101
#define SYMBOL_NOT_FOUND 500
#define CHECK(call, device) do { int rc = outcome(call, device, 0); if (rc) return rc; } while (0)

static const struct { int code; const char *name, *text; } errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {34, "CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {304, "CUDA_ERROR_OPERATING_SYSTEM", "OS call failed or operation not supported on this OS"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "forward compatibility was attempted on non supported HW"},
    {805, "CUDA_ERROR_MPS_CONNECTION_FAILED", "MPS client failed to connect to the MPS control daemon or the MPS server"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static int known(int code, const char **to, int text) {
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) {
            *to = text ? errors[i].text : errors[i].name;
            return 0;
        }
    *to = NULL;
    return 1;
}
int cuGetErrorName(int code, const char **to) { return known(code, to, 0); }
int cuGetErrorString(int code, const char **to) { return known(code, to, 1); }

int cuInit(unsigned flags) {
    (void)flags;
    read_scenario();
    make_nodes();
    CHECK("cuInit", -1);
    return number("cuda.count", number("count", 0)) ? 0 : NO_DEVICE;
}
int cuDriverGetVersion(int *version) {
    read_scenario();
    CHECK("cuDriverGetVersion", -1);
    *version = (int)number("libcuda.cuda", number("cuda", 0));
    return 0;
}
int cuDeviceGetCount(int *count) {
    CHECK("cuDeviceGetCount", -1);
    *count = (int)number("cuda.count", number("count", 0));
    return 0;
}
int cuDeviceGet(int *device, int index) {
    CHECK("cuDeviceGet", index);
    *device = index;
    return index >= 0 && index < number("cuda.count", number("count", 0)) ? 0 : INVALID_DEVICE;
}
int cuDeviceGetName(char *to, int size, int device) {
    CHECK("cuDeviceGetName", device);
    put_text(to, size, device_text(device, "name", "NVIDIA Lab GPU"));
    return 0;
}
int cuDeviceGetPCIBusId(char *to, int size, int device) {
    CHECK("cuDeviceGetPCIBusId", device);
    put_text(to, size, device_text(device, "pci", ""));
    return 0;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) {
    CHECK("cuDeviceGetUuid", device);
    memset(uuid, 0xa0 + device, 16);
    return 0;
}
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { return cuDeviceGetUuid(uuid, device); }
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    CHECK("cuDeviceTotalMem_v2", device);
    *bytes = (size_t)device_number(device, "memory_total", 42949672960LL);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    CHECK("cuDeviceGetAttribute", device);
    *value = attribute == 75 ? (int)device_number(device, "cc_major", 8)
           : attribute == 76 ? (int)device_number(device, "cc_minor", 0)
           : attribute == 20 ? (int)device_number(device, "compute_mode", 0) : 0;
    return 0;
}
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    CHECK("cuDevicePrimaryCtxGetState", device);
    *flags = 0, *active = 0;
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    CHECK("cuDevicePrimaryCtxRetain", device);
    *context = (void *)(long)(device + 1);
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) { return outcome("cuDevicePrimaryCtxRelease_v2", device, 0); }

static int find(const char *symbol, void **to) {
    Dl_info self;
    void *library = dladdr((void *)find, &self) ? dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD) : NULL;
    char versioned[128];
    *to = library ? dlsym(library, symbol) : NULL;
    for (int v = 2; library && !*to && v < 4; v++) {
        snprintf(versioned, sizeof versioned, "%s_v%d", symbol, v);
        *to = dlsym(library, versioned);
    }
    if (getenv("LAB_TRACE")) fprintf(stderr, "lab: %s %s\n", symbol, *to ? "found" : "absent");
    return *to ? 0 : SYMBOL_NOT_FOUND;
}
int cuGetProcAddress(const char *symbol, void **to, int version, unsigned long long flags) {
    (void)version, (void)flags;
    return find(symbol, to);
}
int cuGetProcAddress_v2(const char *symbol, void **to, int version, unsigned long long flags, int *status) {
    (void)version, (void)flags;
    int code = find(symbol, to);
    if (status) *status = code ? 1 : 0; /* CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND */
    return code;
}
