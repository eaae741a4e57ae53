/* fake_graph.cpp: the fake driver's modules and graphs: see fake_cuda.h. A module is a file that names a library, which
 * has launch_NAME and parameters_NAME for each kernel (emulator.py). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "fake_cuda.h"

using namespace fake;

static const char MAGIC[] = "emulated kernels: ";

/* A kernel, its arguments, and how many threads it has. */
struct Call {
  Function *function;
  std::vector<void *> buffers;
  unsigned blocks, threads;
  int shared, units;
};

static bool is_aligned(cu_address address) { return address % 64 == 0; }

static int check(const Call &call) {
  if (call.threads == 0 || call.threads > 1024 || call.threads % 32 || call.blocks == 0)
    return refuse(INVALID_VALUE, "a kernel with an impossible number of threads or blocks");
  if (call.shared > call.function->most_shared)
    return refuse(INVALID_VALUE, "a kernel with more shared memory than it has asked for");
  for (void *buffer : call.buffers)
    if (!is_memory((cu_address)buffer, 1) || !is_aligned((cu_address)buffer))
      return refuse(INVALID_VALUE, "a buffer that is no memory of the GPU, or at no multiple of 64");
  return 0;
}

static void run(const Call &call) {
  const char *failing = getenv("NITIC_FAKE_FAILURE");
  const Function &f = *call.function;
  bool fails = failing && f.name.find(failing) != std::string::npos;
  if (fails || f.launch(call.buffers.data(), call.blocks, call.threads, call.shared, call.units) != 0)
    failure = LAUNCH_FAILED;
}

/* From what the driver is given. */
static Call call_of(cu_handle function, unsigned blocks, unsigned threads, unsigned shared, void **arguments) {
  Call call = {(Function *)function, {}, blocks, threads, (int)shared, 0};
  for (int i = 0; i < call.function->parameters; i++)
    call.buffers.push_back(*(void **)arguments[i]);
  call.units = *(int32_t *)arguments[call.function->parameters];
  return call;
}

static int add(cu_handle *made, cu_handle graph, const cu_handle *after, size_t count, std::function<void()> run) {
  auto *nodes = (Graph *)graph;
  auto *node = new Node{std::move(run), {}};
  for (size_t i = 0; i < count; i++) {
    if (std::find(nodes->begin(), nodes->end(), (Node *)after[i]) == nodes->end())
      return refuse(INVALID_VALUE, "a node after one that is not of its graph");
    node->after.push_back((Node *)after[i]);
  }
  nodes->push_back(node);
  *made = node;
  return failure;
}

/* The nodes in an order that respects their edges, and otherwise takes the first one first, or the last. */
static Executable ordered(const Graph &graph) {
  const char *order = getenv("NITIC_EMULATOR_ORDER");
  Graph left = graph, done;
  if (order && strcmp(order, "backward") == 0)
    std::reverse(left.begin(), left.end());
  auto is_done = [&](const Node *node) { return std::find(done.begin(), done.end(), node) != done.end(); };
  auto is_ready = [&](const Node *node) { return std::all_of(node->after.begin(), node->after.end(), is_done); };
  Executable runs;
  while (!left.empty()) {
    auto next = std::find_if(left.begin(), left.end(), is_ready);
    runs.push_back((*next)->run);
    done.push_back(*next);
    left.erase(next);
  }
  return runs;
}

extern "C" {

int cuModuleLoadData(cu_handle *module, const void *image) {
  const auto *text = (const char *)image;
  if (setting("NITIC_FAKE_VERSION", 13000) < 13000)
    return refuse(NO_BINARY, "a driver older than the code");
  if (strncmp(text, MAGIC, sizeof MAGIC - 1) != 0)
    return refuse(INVALID_IMAGE, "this is not the code for the emulated GPU");
  *module = dlopen(text + sizeof MAGIC - 1, RTLD_NOW | RTLD_LOCAL);
  if (!*module)
    return refuse(INVALID_IMAGE, dlerror());
  alive++;
  return failure;
}

int cuModuleUnload(cu_handle module) {
  alive--;
  return dlclose(module);
}

int cuModuleGetFunction(cu_handle *function, cu_handle module, const char *name) {
  auto *made = new Function; /* it lives as long as the process */
  made->name = name;
  *(void **)&made->launch = dlsym(module, ("launch_" + made->name).c_str());
  auto *parameters = (const int *)dlsym(module, ("parameters_" + made->name).c_str());
  if (!made->launch || !parameters)
    return refuse(NOT_FOUND, name);
  made->parameters = *parameters;
  *function = made;
  return failure;
}

int cuFuncSetAttribute(cu_handle function, int attribute, int value) {
  if (attribute != CU_MOST_SHARED || value > 163 << 10) /* of sm_80 */
    return refuse(INVALID_VALUE, "more shared memory than a block can have");
  ((Function *)function)->most_shared = value;
  return failure;
}

int cuLaunchKernel(cu_handle function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                   unsigned shared, cu_handle stream, void **arguments, void **) {
  Call call = call_of(function, blocks, threads, shared, arguments);
  int error = check(call);
  return error ? error : enqueue(stream, {[=] {
                                   Reach reach;
                                   run(call);
                                 }});
}

int cuGraphCreate(cu_handle *graph, unsigned) {
  *graph = new Graph;
  alive++;
  return failure;
}

int cuGraphDestroy(cu_handle graph) {
  for (Node *node : *(Graph *)graph)
    delete node;
  delete (Graph *)graph;
  alive--;
  return failure;
}

int cuGraphAddKernelNode_v2(cu_handle *node, cu_handle graph, const cu_handle *after, size_t count,
                            const cu_kernel_node *p) {
  Call call = call_of(p->function, p->blocks[0], p->threads[0], p->shared, p->arguments);
  int error = check(call);
  return error ? error : add(node, graph, after, count, [=] { run(call); });
}

int cuGraphAddMemsetNode(cu_handle *node, cu_handle graph, const cu_handle *after, size_t count,
                         const cu_memset_node *p, cu_handle context) {
  cu_memset_node m = *p;
  if (!context || m.element_bytes != 1 || m.height != 1 || m.width == 0 || !is_memory(m.to, m.width))
    return refuse(INVALID_VALUE, "an impossible memset");
  return add(node, graph, after, count, [=] { memset((void *)m.to, (int)m.value, m.width); });
}

int cuGraphAddEmptyNode(cu_handle *node, cu_handle graph, const cu_handle *after, size_t count) {
  return add(node, graph, after, count, [] {});
}

int cuGraphInstantiateWithFlags(cu_handle *executable, cu_handle graph, unsigned long long) {
  *executable = new Executable(ordered(*(Graph *)graph));
  alive++;
  return failure;
}

int cuGraphExecDestroy(cu_handle executable) {
  delete (Executable *)executable;
  alive--;
  return failure;
}
}
