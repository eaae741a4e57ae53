/* fuzz.c: damages a file again and again and reads it: fuzz checkpoint|npy|idx|images FILE COUNT SEED. Sanitizers find
 * reads that are out of bounds; this program checks that a refused checkpoint leaves the session as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"

typedef struct {
  uint8_t bytes[1 << 16];
  size_t size;
} content;

static uint64_t key;
static uint32_t calls;

static uint32_t draw(uint32_t below) {
  uint32_t counter[4] = {calls++, 0, 0, 0}, words[4];
  nitic_philox(counter, key, words);
  return words[0] % below;
}

static void read_content(content *c, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file)
    exit(2);
  c->size = fread(c->bytes, 1, sizeof c->bytes / 2, file);
  fclose(file);
}

static void write_content(const content *c, const char *path) {
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(c->bytes, 1, c->size, file) != c->size || fclose(file) != 0)
    exit(2);
}

/* Any byte, or one that means something to a parser. */
static uint8_t new_byte(void) {
  static const char telling[] = "0123456789999,:\"\\u[]{}()<|'-. ";
  return draw(2) ? (uint8_t)draw(256) : (uint8_t)telling[draw(sizeof telling - 1)];
}

static void damage(content *c) {
  size_t at = draw((uint32_t)c->size);
  switch (draw(6)) {
  case 0: /* truncate */
    c->size = at;
    break;
  case 1: /* insert */
    memmove(c->bytes + at + 1, c->bytes + at, c->size++ - at);
    c->bytes[at] = new_byte();
    break;
  case 2: /* delete */
    memmove(c->bytes + at, c->bytes + at + 1, --c->size - at);
    break;
  case 3: /* repeat a stretch elsewhere */
    memmove(c->bytes + at, c->bytes + draw((uint32_t)c->size), draw(40) % (c->size - at));
    break;
  default:
    c->bytes[at] = new_byte();
  }
}

static int load_checkpoint(nitic_session *s, const char *path) {
  size_t bytes = s->program->state_bytes;
  uint8_t *before = malloc(bytes);
  memcpy(before, s->memory, bytes);
  int status = nitic_checkpoint_load(s, path);
  if (status != NITIC_OK && memcmp(before, s->memory, bytes) != 0) {
    fprintf(stderr, "a refused checkpoint changed the state\n");
    exit(2);
  }
  free(before);
  return status;
}

static int load_samples(nitic_session *s, const char *path) {
  nitic_dataset data;
  int status = nitic_data_open_samples(&data, s->program, path);
  static const uint8_t pad[4];
  const nitic_draw draw = {.augment = {.resized_crop = true, .flip = true}, .pad = pad};
  for (int64_t i = 0; status == NITIC_OK && i < data.count; i++) {
    nitic_data_get(&data, i, s->input, s->label);
    nitic_data_will_need(&data, i);
    nitic_data_draw(&data, &draw, i, s->input, s->label);
  }
  nitic_data_close(&data);
  return status;
}

static int load(nitic_session *s, const char *kind, const char *path) {
  return strcmp(kind, "checkpoint") == 0 ? load_checkpoint(s, path) : load_samples(s, path);
}

int main(int count, char **arguments) {
  if (count != 5)
    return 2;
  const char *kind = arguments[1], *path = arguments[2];
  static content original, damaged;
  char target[4096];
  int accepted = 0, rounds = atoi(arguments[3]);
  nitic_session *s;
  if (nitic_session_create(&nitic_program_instance, 1, "portable", &s) != NITIC_OK)
    return 2;
  key = strtoull(arguments[4], NULL, 10);
  snprintf(target, sizeof target, "%s.damaged.%s", path, kind); /* the suffix says how the file is read */
  read_content(&original, path);
  for (int i = 0; i < rounds; i++) {
    damaged = original;
    for (uint32_t times = 1 + draw(3); times > 0 && damaged.size > 1; times--)
      damage(&damaged);
    write_content(&damaged, target);
    int status = load(s, kind, target);
    if (status != NITIC_OK && status != NITIC_MISMATCH) {
      fprintf(stderr, "status %d: %s\n", status, nitic_last_error());
      return 2;
    }
    accepted += status == NITIC_OK;
  }
  write_content(&original, target);
  int status = load(s, kind, target);
  nitic_session_destroy(s);
  printf("%d of %d accepted\n", accepted, rounds);
  return status;
}
