/*
 * The command pipeline; see imap_pipeline.h. Used by the session. Everything is sent in the order in which it was given,
 * as early as may_follow() allows; servers carry commands out in that order, so an untagged answer belongs to the
 * oldest command that wants its kind.
 */
#include "imap/imap_pipeline.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* So many unanswered commands at most: some servers read no further while they answer. Their lines fit the buffers in
 * between, and over a long way that many small messages come with each round trip. */
enum { MAX_IN_FLIGHT = 500, WORD_BYTES = 24 };

enum kind {
    PLAIN,
    SEARCH,
    COURTESY, /* whether it succeeds changes nothing for the others */
    ALONE,    /* changes what other commands mean */
    OPENING,  /* likewise, save for one that was given to go with it */
};

static const struct {
    const char *word;
    enum kind kind;
} kinds[] = {
    {"LOGIN", ALONE},     {"AUTHENTICATE", ALONE}, {"UID SEARCH", SEARCH}, {"SELECT", OPENING},
    {"EXAMINE", OPENING}, {"UNSELECT", ALONE},     {"PROXYAUTH", ALONE},   {"CAPABILITY", ALONE},
    {"LOGOUT", ALONE},    {"ID", COURTESY},        {"ENABLE", COURTESY},
};

struct imap_command {
    struct imap_command *next;
    char tag[16];
    char *line;
    char word[WORD_BYTES]; /* what errors call it: "UID FETCH" */
    enum kind kind;
    bool sent;
    struct imap_handlers handlers;
    struct imap_pipeline_extras extras;
    uint32_t only_uid; /* of a FETCH that names one message, else 0 */
};

/* ---- adding and sending ---- */

static void take_word(struct imap_command *command)
{
    size_t len = strcspn(command->line, " ");
    if (strncasecmp(command->line, "UID ", 4) == 0)
        len = 4 + strcspn(command->line + 4, " ");
    snprintf(command->word, sizeof(command->word), "%.*s", (int)(len < WORD_BYTES ? len : WORD_BYTES - 1),
             command->line);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_equal_nocase(command->word, kinds[i].word))
            command->kind = kinds[i].kind;
}

static void take_only_uid(struct imap_command *command)
{
    unsigned uid;
    char after;
    if (sscanf(command->line, "UID FETCH %u%c", &uid, &after) == 2 && after == ' ')
        command->only_uid = uid;
}

struct imap_command *imap_pipeline_add(struct imap_pipeline *pipeline, const struct imap_handlers *handlers,
                                       const struct imap_pipeline_extras *extras, char *line)
{
    struct imap_command *command = mem_new(sizeof(*command));
    command->line = line;
    command->handlers = *handlers;
    command->extras = *extras;
    snprintf(command->tag, sizeof(command->tag), "m%" PRIu32, ++pipeline->tags);
    take_word(command);
    take_only_uid(command);
    *(pipeline->last ? &pipeline->last->next : &pipeline->first) = command;
    pipeline->last = command;
    return command;
}

static void unlink_command(struct imap_pipeline *pipeline, struct imap_command *command)
{
    struct imap_command **link = &pipeline->first, *before = NULL;
    while (*link != command) {
        before = *link;
        link = &before->next;
    }
    *link = command->next;
    if (pipeline->last == command)
        pipeline->last = before;
    if (pipeline->streaming == command)
        pipeline->streaming = NULL;
}

/* A login holds the secret. */
static void command_free(struct imap_command *command)
{
    explicit_bzero(command->line, strlen(command->line));
    free(command->line);
    free(command);
}

void imap_pipeline_forget(struct imap_pipeline *pipeline, struct imap_command *command)
{
    ASSERT(!command->sent);
    unlink_command(pipeline, command);
    command_free(command);
}

/* May `next` be sent while `open` is unanswered? */
static bool may_follow(const struct imap_command *open, const struct imap_command *next)
{
    /* Servers carry them out in order, and what follows means the same if they are refused. */
    if (open->kind == COURTESY && next->kind != ALONE)
        return true;
    if (open->kind == OPENING && next->extras.follows_opening)
        return true;
    /* What selects a folder, leaves, or changes who we are and what is understood, stands alone: what comes after it
     * would mean something else if it failed, and the untagged answers of both sides of it look alike. */
    if (open->kind >= ALONE || next->kind >= ALONE)
        return false;
    /* A SEARCH answer names no command (an ESEARCH does, but not every server has it). RFC 3501 section 5.5 */
    if (open->kind == SEARCH && next->kind == SEARCH)
        return false;
    /* All others: we name messages by UID only, so that an EXPUNGE in between moves nothing. */
    return true;
}

struct imap_command *imap_pipeline_next(const struct imap_pipeline *pipeline)
{
    struct imap_command *next = pipeline->first;
    size_t in_flight = 0;
    if (pipeline->literal_open)
        return NULL;
    while (next && next->sent) {
        next = next->next;
        in_flight++;
    }
    if (!next || in_flight >= MAX_IN_FLIGHT)
        return NULL;
    for (const struct imap_command *open = pipeline->first; open != next; open = open->next)
        if (!may_follow(open, next))
            return NULL;
    return next;
}

bool imap_pipeline_set_sent(struct imap_pipeline *pipeline, struct imap_command *command)
{
    command->sent = true;
    if (!command->extras.on_turn)
        return true;
    pipeline->literal_open = true;
    command->extras.on_turn(command->handlers.context);
    return false;
}

const char *imap_pipeline_tag(const struct imap_command *command)
{
    return command->tag;
}

const char *imap_pipeline_line(const struct imap_command *command)
{
    return command->line;
}

bool imap_pipeline_is_empty(const struct imap_pipeline *pipeline)
{
    return pipeline->first == NULL;
}

bool imap_pipeline_is_waiting(const struct imap_pipeline *pipeline)
{
    return pipeline->first && pipeline->first->sent;
}

bool imap_pipeline_is_leaving(const struct imap_pipeline *pipeline)
{
    return imap_pipeline_is_waiting(pipeline) && str_equal(pipeline->first->word, "LOGOUT");
}

/* ---- answers ---- */

static void end_command(struct imap_pipeline *pipeline, struct imap_command *command, int result,
                        const char *code, const struct err *err)
{
    unlink_command(pipeline, command);
    if (command->handlers.on_done)
        command->handlers.on_done(command->handlers.context, result, code, err);
    command_free(command);
}

static int take_tagged(struct imap_pipeline *pipeline, const struct imap_response *response, struct err *err)
{
    struct imap_command *command = pipeline->first;
    struct err refusal = {0};
    while (command && (!command->sent || !str_equal(command->tag, response->tag)))
        command = command->next;
    if (!command)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER,
                       "the server's answer makes no sense: it is to a command that was not sent");
    if (response->condition == IMAP_OK) {
        end_command(pipeline, command, 0, response->code, NULL);
        return 0;
    }
    err_set(&refusal, response->condition == IMAP_NO ? ERR_FOLDER : ERR_MAILBOX, ERR_RETRY_LATER,
            "%s: %s %s%s%s%s", command->word, imap_response_condition_name(response->condition),
            response->code[0] ? "[" : "", response->code, response->code[0] ? "] " : "", response->text);
    end_command(pipeline, command, -1, response->code, &refusal);
    return 0;
}

static bool wants_fetch(const struct imap_command *command)
{
    return command->handlers.on_fetch || command->handlers.on_body_bytes;
}

static bool wants_body(const struct imap_command *command)
{
    return command->handlers.on_body_bytes;
}

static bool wants_search(const struct imap_command *command)
{
    return command->handlers.on_search;
}

static bool wants_untagged(const struct imap_command *command)
{
    return command->extras.on_untagged;
}

static struct imap_command *oldest(const struct imap_pipeline *pipeline,
                                   bool (*wants)(const struct imap_command *command))
{
    struct imap_command *command = pipeline->first;
    while (command && command->sent && !wants(command))
        command = command->next;
    return command && command->sent ? command : NULL;
}

/* A body may come before its UID; then it was taken for the one message that its command names. */
static int end_body(struct imap_pipeline *pipeline, const struct imap_fetch *fetch, struct err *err)
{
    struct imap_command *command = pipeline->streaming;
    pipeline->streaming = NULL;
    if (!command)
        return 0;
    if (fetch->uid != pipeline->streaming_uid)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER,
                       "the server's answer makes no sense: the body of message %" PRIu32 " where %" PRIu32
                       " was asked for",
                       fetch->uid, pipeline->streaming_uid);
    if (command->handlers.on_body_end)
        command->handlers.on_body_end(command->handlers.context);
    return 0;
}

static int take_fetch(struct imap_pipeline *pipeline, const struct imap_response *response, struct err *err)
{
    struct imap_command *command = oldest(pipeline, wants_fetch);
    if (response->has_body && end_body(pipeline, response->fetch, err) != 0)
        return -1;
    if (command && command->handlers.on_fetch)
        command->handlers.on_fetch(command->handlers.context, response->fetch);
    return 0;
}

int imap_pipeline_take(struct imap_pipeline *pipeline, const struct imap_response *response, struct err *err)
{
    struct imap_command *command;
    switch (response->kind) {
    case IMAP_RESPONSE_TAGGED:
        return take_tagged(pipeline, response, err);
    case IMAP_RESPONSE_FETCH:
        return take_fetch(pipeline, response, err);
    case IMAP_RESPONSE_SEARCH:
        if ((command = oldest(pipeline, wants_search)))
            command->handlers.on_search(command->handlers.context, response->first, response->last);
        return 0;
    default:
        command = oldest(pipeline, wants_untagged);
        return command ? command->extras.on_untagged(command->handlers.context, response, err) : 0;
    }
}

/* A server may say OK to a FETCH only behind the next one's body (Dovecot, whose answers wait for one sync of all). */
static struct imap_command *asker(const struct imap_pipeline *pipeline, uint32_t uid)
{
    struct imap_command *command = pipeline->first;
    while (command && command->sent && !(wants_body(command) && command->only_uid == uid))
        command = command->next;
    return uid != 0 && command && command->sent ? command : oldest(pipeline, wants_body);
}

int imap_pipeline_body_begin(struct imap_pipeline *pipeline, uint32_t uid, uint64_t size_bytes)
{
    struct imap_command *command = asker(pipeline, uid);
    pipeline->streaming = command;
    if (!command)
        return 0;
    pipeline->streaming_uid = uid ? uid : command->only_uid;
    if (command->handlers.on_body_begin)
        command->handlers.on_body_begin(command->handlers.context, pipeline->streaming_uid, size_bytes);
    return 1;
}

size_t imap_pipeline_body_bytes(struct imap_pipeline *pipeline, const char *bytes, size_t len)
{
    struct imap_command *command = pipeline->streaming;
    return command ? command->handlers.on_body_bytes(command->handlers.context, bytes, len) : len;
}

void imap_pipeline_fail(struct imap_pipeline *pipeline, const struct err *err)
{
    while (pipeline->first)
        end_command(pipeline, pipeline->first, -1, "", err);
}
