/* A stand-in for libnvidia-ml.so.1 with one GPU. FAKE_NVML says what is wrong with it; -DWITHOUT_MEMORY and
 * -DWITHOUT_PROCESSES leave functions out, as an old or half-replaced driver does. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, VERSION_MISMATCH = 18, UNKNOWN = 999 };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;

static int mode(const char *name) {
	const char *e = getenv("FAKE_NVML");
	return e && strcmp(e, name) == 0;
}

const char *nvmlErrorString(int r) {
	switch (r) {
	case DRIVER_NOT_LOADED: return "Driver Not Loaded";
	case GPU_IS_LOST: return "GPU is lost";
	case VERSION_MISMATCH: return "Driver/library version mismatch";
	default: return "Unknown Error";
	}
}

int nvmlInit_v2(void) {
	if (mode("nodriver")) return DRIVER_NOT_LOADED;
	if (mode("mismatch")) return VERSION_MISMATCH;
	return SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) { *device = (void *)0x1234; return SUCCESS; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned n) { strncpy(text, "GPU-11111111-2222-3333-4444-555555555555", n); return SUCCESS; }
int nvmlDeviceGetName(void *device, char *text, unsigned n) { strncpy(text, "Fake RTX 4090", n); return SUCCESS; }

#ifndef WITHOUT_MEMORY
int nvmlDeviceGetMemoryInfo(void *device, memory_t *m) {
	if (mode("hang")) sleep(1000);
	if (mode("lost")) return GPU_IS_LOST;
	if (mode("unified")) return NOT_SUPPORTED;
	if (mode("unknown")) return UNKNOWN;
	m->total = 24ULL << 30; m->used = 20ULL << 30; m->free = 4ULL << 30;
	return SUCCESS;
}
#endif

#ifndef WITHOUT_PROCESSES
static int list(process_t *into, unsigned *n, const process_t *from, unsigned count) {
	if (*n < count) { *n = count; return INSUFFICIENT_SIZE; }
	memcpy(into, from, count * sizeof *from);
	*n = count;
	return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *n, process_t *p) {
	static const process_t computing[] = {{4711, 18ULL << 30, 0, 0}, {4712, ~0ULL, 0, 0}};
	return list(p, n, computing, 2);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *n, process_t *p) {
	static const process_t drawing[] = {{4711, 18ULL << 30, 0, 0}, {99, 512ULL << 20, 0, 0}};
	return list(p, n, drawing, 2);
}
#endif
