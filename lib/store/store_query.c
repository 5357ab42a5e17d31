/*
 * Prepared statements, kept per connection and found by their text. The tricky thing is the fetch: columns are bound by
 * their own type, texts into a buffer that grows to the longest seen, and each row is copied into one arena, so that
 * the connection is free again before anybody sees a row.
 */
#include "store/store_query.h"

#include "base/str.h"
#include "store/store_tx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_PARAMS = 400, MAX_COLUMNS = 96, MANY_COLUMNS = 32, FIRST_COLUMN_BYTES = 1024 };
static const size_t max_result_bytes = (size_t)1 << 30;

struct column {
    enum store_param_kind kind;
    uint64_t number; /* bits of an unsigned or signed one */
    double real;
    char *bytes;
    unsigned long size, length;
    my_bool is_null, is_cut;
};

struct statement {
    const char *sql;
    MYSQL_STMT *handle;
    unsigned column_count;
    struct column *columns;
    MYSQL_BIND *binds; /* of the columns */
};

struct store_query_cache {
    struct statement *statements;
    size_t count;
};

struct cell {
    union {
        uint64_t number;
        double real;
        size_t offset; /* of the text in the arena */
    } value;
    uint32_t len;
    enum store_param_kind kind;
};

struct store_query {
    const char *sql;
    struct cell *cells;
    size_t cell_count, cell_room;
    char *arena;
    size_t arena_len, arena_room;
    size_t columns, rows, next_row; /* next_row: 1 while the first is read */
    size_t next_column;
    char misfit[128]; /* what the first value was that did not fit, and where */
};

/* ---- statements ---- */

static void statement_fini(struct statement *statement)
{
    if (statement->handle)
        mysql_stmt_close(statement->handle);
    for (unsigned i = 0; i < statement->column_count; i++)
        free(statement->columns[i].bytes);
    free(statement->columns);
    free(statement->binds);
}

void store_query_cache_free(struct store_query_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->count; i++)
        statement_fini(&cache->statements[i]);
    free(cache->statements);
    free(cache);
}

static void bind_column(MYSQL_BIND *bind, struct column *column, const MYSQL_FIELD *field)
{
    memset(bind, 0, sizeof(*bind));
    bind->is_null = &column->is_null;
    bind->error = &column->is_cut;
    bind->length = &column->length;
    switch (column->kind) {
    case STORE_PARAM_UNSIGNED:
    case STORE_PARAM_SIGNED:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = &column->number;
        bind->is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
        break;
    case STORE_PARAM_DOUBLE:
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer = &column->real;
        break;
    default:
        column->bytes = mem_new(FIRST_COLUMN_BYTES);
        column->size = FIRST_COLUMN_BYTES;
        bind->buffer_type = MYSQL_TYPE_BLOB;
        bind->buffer = column->bytes;
        bind->buffer_length = column->size;
    }
}

static enum store_param_kind kind_of_field(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
        return field->flags & UNSIGNED_FLAG ? STORE_PARAM_UNSIGNED : STORE_PARAM_SIGNED;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return STORE_PARAM_DOUBLE;
    default:
        return STORE_PARAM_BYTES;
    }
}

static void bind_columns(struct statement *statement)
{
    MYSQL_RES *meta = mysql_stmt_result_metadata(statement->handle);
    if (!meta)
        return;
    unsigned count = mysql_num_fields(meta);
    ASSERT(count <= MAX_COLUMNS);
    statement->column_count = count;
    statement->columns = mem_new(count * sizeof(*statement->columns));
    statement->binds = mem_new(count * sizeof(*statement->binds));
    for (unsigned i = 0; i < count; i++) {
        const MYSQL_FIELD *field = mysql_fetch_field_direct(meta, i);
        statement->columns[i].kind = kind_of_field(field);
        bind_column(&statement->binds[i], &statement->columns[i], field);
    }
    mysql_free_result(meta);
}

static struct statement *cache_find(struct store_query_cache *cache, const char *sql)
{
    for (size_t i = 0; cache && i < cache->count; i++)
        if (cache->statements[i].sql == sql || !strcmp(cache->statements[i].sql, sql))
            return &cache->statements[i];
    return NULL;
}

static struct statement *cache_add(struct store *store, struct statement made)
{
    struct store_query_cache *cache = store->cache;
    if (!cache)
        cache = store->cache = mem_new(sizeof(*cache));
    cache->statements = mem_grow(cache->statements, cache->count + 1, sizeof(*cache->statements));
    cache->statements[cache->count] = made;
    return &cache->statements[cache->count++];
}

static void cache_drop(struct store *store, struct statement *statement)
{
    struct store_query_cache *cache = store->cache;
    statement_fini(statement);
    *statement = cache->statements[--cache->count];
}

/* A failed statement is prepared anew next time: whatever was wrong with it, it is not kept. An error that comes in place
 * of a row (a deadlock of a locking read, a lost connection) stands with the connection only: libmariadb 3.3 does not copy
 * it to the statement. */
static int statement_fail(struct store *store, struct statement *statement, struct err *err)
{
    char words[512];
    unsigned number = mysql_stmt_errno(statement->handle);
    str_into(words, sizeof(words), mysql_stmt_error(statement->handle));
    if (number == 0) {
        number = mysql_errno(store->mysql);
        str_into(words, sizeof(words), mysql_error(store->mysql));
    }
    cache_drop(store, statement);
    return store_link_fail(store, number, words, err);
}

static struct statement *statement_get(struct store *store, const char *sql, struct err *err)
{
    struct statement *found = cache_find(store->cache, sql);
    if (found)
        return found;
    struct statement made = {.sql = sql, .handle = mysql_stmt_init(store->mysql)};
    if (!made.handle)
        BUG("out of memory");
    struct statement *statement = cache_add(store, made);
    if (mysql_stmt_prepare(statement->handle, sql, strlen(sql))) {
        statement_fail(store, statement, err);
        return NULL;
    }
    bind_columns(statement);
    return statement;
}

/* ---- parameters ---- */

static void bind_param(MYSQL_BIND *bind, const struct store_param *param)
{
    memset(bind, 0, sizeof(*bind));
    switch (param->kind) {
    case STORE_PARAM_UNSIGNED:
    case STORE_PARAM_SIGNED:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->is_unsigned = param->kind == STORE_PARAM_UNSIGNED;
        bind->buffer = (void *)(uintptr_t)&param->value;
        break;
    case STORE_PARAM_DOUBLE:
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer = (void *)(uintptr_t)&param->value.real;
        break;
    case STORE_PARAM_BYTES:
        bind->buffer_type = MYSQL_TYPE_BLOB;
        bind->buffer = (void *)(uintptr_t)param->value.bytes;
        bind->buffer_length = (unsigned long)param->len;
        break;
    default:
        bind->buffer_type = MYSQL_TYPE_NULL;
    }
}

/* NULL and an error after any failure; the connection may be gone then. */
static struct statement *execute(struct store *store, const char *sql, const struct store_param *params,
                                 struct err *err)
{
    MYSQL_BIND binds[MAX_PARAMS];
    unsigned count = 0;
    if (store_link_connect(store, err))
        return NULL;
    struct statement *statement = statement_get(store, sql, err);
    if (!statement)
        return NULL;
    for (; params[count].kind != STORE_PARAM_END; count++) {
        ASSERT(count < MAX_PARAMS);
        bind_param(&binds[count], &params[count]);
    }
    ASSERT(count == mysql_stmt_param_count(statement->handle));
    if ((count && mysql_stmt_bind_param(statement->handle, binds)) || mysql_stmt_execute(statement->handle)) {
        statement_fail(store, statement, err);
        return NULL;
    }
    return statement;
}

static int64_t exec_once(struct store *store, const char *sql, const struct store_param *params,
                         struct err *err)
{
    struct statement *statement = execute(store, sql, params, err);
    return statement ? (int64_t)mysql_stmt_affected_rows(statement->handle) : -1;
}

int64_t store_query_exec(struct store *store, const char *sql, const struct store_param *params,
                         struct err *err)
{
    struct store_tx_patience patience;
    int64_t rows;
    store_tx_patience_init(&patience);
    do {
        rows = exec_once(store, sql, params, err);
    } while (rows < 0 && !store->in_tx && store_tx_again(store, &patience));
    return rows;
}

/* ---- the same statement for many rows ---- */

/* One parameter of all rows, as libmariadb wants it. */
struct many_column {
    const void **bytes;
    unsigned long *lengths;
    uint64_t *numbers;
    char *indicators;
};

static void bind_many_column(MYSQL_BIND *bind, struct many_column *column, const struct store_param *params,
                             size_t columns, size_t rows)
{
    column->bytes = mem_new(rows * sizeof(*column->bytes));
    column->lengths = mem_new(rows * sizeof(*column->lengths));
    column->numbers = mem_new(rows * sizeof(*column->numbers));
    column->indicators = mem_new(rows);
    *bind = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_BLOB, .buffer = column->bytes};
    for (size_t i = 0; i < rows; i++, params += columns) {
        ASSERT(params->kind != STORE_PARAM_DOUBLE && params->kind != STORE_PARAM_END);
        column->indicators[i] = params->kind == STORE_PARAM_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
        column->bytes[i] = params->kind == STORE_PARAM_BYTES ? params->value.bytes : NULL;
        column->lengths[i] = (unsigned long)params->len;
        column->numbers[i] = params->value.number;
        if (params->kind != STORE_PARAM_UNSIGNED && params->kind != STORE_PARAM_SIGNED)
            continue;
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = column->numbers;
        bind->is_unsigned = params->kind == STORE_PARAM_UNSIGNED;
    }
    bind->length = column->lengths;
    bind->u.indicator = column->indicators;
}

static int execute_many(struct store *store, struct statement *statement, MYSQL_BIND *binds, size_t rows,
                        struct err *err)
{
    unsigned count = (unsigned)rows, single = 0;
    mysql_stmt_attr_set(statement->handle, STMT_ATTR_ARRAY_SIZE, &count);
    if (mysql_stmt_bind_param(statement->handle, binds) || mysql_stmt_execute(statement->handle))
        return statement_fail(store, statement, err);
    mysql_stmt_attr_set(statement->handle, STMT_ATTR_ARRAY_SIZE, &single);
    return 0;
}

int store_query_exec_many(struct store *store, const char *sql, const struct store_param *params,
                          size_t columns, size_t rows, struct err *err)
{
    MYSQL_BIND binds[MANY_COLUMNS];
    struct many_column many[MANY_COLUMNS];
    ASSERT(store->in_tx && columns <= MANY_COLUMNS);
    if (rows == 0)
        return 0;
    struct statement *statement = statement_get(store, sql, err);
    if (!statement)
        return -1;
    ASSERT(columns == mysql_stmt_param_count(statement->handle));
    for (size_t i = 0; i < columns; i++)
        bind_many_column(&binds[i], &many[i], params + i, columns, rows);
    int result = execute_many(store, statement, binds, rows, err);
    for (size_t i = 0; i < columns; i++) {
        free(many[i].bytes);
        free(many[i].lengths);
        free(many[i].numbers);
        free(many[i].indicators);
    }
    return result;
}

/* Where a list is longer than what is left, the last id stands there again: few lengths are few prepared statements. */
int store_query_exec_lists(struct store *store, const char *const sqls[4], uint64_t first,
                           const uint64_t *ids, size_t count, struct err *err)
{
    for (size_t done = 0; done < count; done += STORE_LIST) {
        struct store_param params[STORE_LIST + 2] = {bind_u64(first)};
        size_t left = count - done, which = left > 16 ? 3 : left > 4 ? 2 : left > 1 ? 1 : 0;
        for (size_t i = 0; i < (size_t)1 << 2 * which; i++)
            params[i + 1] = bind_u64(ids[done + (i < left ? i : left - 1)]);
        if (store_query_exec(store, sqls[which], params, err) < 0)
            return -1;
    }
    return 0;
}

uint64_t store_query_insert_id(const struct store *store)
{
    return mysql_insert_id(store->mysql);
}

/* ---- rows ---- */

static void query_free(struct store_query *query)
{
    free(query->cells);
    free(query->arena);
    free(query);
}

/* Returns the offset of the copy, NUL-terminated. */
static size_t arena_add(struct store_query *query, const char *bytes, size_t len)
{
    size_t offset = query->arena_len;
    if (query->arena_room - offset < len + 1) {
        query->arena_room = query->arena_room * 2 + len + 1;
        query->arena = mem_grow(query->arena, query->arena_room, 1);
    }
    if (len)
        memcpy(query->arena + offset, bytes, len);
    query->arena[offset + len] = '\0';
    query->arena_len += len + 1;
    return offset;
}

static struct cell *cell_add(struct store_query *query)
{
    if (query->cell_count == query->cell_room) {
        query->cell_room = query->cell_room * 2 + query->columns;
        query->cells = mem_grow(query->cells, query->cell_room, sizeof(*query->cells));
    }
    struct cell *cell = &query->cells[query->cell_count++];
    memset(cell, 0, sizeof(*cell));
    return cell;
}

static void take_cell(struct store_query *query, const struct column *column)
{
    struct cell *cell = cell_add(query);
    cell->kind = column->is_null ? STORE_PARAM_NULL : column->kind;
    if (cell->kind == STORE_PARAM_BYTES) {
        cell->len = (uint32_t)column->length;
        cell->value.offset = arena_add(query, column->bytes, column->length);
    } else if (cell->kind == STORE_PARAM_DOUBLE) {
        cell->value.real = column->real;
    } else if (cell->kind != STORE_PARAM_NULL) {
        cell->value.number = column->number;
    }
}

/* The row had a longer text than any before: its buffer grows and the column is fetched again. */
static int fetch_cut(struct statement *statement)
{
    for (unsigned i = 0; i < statement->column_count; i++) {
        struct column *column = &statement->columns[i];
        MYSQL_BIND *bind = &statement->binds[i];
        if (column->kind != STORE_PARAM_BYTES || column->is_null || column->length <= column->size)
            continue;
        column->bytes = mem_grow(column->bytes, column->length, 1);
        column->size = column->length;
        bind->buffer = column->bytes;
        bind->buffer_length = column->size;
        if (mysql_stmt_fetch_column(statement->handle, bind, i, 0))
            return -1;
    }
    return 0;
}

/* Grown buffers are bound for the next row only after this one was taken: Connector/C 3.3.19 (Debian's 10.11.18) sets
 * the lengths of all texts to 0 when it binds. */
static int take_row(struct store_query *query, struct statement *statement, bool cut)
{
    if (cut && fetch_cut(statement))
        return -1;
    for (unsigned i = 0; i < statement->column_count; i++)
        take_cell(query, &statement->columns[i]);
    query->rows++;
    return cut && mysql_stmt_bind_result(statement->handle, statement->binds) ? -1 : 0;
}

static int take_rows(struct store *store, struct store_query *query, struct statement *statement,
                     struct err *err)
{
    int status = mysql_stmt_bind_result(statement->handle, statement->binds) ? 1 : 0;
    while (!status) {
        status = mysql_stmt_fetch(statement->handle);
        if (status != 0 && status != MYSQL_DATA_TRUNCATED)
            break;
        status = take_row(query, statement, status == MYSQL_DATA_TRUNCATED) ? 1 : 0;
        if (query->arena_len + query->cell_count * sizeof(*query->cells) > max_result_bytes) {
            store_link_close(store); /* the rest of the answer is not wanted */
            store->failure = STORE_FAILURE_OTHER;
            return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: an answer of over 1 GiB: %.60s",
                           query->sql);
        }
    }
    if (status != MYSQL_NO_DATA)
        return statement_fail(store, statement, err);
    mysql_stmt_free_result(statement->handle);
    return 0;
}

static struct store_query *rows_once(struct store *store, const char *sql, const struct store_param *params,
                                     struct err *err)
{
    struct statement *statement = execute(store, sql, params, err);
    if (!statement)
        return NULL;
    struct store_query *query = mem_new(sizeof(*query));
    query->sql = sql;
    query->columns = statement->column_count;
    if (take_rows(store, query, statement, err)) {
        query_free(query);
        return NULL;
    }
    return query;
}

struct store_query *store_query_rows(struct store *store, const char *sql, const struct store_param *params,
                                     struct err *err)
{
    struct store_tx_patience patience;
    struct store_query *query;
    store_tx_patience_init(&patience);
    do {
        query = rows_once(store, sql, params, err);
    } while (!query && !store->in_tx && store_tx_again(store, &patience));
    return query;
}

/* ---- reading a row ---- */

size_t store_query_count(const struct store_query *query)
{
    return query->rows;
}

bool store_query_next(struct store_query *query)
{
    if (query->next_row >= query->rows)
        return false;
    query->next_row++;
    query->next_column = 0;
    return true;
}

void store_query_rewind(struct store_query *query)
{
    query->next_row = 0;
    query->next_column = 0;
}

static const struct cell *peek_cell(const struct store_query *query)
{
    ASSERT(query->next_row > 0 && query->next_column < query->columns);
    return &query->cells[(query->next_row - 1) * query->columns + query->next_column];
}

static const struct cell *next_cell(struct store_query *query)
{
    const struct cell *cell = peek_cell(query);
    query->next_column++;
    return cell;
}

/* Of the cell taken last. */
static void set_misfit(struct store_query *query, const char *what)
{
    if (*query->misfit)
        return;
    const struct cell *cell = &query->cells[(query->next_row - 1) * query->columns + query->next_column - 1];
    int len = snprintf(query->misfit, sizeof(query->misfit), "row %zu of %zu, column %zu is %s",
                       query->next_row, query->rows, query->next_column, what);
    if (cell->kind == STORE_PARAM_BYTES)
        snprintf(query->misfit + len, sizeof(query->misfit) - (size_t)len, " (%" PRIu32 " bytes)", cell->len);
}

bool store_query_is_null(const struct store_query *query)
{
    return peek_cell(query)->kind == STORE_PARAM_NULL;
}

size_t store_query_length(const struct store_query *query)
{
    const struct cell *cell = peek_cell(query);
    return cell->kind == STORE_PARAM_BYTES ? cell->len : 0;
}

uint64_t store_query_u64(struct store_query *query)
{
    const struct cell *cell = next_cell(query);
    if (cell->kind == STORE_PARAM_NULL)
        return 0;
    if (cell->kind == STORE_PARAM_UNSIGNED ||
        (cell->kind == STORE_PARAM_SIGNED && cell->value.number <= INT64_MAX))
        return cell->value.number;
    if (cell->kind == STORE_PARAM_DOUBLE && cell->value.real >= 0 && cell->value.real < 1e18)
        return (uint64_t)cell->value.real;
    set_misfit(query, "not an unsigned number");
    return 0;
}

uint32_t store_query_u32(struct store_query *query)
{
    uint64_t value = store_query_u64(query);
    if (value <= UINT32_MAX)
        return (uint32_t)value;
    set_misfit(query, "over 32 bits");
    return 0;
}

int64_t store_query_i64(struct store_query *query)
{
    const struct cell *cell = next_cell(query);
    if (cell->kind == STORE_PARAM_NULL)
        return 0;
    if (cell->kind == STORE_PARAM_SIGNED ||
        (cell->kind == STORE_PARAM_UNSIGNED && cell->value.number <= INT64_MAX))
        return (int64_t)cell->value.number;
    if (cell->kind == STORE_PARAM_DOUBLE && cell->value.real > -1e18 && cell->value.real < 1e18)
        return (int64_t)cell->value.real;
    set_misfit(query, "not a number");
    return 0;
}

bool store_query_bool(struct store_query *query)
{
    return store_query_i64(query) != 0;
}

double store_query_real_or(struct store_query *query, double if_null)
{
    const struct cell *cell = next_cell(query);
    switch (cell->kind) {
    case STORE_PARAM_NULL:
        return if_null;
    case STORE_PARAM_DOUBLE:
        return cell->value.real;
    case STORE_PARAM_UNSIGNED:
        return (double)cell->value.number;
    case STORE_PARAM_SIGNED:
        return (double)(int64_t)cell->value.number;
    default:
        set_misfit(query, "not a number");
        return if_null;
    }
}

double store_query_real(struct store_query *query)
{
    return store_query_real_or(query, 0);
}

const char *store_query_text(struct store_query *query)
{
    const struct cell *cell = next_cell(query);
    if (cell->kind == STORE_PARAM_BYTES)
        return query->arena + cell->value.offset;
    if (cell->kind != STORE_PARAM_NULL)
        set_misfit(query, "not a text");
    return "";
}

void store_query_copy(struct store_query *query, char *dst, size_t size)
{
    const char *text = store_query_text(query);
    if (strlen(text) >= size)
        set_misfit(query, "a text too long");
    str_into(dst, size, text);
}

bool store_query_bytes(struct store_query *query, void *dst, size_t len)
{
    const struct cell *cell = next_cell(query);
    memset(dst, 0, len);
    if (cell->kind == STORE_PARAM_NULL)
        return false;
    if (cell->kind != STORE_PARAM_BYTES || cell->len != len) {
        set_misfit(query, "bytes of another length");
        return false;
    }
    memcpy(dst, query->arena + cell->value.offset, len);
    return true;
}

int store_query_end(struct store_query *query, struct err *err)
{
    if (!query)
        return -1;
    int result = 0;
    if (*query->misfit)
        result = err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "store: %s: %.80s", query->misfit, query->sql);
    query_free(query);
    return result;
}
