/* checkpoint/header.c: parses the header of a safetensors file that may be anything. It fills nitic_entry without
 * judging it: whether the tensors are the program's is for load.c to say, which first compares the identity. */
#include <string.h>

#include "checkpoint/checkpoint.h"

int nitic_header_malformed(const nitic_reader *r, const nitic_json *json, const char *expected) {
  return nitic_fail(NITIC_MISMATCH, "%s: offset %lld: damaged checkpoint header, expected %s", r->path,
                    (long long)(json->at - r->data), expected);
}

static int check_length(nitic_reader *r) {
  if (r->bytes < 8)
    return nitic_fail(NITIC_MISMATCH, "%s: no checkpoint: it has %llu bytes, expected at least 8", r->path,
                      (unsigned long long)r->bytes);
  for (int i = 0; i < 8; i++)
    r->header_bytes |= (uint64_t)(unsigned char)r->data[i] << 8 * i;
  if (r->header_bytes <= NITIC_MAX_HEADER && r->header_bytes <= r->bytes - 8)
    return NITIC_OK;
  return nitic_fail(NITIC_MISMATCH, "%s: offset 0: no checkpoint: header of %llu bytes in a file of %llu bytes",
                    r->path, (unsigned long long)r->header_bytes, (unsigned long long)r->bytes);
}

static bool take_offsets(nitic_json *json, nitic_entry *e) {
  int64_t begin, end;
  bool good = nitic_json_take(json, '[') && nitic_json_integer(json, &begin) && nitic_json_take(json, ',') &&
              nitic_json_integer(json, &end) && nitic_json_take(json, ']') && begin >= 0 && end >= begin;
  if (good) {
    e->begin = (uint64_t)begin;
    e->end = (uint64_t)end;
  }
  return good;
}

static bool take_shape(nitic_json *json, nitic_entry *e) {
  if (!nitic_json_take(json, '['))
    return false;
  e->rank = 0;
  if (nitic_json_take(json, ']'))
    return true;
  do {
    int64_t length;
    if (!nitic_json_integer(json, &length))
      return false;
    if (e->rank < NITIC_MAX_RANK)
      e->shape[e->rank] = length;
    e->rank++;
  } while (nitic_json_take(json, ','));
  return nitic_json_take(json, ']');
}

/* One field of a tensor's description, noted in *fields: 1 dtype, 2 shape, 4 data_offsets. */
static int parse_field(nitic_reader *r, nitic_json *json, nitic_entry *e, int *fields) {
  const char *key = nitic_json_string(json);
  if (!key || !nitic_json_take(json, ':'))
    return nitic_header_malformed(r, json, "a field of a tensor");
  int field = 0;
  if (strcmp(key, "dtype") == 0) {
    e->dtype = nitic_json_string(json);
    field = e->dtype ? 1 : 0;
  } else if (strcmp(key, "shape") == 0)
    field = take_shape(json, e) ? 2 : 0;
  else if (strcmp(key, "data_offsets") == 0)
    field = take_offsets(json, e) ? 4 : 0;
  if (field == 0 || (*fields & field))
    return nitic_header_malformed(r, json, "dtype, shape and data_offsets of a tensor");
  *fields |= field;
  return NITIC_OK;
}

static int parse_tensor(nitic_reader *r, nitic_json *json, const char *name) {
  const nitic_tensor *tensor = nitic_tensor_find(r->program, name);
  nitic_entry foreign = {0}, *e = &foreign;
  if (tensor && nitic_is_state(tensor))
    e = &r->entries[tensor - r->program->tensors];
  else
    r->stranger = name;
  if (e->seen)
    return nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint header: tensor '%s' stands in it twice", r->path, name);
  e->seen = true;
  if (!nitic_json_take(json, '{'))
    return nitic_header_malformed(r, json, "'{'");
  int fields = 0, status;
  do
    status = parse_field(r, json, e, &fields);
  while (status == NITIC_OK && nitic_json_take(json, ','));
  if (status == NITIC_OK && (fields != 7 || !nitic_json_take(json, '}')))
    return nitic_header_malformed(r, json, "dtype, shape and data_offsets of a tensor");
  return status;
}

static int parse_metadata(nitic_reader *r, nitic_json *json) {
  if (!nitic_json_take(json, '{'))
    return nitic_header_malformed(r, json, "'{'");
  if (nitic_json_take(json, '}'))
    return NITIC_OK;
  do {
    const char *key = nitic_json_string(json);
    char *value = key && nitic_json_take(json, ':') ? nitic_json_string(json) : NULL;
    if (!value)
      return nitic_header_malformed(r, json, "a string of metadata");
    if (strcmp(key, "nitic") == 0)
      r->description = value;
  } while (nitic_json_take(json, ','));
  return nitic_json_take(json, '}') ? NITIC_OK : nitic_header_malformed(r, json, "'}'");
}

int nitic_header_parse(nitic_reader *r) {
  int status = check_length(r);
  if (status != NITIC_OK)
    return status;
  nitic_json json = {r->data + 8, r->data + 8 + r->header_bytes};
  if (!nitic_json_take(&json, '{'))
    return nitic_header_malformed(r, &json, "'{'");
  do {
    const char *name = nitic_json_string(&json);
    if (!name || !nitic_json_take(&json, ':'))
      return nitic_header_malformed(r, &json, "a name");
    status = strcmp(name, "__metadata__") == 0 ? parse_metadata(r, &json) : parse_tensor(r, &json, name);
    if (status != NITIC_OK)
      return status;
  } while (nitic_json_take(&json, ','));
  if (!nitic_json_take(&json, '}'))
    return nitic_header_malformed(r, &json, "'}'");
  nitic_json_take(&json, ' '); /* skips the padding */
  return json.at == json.end ? NITIC_OK : nitic_header_malformed(r, &json, "nothing more");
}
