/*
 * Inside lib/store: prepared statements made pleasant. A statement is prepared on its first use on a connection and
 * kept. Parameters are typed; rows are read whole into memory before the first is handed out, so a callback may use the
 * store again, and a read that was cut off can be repeated.
 *
 * Outside a transaction a statement is retried after a conflict, and once after a lost connection: so it must do no
 * harm when run twice. Inside one (store_tx.h) the transaction is what is retried.
 *
 *     struct store_query *query = STORE_ROWS(store, err, "SELECT name, paused FROM route WHERE route_id = ?", bind_u64(id));
 *     while (query && store_query_next(query)) { store_query_copy(query, name, sizeof(name)); ... }
 *     return store_query_end(query, err);
 */
#ifndef MIRROR_STORE_STORE_QUERY_H
#define MIRROR_STORE_STORE_QUERY_H

#include "store/store_link.h"

#include <string.h>

enum store_param_kind {
    STORE_PARAM_END = 0,
    STORE_PARAM_NULL,
    STORE_PARAM_UNSIGNED,
    STORE_PARAM_DOUBLE,
    STORE_PARAM_BYTES,
    STORE_PARAM_SIGNED
};

struct store_param {
    enum store_param_kind kind;
    union {
        uint64_t number;
        int64_t integer;
        double real;
        const void *bytes; /* borrowed during the call */
    } value;
    size_t len;
};

static inline struct store_param bind_null(void)
{
    return (struct store_param){.kind = STORE_PARAM_NULL};
}
static inline struct store_param bind_u64(uint64_t value)
{
    return (struct store_param){.kind = STORE_PARAM_UNSIGNED, .value.number = value};
}
/* NULL if it is not there. */
static inline struct store_param bind_u64_if(bool there, uint64_t value)
{
    return there ? bind_u64(value) : bind_null();
}
static inline struct store_param bind_i64(int64_t value)
{
    return (struct store_param){.kind = STORE_PARAM_SIGNED, .value.integer = value};
}
static inline struct store_param bind_bool(bool value)
{
    return bind_u64(value ? 1 : 0);
}
static inline struct store_param bind_real(double value)
{
    return (struct store_param){.kind = STORE_PARAM_DOUBLE, .value.real = value};
}
static inline struct store_param bind_bytes(const void *bytes, size_t len)
{
    return (struct store_param){.kind = STORE_PARAM_BYTES, .value.bytes = bytes, .len = len};
}
static inline struct store_param bind_bytes_if(bool there, const void *bytes, size_t len)
{
    return there ? bind_bytes(bytes, len) : bind_null();
}
/* A NULL text is NULL. */
static inline struct store_param bind_text(const char *text)
{
    return text ? bind_bytes(text, strlen(text)) : bind_null();
}
/* At most max_bytes of it; a NULL text is ''. For words meant for people only. */
static inline struct store_param bind_cut(const char *text, size_t max_bytes)
{
    size_t len = text ? strlen(text) : 0;

    return bind_bytes(text ? text : "", len < max_bytes ? len : max_bytes);
}

/* Many rows in one statement: a message costs no round trip to the database of its own. */
enum { STORE_MANY = 16, STORE_FEW = 4 };
static inline size_t store_at_once(size_t left)
{
    return left >= STORE_MANY ? STORE_MANY : left >= STORE_FEW ? STORE_FEW : 1;
}
#define STORE_TIMES(count, sql_of, text)                                                                     \
    ((count) == STORE_MANY  ? sql_of(STORE_TIMES_16(text))                                                   \
     : (count) == STORE_FEW ? sql_of(STORE_TIMES_4(text))                                                    \
                            : sql_of(text))
#define STORE_TIMES_4(text) text ", " text ", " text ", " text
#define STORE_TIMES_16(text) STORE_TIMES_4(STORE_TIMES_4(text))

/* One statement on `first` and a list of ids, in as few as there may be: `sql_of` takes the list's question marks. */
enum { STORE_LIST = 64 };
#define STORE_LISTS(sql_of)                                                                                  \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        sql_of("?"), sql_of(STORE_TIMES_4("?")), sql_of(STORE_TIMES_16("?")),                                \
            sql_of(STORE_TIMES_4(STORE_TIMES_16("?")))                                                       \
    }
int store_query_exec_lists(struct store *store, const char *const sqls[4], uint64_t first,
                           const uint64_t *ids, size_t count, struct err *err);

/* params ends with STORE_PARAM_END. Returns how many rows matched (not: were changed), or -1. */
int64_t store_query_exec(struct store *store, const char *sql, const struct store_param *params,
                         struct err *err);
/* An INSERT, UPDATE or DELETE for each of `rows`, in one round trip (MariaDB's bulk execution), inside a transaction only. params:
 * row after row of `columns`, without an end; a column is a number in all rows or bytes in all, or NULL. */
int store_query_exec_many(struct store *store, const char *sql, const struct store_param *params,
                          size_t columns, size_t rows, struct err *err);
/* The id that the last INSERT made. */
uint64_t store_query_insert_id(const struct store *store);

#define STORE_EXEC(store, err, sql, ...)                                                                     \
    store_query_exec((store), (sql),                                                                         \
                     (const struct store_param[]){__VA_ARGS__ __VA_OPT__(, ){.kind = STORE_PARAM_END}},      \
                     (err))
#define STORE_ROWS(store, err, sql, ...)                                                                     \
    store_query_rows((store), (sql),                                                                         \
                     (const struct store_param[]){__VA_ARGS__ __VA_OPT__(, ){.kind = STORE_PARAM_END}},      \
                     (err))

/* All rows of a SELECT. `sql` must live as long as the store (a literal). */
struct store_query;
struct store_query *store_query_rows(struct store *store, const char *sql, const struct store_param *params,
                                     struct err *err);
size_t store_query_count(const struct store_query *query);
/* Moves to the next row, its first column; false behind the last. */
bool store_query_next(struct store_query *query);

/* Before the first row again. */
void store_query_rewind(struct store_query *query);

/* Each takes the next column of the row. NULL reads as 0 or "". A value that does not fit is remembered, and is the
 * error of store_query_end(). */
bool store_query_is_null(const struct store_query *query); /* of the next column; does not take it */
size_t store_query_length(
    const struct store_query *query); /* of the text in the next column; does not take it */
uint64_t store_query_u64(struct store_query *query);
uint32_t store_query_u32(struct store_query *query);
int64_t store_query_i64(struct store_query *query);
bool store_query_bool(struct store_query *query);
double store_query_real(struct store_query *query);
double store_query_real_or(struct store_query *query, double if_null);
/* NUL-terminated, borrowed until store_query_end(). */
const char *store_query_text(struct store_query *query);
void store_query_copy(struct store_query *query, char *dst, size_t size);
/* true if it is not NULL; it must then have exactly this length. */
bool store_query_bytes(struct store_query *query, void *dst, size_t len);

/* Frees. -1 if a value did not fit. NULL (a failed store_query_rows) is -1 with err left alone. */
int store_query_end(struct store_query *query, struct err *err);

/* Drops all prepared statements, and the cache itself. */
void store_query_cache_free(struct store_query_cache *cache);

#endif
