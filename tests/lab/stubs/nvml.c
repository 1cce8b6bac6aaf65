/* libnvidia-ml.so.1 for a machine without a GPU: what nvidia-ml-py, torch and TensorFlow load.
   Signatures: NVIDIA's nvml.h. A device handle is its index + 1; a MIG instance's is 1000 * (device + 1) + slot + 1. */
#include "scenario.h"

typedef long handle;
#define SUCCESS 0
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define TOO_SMALL 7
#define DEVICE(h) ((int)((h) >= 1000 ? (h) / 1000 : (h)) - 1)
#define CHECK(call, device) do { int rc = outcome(call, device, SUCCESS); if (rc) return rc; } while (0)

static int start(const char *call) {
    read_scenario();
    make_nodes();
    int rc = outcome(call, -1, SUCCESS);
    return rc ? rc : outcome("nvmlInit", -1, SUCCESS);
}
int nvmlInit(void) { return start("nvmlInit"); }
int nvmlInit_v2(void) { return start("nvmlInit_v2"); }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return start("nvmlInitWithFlags"); }
int nvmlShutdown(void) { return outcome("nvmlShutdown", -1, SUCCESS); }

const char *nvmlErrorString(int code) {
    static char words[64];
    char key[32];
    snprintf(key, sizeof key, "nvml.error.%d", code);
    const char *value = get(key);
    if (value) return value;
    snprintf(words, sizeof words, "lab error %d", code);
    return words;
}

#define SYSTEM_TEXT(call, key, otherwise)                                  \
    int call(char *to, unsigned size) {                                    \
        CHECK(#call, -1);                                                  \
        put_text(to, size, get(key) ? get(key) : otherwise);               \
        return SUCCESS;                                                    \
    }
SYSTEM_TEXT(nvmlSystemGetDriverVersion, "driver", "")
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, "nvml", "12")

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    CHECK("nvmlSystemGetCudaDriverVersion_v2", -1);
    *version = (int)number("cuda", 0);
    return SUCCESS;
}
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlSystemGetConfComputeState(unsigned *state) { /* environment, ccFeature, devToolsMode */
    CHECK("nvmlSystemGetConfComputeState", -1);
    if (!get("confidential")) return NOT_SUPPORTED;
    state[0] = 0, state[1] = (unsigned)number("confidential", 0), state[2] = 0;
    return SUCCESS;
}
int nvmlSystemGetConfComputeGpusReadyState(unsigned *ready) {
    CHECK("nvmlSystemGetConfComputeGpusReadyState", -1);
    if (!get("confidential_ready")) return NOT_SUPPORTED;
    *ready = (unsigned)number("confidential_ready", 0);
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    CHECK("nvmlDeviceGetCount_v2", -1);
    *count = (unsigned)number("nvml.count", number("count", 0));
    return SUCCESS;
}
int nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *device) {
    CHECK("nvmlDeviceGetHandleByIndex_v2", (int)index);
    *device = (handle)index + 1;
    return SUCCESS;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, handle *device) {
    for (int i = 0; i < number("count", 0); i++)
        if (!strcasecmp(bus, device_text(i, "pci", ""))) {
            *device = i + 1;
            return outcome("nvmlDeviceGetHandleByPciBusId_v2", i, SUCCESS);
        }
    return NOT_FOUND;
}

#define DEVICE_TEXT(call, key, otherwise)                                  \
    int call(handle h, char *to, unsigned size) {                          \
        CHECK(#call, DEVICE(h));                                           \
        put_text(to, size, device_text(DEVICE(h), key, otherwise));        \
        return SUCCESS;                                                    \
    }
DEVICE_TEXT(nvmlDeviceGetName, "name", "NVIDIA Lab GPU")
DEVICE_TEXT(nvmlDeviceGetSerial, "serial", "0")

int nvmlDeviceGetUUID(handle h, char *to, unsigned size) {
    CHECK("nvmlDeviceGetUUID", DEVICE(h));
    char instance[128];
    snprintf(instance, sizeof instance, "MIG-%s-%ld", device_text(DEVICE(h), "uuid", "GPU-0") + 4, h % 1000 - 1);
    put_text(to, size, h >= 1000 ? instance : device_text(DEVICE(h), "uuid", "GPU-0"));
    return SUCCESS;
}

/* Calls that give one number of a device; a scenario without it answers "not supported" where real GPUs may. */
#define DEVICE_NUMBER(call, type, key, otherwise)                          \
    int call(handle h, type *value) {                                      \
        CHECK(#call, DEVICE(h));                                           \
        *value = (type)device_number(DEVICE(h), key, otherwise);           \
        return SUCCESS;                                                    \
    }
DEVICE_NUMBER(nvmlDeviceGetComputeMode, int, "compute_mode", 0)
DEVICE_NUMBER(nvmlDeviceGetPerformanceState, int, "performance_state", 8)
DEVICE_NUMBER(nvmlDeviceGetPersistenceMode, int, "persistence", 1)
DEVICE_NUMBER(nvmlDeviceGetPowerUsage, unsigned, "power", 60000)
DEVICE_NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, "power_limit", 300000)
DEVICE_NUMBER(nvmlDeviceGetPowerManagementLimit, unsigned, "power_limit", 300000)
DEVICE_NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, "event_reasons", 1)
DEVICE_NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, "event_reasons", 1)
DEVICE_NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, "pcie_generation", 4)
DEVICE_NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, "pcie_max_generation", 4)
DEVICE_NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, "pcie_width", 16)
DEVICE_NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, "pcie_max_width", 16)
DEVICE_NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, int, "retirement_pending", 0)
DEVICE_NUMBER(nvmlDeviceGetMaxMigDeviceCount, unsigned, "mig_slots", 7)

int nvmlDeviceGetTemperature(handle h, int sensor, unsigned *value) {
    (void)sensor;
    CHECK("nvmlDeviceGetTemperature", DEVICE(h));
    *value = (unsigned)device_number(DEVICE(h), "temperature", 40);
    return SUCCESS;
}
int nvmlDeviceGetClockInfo(handle h, int clock, unsigned *value) {
    CHECK("nvmlDeviceGetClockInfo", DEVICE(h));
    *value = (unsigned)device_number(DEVICE(h), clock == 1 ? "clock_sm" : "clock_memory", 1000);
    return SUCCESS;
}
int nvmlDeviceGetMaxClockInfo(handle h, int clock, unsigned *value) {
    (void)clock;
    CHECK("nvmlDeviceGetMaxClockInfo", DEVICE(h));
    *value = (unsigned)device_number(DEVICE(h), "clock_max_sm", 1410);
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(handle h, int *major, int *minor) {
    CHECK("nvmlDeviceGetCudaComputeCapability", DEVICE(h));
    *major = (int)device_number(DEVICE(h), "cc_major", 8);
    *minor = (int)device_number(DEVICE(h), "cc_minor", 0);
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v3(handle h, void *to) {
    struct { char legacy[16]; unsigned domain, bus, device, device_id, subsystem; char bus_id[32]; } *info = to;
    CHECK("nvmlDeviceGetPciInfo_v3", DEVICE(h));
    memset(info, 0, sizeof *info);
    put_text(info->bus_id, sizeof info->bus_id, device_text(DEVICE(h), "pci", ""));
    return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(handle h, unsigned *rates) {
    CHECK("nvmlDeviceGetUtilizationRates", DEVICE(h));
    rates[0] = (unsigned)device_number(DEVICE(h), "utilization", 0);
    rates[1] = 0;
    return SUCCESS;
}
static void memory(handle h, unsigned long long *total, unsigned long long *free_, unsigned long long *used) {
    *total = (unsigned long long)device_number(DEVICE(h), "memory_total", 42949672960LL);
    *free_ = (unsigned long long)device_number(DEVICE(h), "memory_free", (long long)*total - 500000000LL);
    *used = *total - *free_;
}
int nvmlDeviceGetMemoryInfo(handle h, unsigned long long *info) {
    CHECK("nvmlDeviceGetMemoryInfo", DEVICE(h));
    memory(h, info, info + 1, info + 2);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(handle h, unsigned long long *info) { /* version, total, reserved, free, used */
    CHECK("nvmlDeviceGetMemoryInfo_v2", DEVICE(h));
    memory(h, info + 1, info + 3, info + 4);
    info[2] = 0;
    return SUCCESS;
}
int nvmlDeviceGetEccMode(handle h, int *current, int *pending) {
    CHECK("nvmlDeviceGetEccMode", DEVICE(h));
    *current = *pending = (int)device_number(DEVICE(h), "ecc", 1);
    return SUCCESS;
}
int nvmlDeviceGetTotalEccErrors(handle h, int kind, int counter, unsigned long long *count) {
    (void)kind, (void)counter;
    CHECK("nvmlDeviceGetTotalEccErrors", DEVICE(h));
    *count = (unsigned long long)device_number(DEVICE(h), "ecc_uncorrected", 0);
    return SUCCESS;
}
int nvmlDeviceGetRemappedRows(handle h, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    CHECK("nvmlDeviceGetRemappedRows", DEVICE(h));
    *corrected = *uncorrected = 0;
    *pending = (unsigned)device_number(DEVICE(h), "remap_pending", 0);
    *failed = (unsigned)device_number(DEVICE(h), "remap_failed", 0);
    return SUCCESS;
}
int nvmlDeviceGetMigMode(handle h, unsigned *current, unsigned *pending) {
    CHECK("nvmlDeviceGetMigMode", DEVICE(h));
    if (!device_text(DEVICE(h), "mig", NULL)) return NOT_SUPPORTED;
    *current = *pending = (unsigned)device_number(DEVICE(h), "mig", 0);
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(handle h, unsigned slot, handle *instance) {
    CHECK("nvmlDeviceGetMigDeviceHandleByIndex", DEVICE(h));
    if (slot >= device_number(DEVICE(h), "mig_instances", 0)) return NOT_FOUND;
    *instance = 1000 * h + slot + 1;
    return SUCCESS;
}
int nvmlDeviceGetGpuFabricInfo(handle h, void *to) {
    struct { unsigned char cluster[16]; int status; unsigned clique; unsigned char state; } *info = to;
    CHECK("nvmlDeviceGetGpuFabricInfo", DEVICE(h));
    memset(info, 0, sizeof *info);
    info->state = (unsigned char)device_number(DEVICE(h), "fabric_state", 0);
    return SUCCESS;
}
int nvmlDeviceGetGpuFabricInfoV(handle h, void *to) {
    struct { unsigned version; unsigned char cluster[16]; int status; unsigned clique; unsigned char state; } *info = to;
    CHECK("nvmlDeviceGetGpuFabricInfoV", DEVICE(h));
    info->status = 0;
    info->state = (unsigned char)device_number(DEVICE(h), "fabric_state", 0);
    return SUCCESS;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(handle h, unsigned link, unsigned *kind) {
    (void)link;
    CHECK("nvmlDeviceGetNvLinkRemoteDeviceType", DEVICE(h));
    *kind = 255;
    return NOT_SUPPORTED;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(handle h, unsigned link, void *to) {
    (void)h, (void)link, (void)to;
    return NOT_SUPPORTED;
}
int nvmlDeviceGetVirtualizationMode(handle h, unsigned long long *mode) {
    CHECK("nvmlDeviceGetVirtualizationMode", DEVICE(h));
    *mode = (unsigned long long)device_number(DEVICE(h), "virtualization", 0);
    return SUCCESS;
}
int nvmlDeviceGetGridLicensableFeatures_v4(handle h, void *to) {
    struct { int supported; unsigned count; struct { unsigned code, state; char rest[280]; } features[3]; } *told = to;
    CHECK("nvmlDeviceGetGridLicensableFeatures_v4", DEVICE(h));
    told->supported = told->count = 1;
    told->features[0].code = 1;
    told->features[0].state = (unsigned)device_number(DEVICE(h), "licensed", 0);
    return SUCCESS;
}
static int processes(handle h, unsigned *count, void *to) {
    struct process { unsigned pid; unsigned long long used; unsigned instance, compute; } *list = to;
    unsigned have = (unsigned)device_number(DEVICE(h), "processes", 0), room = to ? *count : 0;
    unsigned own = (unsigned)device_number(DEVICE(h), "own_processes", 0); /* the one that asks has a context too */
    have += own;
    *count = have;
    if (have > room) return TOO_SMALL;
    for (unsigned i = 0; i < have; i++)
        list[i] = (struct process){i < have - own ? 4000 + i : (unsigned)getppid(), (unsigned long long)device_number(DEVICE(h), "process_memory", 1 << 30), -1, -1};
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(handle h, unsigned *count, void *to) {
    CHECK("nvmlDeviceGetComputeRunningProcesses_v3", DEVICE(h));
    return processes(h, count, to);
}
int nvmlDeviceGetComputeRunningProcesses_v2(handle h, unsigned *count, void *to) {
    CHECK("nvmlDeviceGetComputeRunningProcesses_v2", DEVICE(h));
    return processes(h, count, to);
}
int nvmlDeviceGetComputeRunningProcesses(handle h, unsigned *count, void *to) { /* {pid, used} only */
    (void)to;
    CHECK("nvmlDeviceGetComputeRunningProcesses", DEVICE(h));
    *count = 0;
    return SUCCESS;
}
