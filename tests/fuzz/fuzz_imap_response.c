/*
 * Any bytes as server output, read as responses: what is handed on is well formed, a body has the size that was announced
 * for it, and all is the same however the bytes are cut and however little the body's handler takes. The first byte of
 * the input says how.
 */
#include "imap/imap_response.h"

#include "base/buf.h"
#include "base/str.h"
#include "imap/imap_flags.h"
#include "imap/imap_list.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LITERAL_BYTES = 1 << 20, MAX_OUT_BYTES = 1 << 26 };

struct reading {
    struct imap_response_reader *reader;
    struct buf out;
    size_t most; /* the body's handler takes so many bytes at most, and none every other time; 0: all */
    bool rest, failed;
    uint64_t body_left;
    bool body_open;
};

static void check_flags(struct reading *reading, const struct imap_flags *flags)
{
    struct imap_flags again;
    char *text = imap_flags_format(flags);
    ASSERT(flags->keyword_count <= IMAP_MAX_KEYWORDS);
    ASSERT(imap_flags_parse(text, &again) == 0 && imap_flags_equal(flags, &again));
    buf_addf(&reading->out, "(%s)", text);
    imap_flags_fini(&again);
    free(text);
}

static void check_fetch(struct reading *reading, const struct imap_response *response)
{
    const struct imap_fetch *fetch = response->fetch;
    ASSERT(!response->has_body || reading->body_open);
    if (fetch->has_flags)
        check_flags(reading, &fetch->flags);
    if (fetch->has_date)
        ASSERT(strlen(fetch->date.text) == 26);
    ASSERT(fetch->header_len <= IMAP_RESPONSE_MAX_HEADER_BYTES);
    buf_addf(&reading->out, "%u %u %d%d%d%d", fetch->seq, fetch->uid, fetch->has_date, fetch->has_size,
             fetch->has_modseq, fetch->header != NULL);
    buf_add(&reading->out, fetch->header, fetch->header_len);
}

static void check_status(const struct imap_folder_status *status)
{
    ASSERT(!status->has_uidnext || status->uidnext > 0);
    ASSERT(!status->has_uidvalidity || status->uidvalidity > 0);
}

/* As the engine does with it. */
static void check_list(const struct imap_response *response)
{
    struct imap_list list = {0};
    struct err err;
    ASSERT(response->name_len <= IMAP_RESPONSE_MAX_VALUE_BYTES);
    if (imap_list_add(&list, response->name, response->name_len, response->delimiter, &err))
        ASSERT(str_is_utf8(list.entries[0].name, strlen(list.entries[0].name)));
    imap_list_fini(&list);
}

static int on_response(void *context, const struct imap_response *response, struct err *err)
{
    struct reading *reading = context;
    (void)err;
    buf_addf(&reading->out, "\n%d %d ", response->kind, response->condition);
    ASSERT(reading->body_left == 0);
    if (response->kind <= IMAP_RESPONSE_CONDITION)
        buf_addf(&reading->out, "[%s] %s", response->code, response->text);
    else if (response->kind <= IMAP_RESPONSE_ID)
        buf_add_str(&reading->out, response->text);
    else if (response->kind <= IMAP_RESPONSE_STATUS)
        buf_add(&reading->out, response->name, response->name_len);
    if (response->kind == IMAP_RESPONSE_LIST)
        check_list(response);
    else if (response->kind == IMAP_RESPONSE_STATUS)
        check_status(response->status);
    else if (response->kind == IMAP_RESPONSE_FETCH)
        check_fetch(reading, response);
    else if (response->kind == IMAP_RESPONSE_FLAGS)
        check_flags(reading, response->flags);
    else if (response->kind == IMAP_RESPONSE_SEARCH)
        ASSERT(response->first > 0 && response->first <= response->last);
    reading->body_open = false;
    return 0;
}

/* Every third is passed over, every seventh ends it all. */
static int on_body_begin(void *context, uint32_t uid, uint64_t size_bytes, struct err *err)
{
    struct reading *reading = context;
    ASSERT(reading->body_left == 0 && !reading->body_open);
    buf_addf(&reading->out, "\nbody %u %llu ", uid, (unsigned long long)size_bytes);
    if (uid % 7 == 6)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "not this one");
    if (uid % 3 == 2)
        return 0;
    reading->body_left = size_bytes;
    reading->body_open = true;
    return 1;
}

static size_t on_body_bytes(void *context, const char *bytes, size_t len)
{
    struct reading *reading = context;
    ASSERT(reading->body_open && len > 0 && len <= reading->body_left);
    if (reading->most > 0) {
        reading->rest = !reading->rest;
        len = reading->rest ? 0 : len < reading->most ? len : reading->most;
    }
    buf_add(&reading->out, bytes, len);
    reading->body_left -= len;
    return len;
}

static void feed(struct reading *reading, const char *bytes, size_t len)
{
    struct err err = {0};
    do {
        size_t used;
        reading->failed = imap_response_feed(reading->reader, bytes, len, &used, &err) != 0;
        ASSERT(used <= len);
        bytes += used;
        len -= used;
    } while (!reading->failed && imap_response_is_stopped(reading->reader));
    if (reading->failed)
        buf_addf(&reading->out, "! %s", err.text);
    ASSERT(reading->failed ? err.scope >= ERR_MESSAGE && err.text[0] : len == 0);
}

static void read_in_pieces(struct reading *reading, const char *bytes, size_t len, size_t piece, size_t most)
{
    struct imap_response_handlers handlers = {reading, on_response, on_body_begin, on_body_bytes};
    *reading = (struct reading){.reader = imap_response_new(&handlers, MAX_LITERAL_BYTES), .most = most};
    buf_init(&reading->out, MAX_OUT_BYTES);
    for (size_t at = 0; at < len && !reading->failed; at += piece)
        feed(reading, bytes + at, len - at < piece ? len - at : piece);
}

static void end(struct reading *reading)
{
    imap_response_free(reading->reader);
    buf_fini(&reading->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, pieces;
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    read_in_pieces(&whole, bytes, size - 1, size, 0);
    read_in_pieces(&pieces, bytes, size - 1, data[0] % 16 + 1u, data[0] / 16);
    ASSERT(buf_len(&whole.out) == buf_len(&pieces.out));
    ASSERT(memcmp(buf_data(&whole.out), buf_data(&pieces.out), buf_len(&whole.out)) == 0);
    end(&whole);
    end(&pieces);
    return 0;
}
