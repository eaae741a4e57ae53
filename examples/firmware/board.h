/* board.h: what the firmware asks of its board: here files and a console of the host, by semihosting. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BOARD_READ = 1, BOARD_WRITE = 5 }; /* the modes "rb" and "wb" of semihosting */

/* A file of the host; below 0 where it cannot be opened. */
int board_open(const char *name, int mode);
void board_close(int file);
bool board_write(int file, const void *bytes, size_t count);
bool board_read(int file, uint32_t offset, void *bytes, size_t count);

void board_print(const char *text);
void board_print_number(int64_t number);

/* The most bytes that the stack has taken so far. */
int64_t board_stack_used(void);

#endif
