/* cuda/driver.c: see driver_cuda.h. */
#include "cuda/driver.h"

#include <dlfcn.h>
#include <string.h>

#include "core/internal.h"

#define LIBRARY "libcuda.so.1"

static const struct {
  const char *symbol;
  size_t member;
} FUNCTIONS[] = {
#define ENTRY(member, symbol, parameters) {#symbol, offsetof(nitic_driver, member)},
    NITIC_DRIVER_FUNCTIONS(ENTRY)
#undef ENTRY
};

/* The library stays loaded until the process ends. */
static int load(nitic_driver *driver) {
  void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return nitic_fail(NITIC_UNSUPPORTED, "this program needs an NVIDIA GPU, and the machine has no driver of one: %s",
                      dlerror());
  for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
    void *function = dlsym(library, FUNCTIONS[i].symbol);
    if (!function)
      return nitic_fail(NITIC_UNSUPPORTED, "the NVIDIA driver is too old: " LIBRARY " has no %s", FUNCTIONS[i].symbol);
    memcpy((char *)driver + FUNCTIONS[i].member, &function, sizeof function);
  }
  return NITIC_OK;
}

int nitic_driver_open(nitic_driver *driver) {
  int status = load(driver);
  if (status != NITIC_OK)
    return status;
  int result = driver->init(0), count = 0;
  if (result == 0)
    result = driver->device_count(&count);
  if (result == CU_NO_DEVICE || (result == 0 && count == 0))
    return nitic_fail(NITIC_UNSUPPORTED, "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide them)");
  return nitic_driver_check(driver, result, "start");
}

int nitic_driver_check(const nitic_driver *driver, int result, const char *what) {
  if (result == 0)
    return NITIC_OK;
  const char *text = NULL;
  driver->error_string(result, &text);
  return nitic_fail(NITIC_RUNTIME, "the GPU could not %s: %s (error %d)", what, text ? text : "unknown", result);
}
