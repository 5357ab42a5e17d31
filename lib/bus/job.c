/*
 * Messages of the bus; see job.h. One table of fields a type serves both directions.
 */
#include "bus/job.h"

#include "base/json.h"
#include "base/str.h"
#include "bus/bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field_kind {
    FIELD_MAILBOX,  /* a mailbox number */
    FIELD_NAME,     /* printable, not empty */
    FIELD_TEXT,     /* for people: may be missing, control characters become '?' */
    FIELD_OPTIONAL, /* like a name, may be missing */
    FIELD_U64,
    FIELD_U32,
    FIELD_BOOL,
    FIELD_STATE,
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, bytes;
    uint64_t max;
};

#define FIELD(member, field_kind, limit)                                                                     \
    {                                                                                                        \
        .name = #member, .kind = (field_kind), .offset = offsetof(struct job, member),                       \
        .bytes = sizeof(((struct job *)0)->member), .max = (limit)                                           \
    }

/* Numbers travel as JSON numbers, exact up to 2^53. */
#define LARGEST ((uint64_t)1 << 53)

static const struct field mirror_fields[] = {
    FIELD(mirror_id, FIELD_U64, LARGEST),
    FIELD(mailbox, FIELD_MAILBOX, 0),
    FIELD(route, FIELD_NAME, 0),
    FIELD(wanted_seq, FIELD_U64, LARGEST),
    FIELD(priority, FIELD_U32, 9),
    FIELD(results, FIELD_OPTIONAL, 0),
    {0},
};

static const struct field result_fields[] = {
    FIELD(mirror_id, FIELD_U64, LARGEST),
    FIELD(mailbox, FIELD_MAILBOX, 0),
    FIELD(route, FIELD_NAME, 0),
    FIELD(wanted_seq, FIELD_U64, LARGEST),
    FIELD(done, FIELD_BOOL, 0),
    FIELD(text, FIELD_TEXT, 0),
    {0},
};

static const struct field look_fields[] = {FIELD(mailbox, FIELD_MAILBOX, 0), {0}};

static const struct field wake_fields[] = {{0}};

static const struct field event_fields[] = {
    FIELD(program, FIELD_NAME, 0),
    FIELD(mailbox, FIELD_OPTIONAL, 0),
    FIELD(route, FIELD_OPTIONAL, 0),
    FIELD(text, FIELD_TEXT, 0),
    {0},
};

static const struct field pulse_fields[] = {
    FIELD(program, FIELD_NAME, 0), FIELD(pid, FIELD_U32, UINT32_MAX), FIELD(instance, FIELD_U32, UINT32_MAX),
    FIELD(state, FIELD_STATE, 0),  FIELD(text, FIELD_TEXT, 0),        {0},
};

static const struct field *const fields[JOB_TYPE_COUNT] = {
    [JOB_MIRROR] = mirror_fields, [JOB_VERIFY] = mirror_fields, [JOB_RESULT] = result_fields,
    [JOB_LOOK] = look_fields,     [JOB_WAKE] = wake_fields,     [JOB_EVENT] = event_fields,
    [JOB_PULSE] = pulse_fields,
};

static const struct {
    const char *name;
    unsigned version;
} types[JOB_TYPE_COUNT] = {
#define JOB_ENTRY(id, name, version, help) [JOB_##id] = {name, version},
    JOB_TYPES(JOB_ENTRY)
#undef JOB_ENTRY
};

static const char *const states[] = {"starting", "ready", "working", "draining"};
enum { STATE_COUNT = sizeof(states) / sizeof(states[0]) };

const char *job_type_name(enum job_type type)
{
    return (unsigned)type < JOB_TYPE_COUNT ? types[type].name : "unknown";
}

const char *job_pulse_state_name(enum pulse_state state)
{
    return (unsigned)state < STATE_COUNT ? states[state] : "unknown";
}

static void encode_text(cJSON *object, const char *name, const char *text)
{
    char plain[JOB_TEXT_BYTES];
    str_into(plain, sizeof(plain), text);
    str_make_plain(plain);
    cJSON_AddStringToObject(object, name, plain);
}

/* Written out by us: cJSON prints doubles with 15 digits where that is near enough for it. */
static void encode_u64(cJSON *object, const char *name, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, digits);
}

static void encode_field(cJSON *object, const struct job *job, const struct field *field)
{
    const void *place = (const char *)job + field->offset;
    switch (field->kind) {
    case FIELD_MAILBOX:
    case FIELD_NAME:
    case FIELD_TEXT:
        encode_text(object, field->name, place);
        break;
    case FIELD_OPTIONAL:
        if (*(const char *)place != 0)
            encode_text(object, field->name, place);
        break;
    case FIELD_U64:
        encode_u64(object, field->name, *(const uint64_t *)place);
        break;
    case FIELD_U32:
        cJSON_AddNumberToObject(object, field->name, *(const uint32_t *)place);
        break;
    case FIELD_BOOL:
        cJSON_AddBoolToObject(object, field->name, *(const bool *)place);
        break;
    case FIELD_STATE:
        cJSON_AddStringToObject(object, field->name, job_pulse_state_name(*(const enum pulse_state *)place));
        break;
    }
}

char *job_encode(const struct job *job)
{
    ASSERT((unsigned)job->type < JOB_TYPE_COUNT);
    cJSON *object = cJSON_CreateObject();
    if (object == NULL)
        BUG("out of memory");
    cJSON_AddStringToObject(object, "type", types[job->type].name);
    cJSON_AddNumberToObject(object, "version", types[job->type].version);
    for (const struct field *field = fields[job->type]; field->name != NULL; field++)
        encode_field(object, job, field);
    char *text = json_print(object);
    cJSON_Delete(object);
    return text;
}

static int refuse(struct err *err, const char *field, const char *why)
{
    return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "field '%s': %s", field, why);
}

static bool is_plain(const char *text)
{
    char *copy = str_copy(text);
    str_make_plain(copy);
    bool same = str_equal(copy, text);
    free(copy);
    return same;
}

static int decode_string(const cJSON *object, struct job *job, const struct field *field, struct err *err)
{
    const char *text;
    char *place = (char *)job + field->offset;
    bool optional = field->kind == FIELD_OPTIONAL || field->kind == FIELD_TEXT;
    if (optional && !json_has(object, field->name))
        return 0;
    if (json_get_string(object, field->name, field->bytes - 1, &text, err) < 0)
        return -1;
    if (field->kind == FIELD_MAILBOX && !str_is_mailbox_number(text))
        return refuse(err, field->name, "not a mailbox number");
    if (field->kind == FIELD_NAME && *text == 0)
        return refuse(err, field->name, "empty");
    if (field->kind != FIELD_TEXT && !is_plain(text))
        return refuse(err, field->name, "control characters");
    str_into(place, field->bytes, text);
    str_make_plain(place);
    return 0;
}

static int decode_number(const cJSON *object, struct job *job, const struct field *field, struct err *err)
{
    uint64_t value;
    char *place = (char *)job + field->offset;
    if (json_get_u64(object, field->name, field->max, &value, err) < 0)
        return -1;
    if (field->kind == FIELD_U64)
        *(uint64_t *)(void *)place = value;
    else
        *(uint32_t *)(void *)place = (uint32_t)value;
    return 0;
}

static int decode_state(const cJSON *object, struct job *job, const struct field *field, struct err *err)
{
    const char *text;
    if (json_get_string(object, field->name, JOB_NAME_BYTES, &text, err) < 0)
        return -1;
    for (unsigned i = 0; i < STATE_COUNT; i++)
        if (str_equal(text, states[i])) {
            job->state = (enum pulse_state)i;
            return 0;
        }
    return refuse(err, field->name, "unknown");
}

static int decode_field(const cJSON *object, struct job *job, const struct field *field, struct err *err)
{
    switch (field->kind) {
    case FIELD_U64:
    case FIELD_U32:
        return decode_number(object, job, field, err);
    case FIELD_BOOL:
        return json_get_bool(object, field->name, (bool *)((char *)job + field->offset), err);
    case FIELD_STATE:
        return decode_state(object, job, field, err);
    default:
        return decode_string(object, job, field, err);
    }
}

static int decode_type(const cJSON *object, struct job *job, struct err *err)
{
    const char *name;
    uint64_t version;
    if (json_get_string(object, "type", JOB_NAME_BYTES, &name, err) < 0)
        return -1;
    unsigned type = 0;
    while (type < JOB_TYPE_COUNT && !str_equal(types[type].name, name))
        type++;
    if (type == JOB_TYPE_COUNT)
        return refuse(err, "type", "unknown");
    if (json_get_u64(object, "version", UINT32_MAX, &version, err) < 0)
        return -1;
    if (version < 1 || version > types[type].version)
        return refuse(err, "version", "not one that this program knows; are all programs of one release?");
    job->type = (enum job_type)type;
    return 0;
}

int job_decode(const char *bytes, size_t len, struct job *job_out, struct err *err)
{
    struct job job = {0};
    cJSON *object = json_parse_object(bytes, len, BUS_MAX_BYTES, err);
    if (object == NULL)
        return err_prefix(err, "job");
    int result = decode_type(object, &job, err);
    for (const struct field *field = result < 0 ? wake_fields : fields[job.type];
         field->name != NULL && result == 0; field++)
        result = decode_field(object, &job, field, err);
    cJSON_Delete(object);
    if (result < 0)
        return err_prefix(err, "job");
    *job_out = job;
    return 0;
}
