/* host_board.c: examples/firmware/board.h on the machine of the tests, by ISO C. */
#include "board.h"

#include <stdio.h>

enum { MOST_FILES = 4 };
static FILE *files[MOST_FILES];

int board_open(const char *name, int mode) {
  for (int i = 0; i < MOST_FILES; i++)
    if (!files[i]) {
      files[i] = fopen(name, mode == BOARD_WRITE ? "wb" : "rb");
      return files[i] ? i : -1;
    }
  return -1;
}

void board_close(int file) {
  fclose(files[file]);
  files[file] = NULL;
}

bool board_write(int file, const void *bytes, size_t count) { return fwrite(bytes, 1, count, files[file]) == count; }

bool board_read(int file, uint32_t offset, void *bytes, size_t count) {
  return fseek(files[file], (long)offset, SEEK_SET) == 0 && fread(bytes, 1, count, files[file]) == count;
}

void board_print(const char *text) { printf("%s", text); }
void board_print_number(int64_t number) { printf("%lld", (long long)number); }
int64_t board_stack_used(void) { return 0; }
