/* A stand-in for libnvidia-ml.so.1 with one GPU. The variable FAKE_NVML selects a fault or a kind of device.
 * FAKE_NVML_STATE may name a file with the state of the GPU. It is read at each query, so that a test can change it:
 *
 *     used MIB              memory in use, of 24576 MiB
 *     compute PID MIB       a process that computes; a negative size means that the driver does not know it
 *     graphics PID MIB      a process that draws
 *     xid CODE              an error of the device, reported once in each process that waits for events
 *
 * With FAKE_NVML_CARDS set there is a second GPU, which is empty.
 *
 * -DWITHOUT_MEMORY, -DWITHOUT_PROCESSES, -DWITHOUT_FIGURES and -DWITHOUT_EVENTS leave functions out, as in an old or
 * half-replaced driver. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

enum {
	SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
	DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, VERSION_MISMATCH = 18, UNKNOWN = 999,
};

typedef unsigned long long u64;
typedef struct { u64 total, free, used; } memory_t;
typedef struct { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned gpu, memory; } rates_t;
typedef struct { void *device; u64 type, data; unsigned gpu_instance, compute_instance; } event_t;

static int mode(const char *name) {
	const char *e = getenv("FAKE_NVML");
	return e && strcmp(e, name) == 0;
}

/* The state of the GPU: from the file, or without one that of a GPU on which Ollama runs. */
static struct { long used; int computing, drawing, xids; process_t compute[64], graphics[64]; long xid[64]; } state;

static void add(process_t *list, int *n, long pid, long mib) {
	if (*n < 64) list[(*n)++] = (process_t){(unsigned)pid, mib < 0 ? ~0ULL : (u64)mib << 20, 0, 0};
}

static void look(void) {
	memset(&state, 0, sizeof state);
	const char *path = getenv("FAKE_NVML_STATE");
	FILE *f = path ? fopen(path, "r") : NULL;
	if (!f) {
		state.used = 20480;
		add(state.compute, &state.computing, 4711, 18432);
		add(state.compute, &state.computing, 4712, -1);
		add(state.graphics, &state.drawing, 4711, 18432);
		add(state.graphics, &state.drawing, 99, 512);
		return;
	}
	char line[200];
	while (fgets(line, sizeof line, f)) {
		long a, b;
		if (sscanf(line, "used %ld", &a) == 1) state.used = a;
		else if (sscanf(line, "compute %ld %ld", &a, &b) == 2) add(state.compute, &state.computing, a, b);
		else if (sscanf(line, "graphics %ld %ld", &a, &b) == 2) add(state.graphics, &state.drawing, a, b);
		else if (sscanf(line, "xid %ld", &a) == 1 && state.xids < 64) state.xid[state.xids++] = a;
	}
	fclose(f);
}

const char *nvmlErrorString(int r) {
	switch (r) {
	case DRIVER_NOT_LOADED: return "Driver Not Loaded";
	case NO_PERMISSION: return "Insufficient Permissions";
	case GPU_IS_LOST: return "GPU is lost";
	case VERSION_MISMATCH: return "Driver/library version mismatch";
	default: return "Unknown Error";
	}
}

int nvmlInit_v2(void) {
	if (mode("nodriver")) return DRIVER_NOT_LOADED;
	if (mode("mismatch")) return VERSION_MISMATCH;
	if (mode("crash")) raise(SIGSEGV);
	return SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
static int cards(void) { return getenv("FAKE_NVML_CARDS") ? 2 : 1; }
static int second(void *device) { return (long)device == 0x4321; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = cards(); return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) { *device = (void *)(i ? 0x4321L : 0x1234L); return SUCCESS; }
static int part(void *device) { return (long)device & 0x2000 ? 1 + ((long)device & 1) : 0; }

int nvmlDeviceGetUUID(void *device, char *text, unsigned n) {
	static const char *names[] = {"GPU-11111111-2222-3333-4444-555555555555", "MIG-11111111-0000-3333-4444-555555555555", "MIG-11111111-1111-3333-4444-555555555555"};
	strncpy(text, second(device) ? "GPU-22222222-2222-3333-4444-555555555555" : names[part(device)], n);
	return SUCCESS;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
	int other = cards() == 2 && strncmp(uuid, "GPU-22222222", 12) == 0;
	*device = (void *)(other ? 0x4321L : 0x1234L);
	return other || strncmp(uuid, "GPU-11111111", 12) == 0 ? SUCCESS : NOT_FOUND;
}
int nvmlDeviceGetName(void *device, char *text, unsigned n) {
	strncpy(text, mode("unified") ? "NVIDIA GB10" : part(device) ? "Fake MIG 1g.12gb" : "Fake RTX 4090", n);
	return SUCCESS;
}

#ifndef WITHOUT_MEMORY
int nvmlDeviceGetMemoryInfo(void *device, memory_t *m) {
	if (mode("hang")) sleep(1000);
	if (mode("lost")) return GPU_IS_LOST;
	if (mode("unified") || mode("silent")) return NOT_SUPPORTED;
	if (mode("unknown")) return UNKNOWN;
	look();
	m->total = part(device) ? 12ULL << 30 : 24ULL << 30;
	m->used = part(device) ? 1ULL << 30 : second(device) ? 0 : (u64)state.used << 20;
	m->free = m->total - m->used;
	return SUCCESS;
}
#endif

#ifndef WITHOUT_FIGURES
int nvmlDeviceGetUtilizationRates(void *device, rates_t *u) {
	u->gpu = 93, u->memory = 50;
	return part(device) ? NOT_SUPPORTED : mode("denied") ? NO_PERMISSION : SUCCESS;
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *t) { *t = 64; return part(device) ? INVALID_ARGUMENT : SUCCESS; }
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
	*current = *pending = mode("mig");
	return mode("mig") ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *n) { *n = 3; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned i, void **instance) {
	if (i == 1) return NOT_FOUND; /* a device index may be unused */
	*instance = (void *)(0x2000L + (i == 2));
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
	if (mode("denied")) return NO_PERMISSION;
	look();
	return list(p, n, state.compute, part(device) || second(device) ? 0 : state.computing);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *n, process_t *p) {
	look();
	return list(p, n, state.graphics, part(device) || second(device) ? 0 : state.drawing);
}
#endif

#ifndef WITHOUT_EVENTS
int nvmlEventSetCreate(void **set) { *set = (void *)0x77; return SUCCESS; }
int nvmlEventSetFree(void *set) { return SUCCESS; }
int nvmlDeviceRegisterEvents(void *device, u64 types, void *set) { return mode("denied") ? NOT_SUPPORTED : SUCCESS; }
int nvmlEventSetWait_v2(void *set, event_t *e, unsigned ms) {
	static int told;
	for (unsigned waited = 0; waited <= ms; waited += 20) {
		look();
		if (told < state.xids) {
			*e = (event_t){(void *)0x1234, 8, (u64)state.xid[told++], 0, 0};
			return SUCCESS;
		}
		usleep(20000);
	}
	return mode("lost") ? GPU_IS_LOST : TIMEOUT;
}
#endif
