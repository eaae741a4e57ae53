/* fake_cuda.cpp: the fake driver's devices, memory, streams and events: see fake_cuda.h. */
#include "fake_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

namespace fake {

constexpr size_t PAGE = 4096;

int failure, alive;
static thread_local bool entered;           /* whether the thread has a context */
static std::map<cu_address, size_t> memory; /* of the GPU, by address */
static cu_address first;                    /* the first allocation: the arena */
static std::map<void *, size_t> pinned;
static std::vector<Stream *> streams;

long setting(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text ? atol(text) : otherwise;
}

int refuse(int error, const char *why) {
  fprintf(stderr, "fake libcuda: %s\n", why);
  return error;
}

bool is_memory(cu_address address, size_t bytes) {
  auto found = memory.upper_bound(address);
  if (found == memory.begin())
    return false;
  --found;
  return address + bytes <= found->first + found->second;
}

/* Memory that ends before a page which nobody may touch; addresses are multiples of 256, as a driver gives them. */
static void *map(size_t bytes, int access) {
  size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
  auto *base = (uint8_t *)mmap(nullptr, whole + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(base + PAGE, whole, PROT_READ | PROT_WRITE);
  memset(base + PAGE, 0x55, whole);
  mprotect(base + PAGE, whole, access);
  return base + PAGE + whole - (bytes + 255) / 256 * 256;
}

static uint8_t *first_page(void *at) { return (uint8_t *)at - (uintptr_t)at % PAGE; }

static void unmap(void *at, size_t bytes) {
  munmap(first_page(at) - PAGE, (bytes + PAGE - 1) / PAGE * PAGE + 2 * PAGE);
}

static void protect(int access) {
  for (auto [address, bytes] : memory)
    mprotect(first_page((void *)address), (bytes + PAGE - 1) / PAGE * PAGE, access);
}

/* The shifts that kernels keep as guesses must not change results: so between two graphs they may be overwritten. */
static void spoil_guesses() {
  memset((void *)(first + setting("NITIC_FAKE_KEPT", 0)), 0x80, setting("NITIC_FAKE_SPOILT", 0));
}

Reach::Reach() { protect(PROT_READ | PROT_WRITE); }
Reach::~Reach() { protect(PROT_NONE); }

/* ---- streams */

static bool is_done(const Event *event, uint64_t generation) { return event->done >= generation; }

static void step(Stream *stream);

static void finish(Event *event, uint64_t generation) {
  while (!is_done(event, generation))
    step(event->stream);
}

/* Does the next operation of a stream, after the event that it waits for. */
static void step(Stream *stream) {
  Operation next = stream->waiting.front();
  if (next.event)
    finish(next.event, next.generation);
  stream->waiting.pop_front();
  if (next.run)
    next.run();
}

static bool can_step(const Stream *stream) {
  if (stream->waiting.empty())
    return false;
  const Operation &next = stream->waiting.front();
  return !next.event || is_done(next.event, next.generation);
}

static void run_early() {
  long early = setting("NITIC_FAKE_EARLY", 0);
  for (Stream *stream : streams)
    while ((early >> stream->number & 1) && can_step(stream))
      step(stream);
}

int enqueue(cu_handle handle, Operation operation) {
  if (!handle || !entered)
    return refuse(INVALID_VALUE, "an operation without a stream or a context");
  ((Stream *)handle)->waiting.push_back(std::move(operation));
  run_early();
  return failure;
}

static int enqueue_copy(cu_handle stream, void *to, const void *from, size_t bytes) {
  return enqueue(stream, {[=] {
                   Reach reach;
                   memcpy(to, from, bytes);
                 }});
}

static int check_memory(cu_address address, size_t bytes) {
  return is_memory(address, bytes) ? 0 : refuse(INVALID_VALUE, "a copy from or to what is no memory of the GPU");
}

struct AtEnd {
  ~AtEnd() {
    if (alive == 0)
      return;
    fprintf(stderr, "fake libcuda: %d things were never released\n", alive);
    _exit(70);
  }
};
static AtEnd at_end;

} // namespace fake

using namespace fake;

extern "C" {

int cuInit(unsigned) { return setting("NITIC_FAKE_DEVICES", 1) == 0 ? CU_NO_DEVICE : 0; }

int cuDriverGetVersion(int *version) {
  *version = (int)setting("NITIC_FAKE_VERSION", 13000);
  return 0;
}

int cuGetErrorString(int, const char **text) {
  *text = "an error of the fake driver";
  return 0;
}

int cuDeviceGetCount(int *count) {
  *count = 1;
  return 0;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = 7;
  return ordinal == 0 ? 0 : INVALID_VALUE;
}

int cuDeviceGetName(char *name, int length, int) {
  snprintf(name, (size_t)length, "Emulated GPU");
  return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  long capability = setting("NITIC_FAKE_CAPABILITY", 80);
  bool minor = attribute == CU_CAPABILITY_MINOR;
  *value = (int)(attribute == CU_CAPABILITY_MAJOR ? capability / 10 : minor ? capability % 10 : 1);
  return device == 7 ? 0 : INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(cu_handle *context, int) {
  *context = new int;
  alive++;
  return 0;
}

/* There is one context, and its few bytes are not freed: the handle does not name it. */
int cuDevicePrimaryCtxRelease_v2(int) {
  alive--;
  return 0;
}

int cuCtxSetCurrent(cu_handle context) {
  entered = context != nullptr;
  return failure;
}

int cuMemGetInfo_v2(size_t *free, size_t *total) {
  *total = (size_t)1 << 33;
  *free = (size_t)setting("NITIC_FAKE_MEMORY", 1L << 32);
  for (auto [address, bytes] : memory)
    *free -= bytes;
  return failure;
}

int cuMemAlloc_v2(cu_address *address, size_t bytes) {
  *address = (cu_address)map(bytes, PROT_NONE);
  if (first == 0)
    first = *address;
  memory[*address] = bytes;
  alive++;
  return failure;
}

int cuMemFree_v2(cu_address address) {
  auto found = memory.find(address);
  if (found == memory.end())
    return refuse(INVALID_VALUE, "memory is released that is none");
  unmap((void *)address, found->second);
  memory.erase(found);
  alive--;
  return failure;
}

int cuMemAllocHost_v2(void **at, size_t bytes) {
  *at = map(bytes, PROT_READ | PROT_WRITE);
  pinned[*at] = bytes;
  alive++;
  return failure;
}

int cuMemFreeHost(void *at) {
  if (!pinned.count(at))
    return refuse(INVALID_VALUE, "memory of the host is released that is none");
  unmap(at, pinned[at]);
  pinned.erase(at);
  alive--;
  return failure;
}

int cuMemcpyHtoDAsync_v2(cu_address to, const void *from, size_t bytes, cu_handle stream) {
  int error = check_memory(to, bytes);
  return error ? error : enqueue_copy(stream, (void *)to, from, bytes);
}

int cuMemcpyDtoHAsync_v2(void *to, cu_address from, size_t bytes, cu_handle stream) {
  int error = check_memory(from, bytes);
  return error ? error : enqueue_copy(stream, to, (const void *)from, bytes);
}

int cuMemcpyDtoDAsync_v2(cu_address to, cu_address from, size_t bytes, cu_handle stream) {
  int error = check_memory(to, bytes);
  error = error ? error : check_memory(from, bytes);
  return error ? error : enqueue_copy(stream, (void *)to, (const void *)from, bytes);
}

int cuMemsetD8Async(cu_address to, unsigned char value, size_t bytes, cu_handle stream) {
  int error = check_memory(to, bytes);
  return error ? error : enqueue(stream, {[=] {
                                   Reach reach;
                                   memset((void *)to, value, bytes);
                                 }});
}

int cuStreamCreate(cu_handle *stream, unsigned) {
  streams.push_back(new Stream{(unsigned)streams.size(), {}});
  *stream = streams.back();
  alive++;
  return failure;
}

int cuStreamSynchronize(cu_handle stream) {
  while (!((Stream *)stream)->waiting.empty())
    step((Stream *)stream);
  return failure;
}

/* Events may still name the stream, so it is not freed, only no longer counted. */
int cuStreamDestroy_v2(cu_handle stream) {
  alive--;
  return cuStreamSynchronize(stream);
}

int cuStreamWaitEvent(cu_handle stream, cu_handle event, unsigned) {
  auto *e = (Event *)event;
  return enqueue(stream, {nullptr, e, e->recorded});
}

int cuEventCreate(cu_handle *event, unsigned) {
  *event = new Event;
  alive++;
  return failure;
}

int cuEventDestroy_v2(cu_handle event) {
  finish((Event *)event, ((Event *)event)->recorded);
  delete (Event *)event;
  alive--;
  return failure;
}

int cuEventRecord(cu_handle event, cu_handle stream) {
  auto *e = (Event *)event;
  e->stream = (Stream *)stream;
  uint64_t generation = ++e->recorded;
  return enqueue(stream, {[=] { e->done = generation; }});
}

/* Everything takes a microsecond. */
int cuEventElapsedTime(float *milliseconds, cu_handle, cu_handle) {
  *milliseconds = 1e-3F;
  return failure;
}

int cuEventSynchronize(cu_handle event) {
  if (!entered)
    return refuse(INVALID_VALUE, "an event is waited for without a context");
  finish((Event *)event, ((Event *)event)->recorded);
  return failure;
}

int cuGraphLaunch(cu_handle executable, cu_handle stream) {
  auto *nodes = (Executable *)executable;
  return enqueue(stream, {[=] {
                   Reach reach;
                   spoil_guesses();
                   for (const auto &run : *nodes)
                     if (failure == 0)
                       run();
                 }});
}
}
