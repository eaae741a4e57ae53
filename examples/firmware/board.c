/* board.c: the start of a Cortex-M, and semihosting (ARM's "Semihosting for AArch32 and AArch64"): a breakpoint that
 * the debugger or emulator takes as a call, with its number in r0 and its arguments where r1 points. */
#include "board.h"

int main(void);
/* Of the linker script. */
extern uint32_t stack_top[], stack_bottom[], data_begin[], data_end[], data_stored[], bss_begin[], bss_end[];

enum { OPEN = 0x01, CLOSE = 0x02, PRINT = 0x04, WRITE = 0x05, READ = 0x06, SEEK = 0x0A, EXIT = 0x20 };
enum { EXITED = 0x20026 };
#define UNUSED UINT32_C(0x5A5A5A5A)

__attribute__((section(".stack"), aligned(8), used)) static uint32_t stack[STACK / 4];

static int32_t call(uint32_t number, const void *arguments) {
  register uint32_t r0 __asm__("r0") = number;
  register const void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return (int32_t)r0;
}

static uint32_t length(const char *text) {
  uint32_t count = 0;
  while (text[count])
    count++;
  return count;
}

int board_open(const char *name, int mode) {
  const uint32_t arguments[] = {(uint32_t)(uintptr_t)name, (uint32_t)mode, length(name)};
  return call(OPEN, arguments);
}

void board_close(int file) {
  const uint32_t arguments[] = {(uint32_t)file};
  call(CLOSE, arguments);
}

/* They say how many bytes are left. */
bool board_write(int file, const void *bytes, size_t count) {
  const uint32_t arguments[] = {(uint32_t)file, (uint32_t)(uintptr_t)bytes, count};
  return call(WRITE, arguments) == 0;
}

bool board_read(int file, uint32_t offset, void *bytes, size_t count) {
  const uint32_t place[] = {(uint32_t)file, offset};
  const uint32_t arguments[] = {(uint32_t)file, (uint32_t)(uintptr_t)bytes, count};
  return call(SEEK, place) == 0 && call(READ, arguments) == 0;
}

void board_print(const char *text) { call(PRINT, text); }

void board_print_number(int64_t number) {
  char text[21];
  char *at = text + sizeof text;
  uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
  *--at = 0;
  do
    *--at = (char)('0' + rest % 10);
  while (rest /= 10);
  if (number < 0)
    *--at = '-';
  board_print(at);
}

int64_t board_stack_used(void) {
  const uint32_t *at = stack_bottom;
  while (at < stack_top && *at == UNUSED)
    at++;
  return (int64_t)(stack_top - at) * 4;
}

void _start(void);
void _start(void) {
  uint32_t here;
  for (uint32_t *at = stack_bottom; at < &here - 32; at++)
    *(volatile uint32_t *)at = UNUSED;
  for (uint32_t i = 0; data_begin + i < data_end; i++)
    ((volatile uint32_t *)data_begin)[i] = data_stored[i];
  for (uint32_t *at = bss_begin; at < bss_end; at++)
    *(volatile uint32_t *)at = 0;
  const uint32_t status[] = {EXITED, (uint32_t)main()};
  call(EXIT, status);
  for (;;) {
  }
}

static void fault(void) {
  static const uint32_t status[] = {EXITED, 70};
  board_print("the processor stopped at a fault\n");
  call(EXIT, status);
  for (;;) {
  }
}

typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    (vector)(uintptr_t)stack_top, _start, fault, fault, fault, fault, fault,
};
