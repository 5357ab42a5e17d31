/*
 * Reads the configuration file; see config.h. Read by every process at its start and at SIGHUP.
 *
 * Two passes: the first, over libyaml's events, refuses what makes YAML dangerous (aliases, which may even form
 * circles, depth, size, a second document); the second walks the document along the table of keys. Members behind a
 * list of maps belong to another struct, so the walk carries the struct together with the path.
 */
#include "base/config.h"

#include "base/buf.h"
#include "base/config_check.h"
#include "base/config_keys.h"
#include "base/config_marks.h"
#include "base/config_value.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

enum { FILE_MAX_BYTES = 1024 * 1024, DEPTH_MAX = 16, NODES_MAX = 100000, PATH_BYTES = 256, SHOWN_BYTES = 48 };

struct walk {
    yaml_document_t *document;
    struct config_marks *marks;
    const char *directory;
    struct err *err;
};

struct spot {
    char label[PATH_BYTES];   /* "sites[0].imap" */
    char pattern[PATH_BYTES]; /* "sites[].imap" */
    void *base;               /* the struct of this level */
};

static int walk_map(struct walk *walk, const yaml_node_t *map, const struct spot *spot);

static void mark(struct walk *walk, const char *label, const yaml_node_t *node)
{
    config_marks_add(walk->marks, label, node->start_mark.line + 1, node->start_mark.column + 1);
}

static const char *text_of(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static bool is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*text_of(node) == 0 || str_equal(text_of(node), "~") || str_equal(text_of(node), "null"));
}

static const char *kind_of(const yaml_node_t *node)
{
    return node->type == YAML_SEQUENCE_NODE  ? "a list"
           : node->type == YAML_MAPPING_NODE ? "a map"
                                             : "a single value";
}

static size_t item_count(const yaml_node_t *list)
{
    return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static const yaml_node_t *item(struct walk *walk, const yaml_node_t *list, size_t i)
{
    return yaml_document_get_node(walk->document, list->data.sequence.items.start[i]);
}

/* No known path is near the limit, and an unknown key goes no deeper. */
static void join(char path[PATH_BYTES], const char *outer, const char *name)
{
    int len = snprintf(path, PATH_BYTES, "%s%s%.*s", outer, *outer ? "." : "", SHOWN_BYTES, name);
    ASSERT(len < PATH_BYTES);
}

static struct spot step_in(const struct spot *outer, const char *name)
{
    struct spot inner = {.base = outer->base};
    join(inner.label, outer->label, name);
    join(inner.pattern, outer->pattern, name);
    return inner;
}

static int expected(struct walk *walk, const char *label, const yaml_node_t *node, const char *what)
{
    return config_marks_fail(walk->marks, walk->err, label, "is %s; write %s", kind_of(node), what);
}

static int set_scalar(struct walk *walk, const struct config_key *key, const yaml_node_t *node,
                      const struct spot *spot)
{
    char why[CONFIG_VALUE_WHY_BYTES];
    struct config_value value = {.directory = walk->directory};
    if (node->type != YAML_SCALAR_NODE)
        return expected(walk, spot->label, node, "a single value");
    value.text = text_of(node);
    value.quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (strlen(value.text) != node->data.scalar.length)
        return config_marks_fail(walk->marks, walk->err, spot->label, "holds a NUL character; leave it out");
    if (config_value_set(key, spot->base, &value, why) < 0)
        return config_marks_fail(walk->marks, walk->err, spot->label, "%s", why);
    return 0;
}

static int check_count(struct walk *walk, const struct config_key *key, size_t count, const char *label)
{
    if ((double)count < key->min || (double)count > key->max)
        return config_marks_fail(walk->marks, walk->err, label, "has %zu items; write %.15g to %.15g", count,
                                 key->min, key->max);
    return 0;
}

static int add_string(struct walk *walk, const struct config_key *key, const yaml_node_t *node,
                      const struct spot *spot)
{
    char why[CONFIG_VALUE_WHY_BYTES];
    if (node->type != YAML_SCALAR_NODE)
        return expected(walk, spot->label, node, "a single value");
    struct config_value value = {.text = text_of(node)};
    if (strlen(value.text) != node->data.scalar.length)
        return config_marks_fail(walk->marks, walk->err, spot->label, "holds a NUL character; leave it out");
    if (config_value_add(key, spot->base, &value, why) < 0)
        return config_marks_fail(walk->marks, walk->err, spot->label, "%s", why);
    return 0;
}

static int set_strings(struct walk *walk, const struct config_key *key, const yaml_node_t *list,
                       const struct spot *spot)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return expected(walk, spot->label, list, "a list, such as [ a, b ]");
    if (check_count(walk, key, item_count(list), spot->label) < 0)
        return -1;
    config_value_clear(key, spot->base);
    for (size_t i = 0; i < item_count(list); i++) {
        struct spot inner = *spot;
        snprintf(inner.label, PATH_BYTES, "%.*s[%zu]", PATH_BYTES - 32, spot->label, i);
        mark(walk, inner.label, item(walk, list, i));
        if (add_string(walk, key, item(walk, list, i), &inner) < 0)
            return -1;
    }
    return 0;
}

static int check_required(struct walk *walk, const struct spot *spot)
{
    for (const struct config_key *key = config_keys(); key->path != NULL; key++) {
        if (!config_keys_at_level(key, spot->pattern) || !config_value_is_missing(key, spot->base))
            continue;
        struct spot inner = step_in(spot, key->path + (*spot->pattern ? strlen(spot->pattern) + 1 : 0));
        return config_marks_fail(walk->marks, walk->err, inner.label, "missing; write it: %s", key->help);
    }
    return 0;
}

static int walk_item(struct walk *walk, const yaml_node_t *node, const struct spot *spot)
{
    mark(walk, spot->label, node);
    config_value_defaults(spot->pattern, spot->base);
    if (node->type != YAML_MAPPING_NODE)
        return expected(walk, spot->label, node,
                        *spot->pattern ? "a map, such as { name: dr }"
                                       : "keys, such as 'sites:' and 'routes:'");
    if (walk_map(walk, node, spot) < 0)
        return -1;
    return check_required(walk, spot);
}

static int set_maps(struct walk *walk, const struct config_key *key, const yaml_node_t *list,
                    const struct spot *spot)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return expected(walk, spot->label, list, "a list of maps, each beginning with '- '");
    size_t count = item_count(list);
    if (check_count(walk, key, count, spot->label) < 0)
        return -1;
    config_value_new_items(key, spot->base, count);
    for (size_t i = 0; i < count; i++) {
        struct spot inner = {.base = config_value_item(key, spot->base, i)};
        snprintf(inner.label, PATH_BYTES, "%.*s[%zu]", PATH_BYTES - 32, spot->label, i);
        snprintf(inner.pattern, PATH_BYTES, "%.*s[]", PATH_BYTES - 32, spot->pattern);
        if (walk_item(walk, item(walk, list, i), &inner) < 0)
            return -1;
    }
    return 0;
}

static int refuse_later(struct walk *walk, const struct config_key *key, const yaml_node_t *node,
                        const struct spot *spot)
{
    bool nothing =
        is_empty(node) ||
        (node->type == YAML_MAPPING_NODE && node->data.mapping.pairs.start == node->data.mapping.pairs.top) ||
        (node->type == YAML_SCALAR_NODE && str_equal(text_of(node), "0"));
    if (key->type == CONFIG_KEY_LATER_EMPTY && nothing)
        return 0;
    return config_marks_fail(walk->marks, walk->err, spot->label, "%s",
                             key->help ? key->help : "not supported by this version yet; leave it out");
}

static int set_key(struct walk *walk, const struct config_key *key, const yaml_node_t *node,
                   const struct spot *spot)
{
    switch (key->type) {
    case CONFIG_KEY_MAPS:
        return set_maps(walk, key, node, spot);
    case CONFIG_KEY_STRINGS:
        return set_strings(walk, key, node, spot);
    case CONFIG_KEY_LATER:
    case CONFIG_KEY_LATER_EMPTY:
        return refuse_later(walk, key, node, spot);
    default:
        return set_scalar(walk, key, node, spot);
    }
}

static int walk_group(struct walk *walk, const yaml_node_t *node, const struct spot *spot)
{
    if (is_empty(node))
        return 0;
    if (node->type != YAML_MAPPING_NODE)
        return expected(walk, spot->label, node, "a map: its keys below it, indented");
    return walk_map(walk, node, spot);
}

static int unknown_key(struct walk *walk, const yaml_node_t *name, const struct spot *outer,
                       const struct spot *inner)
{
    char hint[400];
    mark(walk, inner->label, name);
    config_keys_suggest(outer->pattern, text_of(name), hint, sizeof(hint));
    return config_marks_fail(walk->marks, walk->err, inner->label, "unknown key; %s", hint);
}

/* A key may hold anything: "imap.port", "sites[]" or nothing must not pass for a path. */
static bool is_plain_name(const yaml_node_t *name)
{
    size_t len = name->data.scalar.length;
    return len > 0 && len < SHOWN_BYTES && strcspn(text_of(name), ".[]") == len;
}

static int walk_pair(struct walk *walk, const yaml_node_t *name, const yaml_node_t *value,
                     const struct spot *outer)
{
    if (name->type != YAML_SCALAR_NODE) {
        mark(walk, outer->label, name);
        return expected(walk, outer->label, name, "a name before each ':'");
    }
    struct spot spot = step_in(outer, text_of(name));
    bool plain = is_plain_name(name);
    const struct config_key *key = plain ? config_keys_find(spot.pattern) : NULL;
    if (key == NULL && !(plain && config_keys_is_group(spot.pattern)))
        return unknown_key(walk, name, outer, &spot);
    const struct config_mark *first = config_marks_find(walk->marks, spot.label);
    size_t first_line = first ? first->line : 0;
    mark(walk, spot.label, first ? name : value);
    if (first_line > 0)
        return config_marks_fail(walk->marks, walk->err, spot.label,
                                 "given twice, first in line %zu; leave one out", first_line);
    return key ? set_key(walk, key, value, &spot) : walk_group(walk, value, &spot);
}

static int walk_map(struct walk *walk, const yaml_node_t *map, const struct spot *spot)
{
    const yaml_node_pair_t *pair = map->data.mapping.pairs.start;
    for (; pair < map->data.mapping.pairs.top; pair++)
        if (walk_pair(walk, yaml_document_get_node(walk->document, pair->key),
                      yaml_document_get_node(walk->document, pair->value), spot) < 0)
            return -1;
    return 0;
}

static int fail_at(const char *file, struct err *err, const yaml_mark_t *place, const char *what)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s:%zu:%zu: %s", file, place->line + 1,
                   place->column + 1, what);
}

/* The reader fails ahead of the parser's mark: only its byte is known. */
static yaml_mark_t mark_of_byte(const char *yaml, size_t len, size_t offset)
{
    yaml_mark_t place = {0};
    for (size_t i = 0; i < offset && i < len; i++) {
        place.column = yaml[i] == '\n' ? 0 : place.column + 1;
        place.line += yaml[i] == '\n';
    }
    return place;
}

/* libyaml says what it stumbled over; this is what to write instead. */
static const char *yaml_remedy(const char *problem)
{
    static const struct {
        const char *begins, *remedy;
    } remedies[] = {
        {"control characters", "take this character out"},
        {"invalid", "write the file in UTF-8"},
        {"incomplete UTF", "write the file in UTF-8"},
        {"found character that cannot start",
         "indent with blanks, not tabs; quote a text that begins with @ or `"},
        {"found a tab", "indent with blanks, not tabs"},
        {"mapping values are not", "quote a text that holds ': ', or begin a new line"},
        {"could not find expected ':'", "write 'key: value'"},
        {"found unexpected end of stream", "close the quote"},
        {"found unknown escape", "use single quotes, in which \\ is itself"},
        {"block sequence entries", "begin the list on a line of its own"},
        {"did not find expected '-'", "begin each item with '- ', all in one column"},
        {"did not find expected ','", "write a comma, or close the bracket"},
        {"did not find expected node", "write a value, or close the bracket"},
        {"did not find expected <doc", "write 'key: value' lines only; is it the right file?"},
        {"did not find expected key", "indent it like the line that it belongs to, and close all brackets"},
    };
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
        if (strncmp(problem, remedies[i].begins, strlen(remedies[i].begins)) == 0)
            return remedies[i].remedy;
    return "look at indentation, quotes and brackets, here and in the line before";
}

static int parser_error(const yaml_parser_t *parser, const char *yaml, size_t len, const char *file,
                        struct err *err)
{
    char what[384], begun[64] = "";
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_READER_ERROR) {
        yaml_mark_t place = mark_of_byte(yaml, len, parser->problem_offset);
        snprintf(what, sizeof(what), "%s; %s", problem, yaml_remedy(problem));
        return fail_at(file, err, &place, what);
    }
    const yaml_mark_t *begin = &parser->context_mark;
    if (parser->context != NULL && begin->index < parser->problem_mark.index)
        snprintf(begun, sizeof(begun), " that began at %zu:%zu", begin->line + 1, begin->column + 1);
    snprintf(what, sizeof(what), "%s%s%s%s; %s", problem, parser->context ? " " : "",
             parser->context ? parser->context : "", begun, yaml_remedy(problem));
    return fail_at(file, err, &parser->problem_mark, what);
}

static void open_parser(yaml_parser_t *parser, const char *yaml, size_t len)
{
    if (!yaml_parser_initialize(parser))
        BUG("out of memory");
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)yaml, len);
}

struct screening {
    size_t depth, nodes, documents;
};

static bool is_tagged(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag);
}

/* What is wrong with this event, or NULL. */
static const char *screen_event(struct screening *seen, const yaml_event_t *event)
{
    bool begins = event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
    bool ends = event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
    if (event->type == YAML_ALIAS_EVENT)
        return "aliases (*name) are not supported; write the value out";
    if (is_tagged(event))
        return "tags (!name) are not supported; leave it out";
    if (event->type == YAML_DOCUMENT_START_EVENT && ++seen->documents > 1)
        return "a second document; one file holds one configuration";
    if (begins && ++seen->depth > DEPTH_MAX)
        return "nested more than 16 levels deep; is it the right file?";
    if (ends)
        seen->depth--;
    if (++seen->nodes > NODES_MAX)
        return "more than 100000 values; is it the right file?";
    return NULL;
}

static int screen(const char *yaml, size_t len, const char *file, struct err *err)
{
    struct screening seen = {0};
    yaml_parser_t parser;
    yaml_event_t event;
    int result = 0;
    bool more = true;
    open_parser(&parser, yaml, len);
    while (more && result == 0) {
        if (!yaml_parser_parse(&parser, &event)) {
            result = parser_error(&parser, yaml, len, file, err);
            break;
        }
        const char *wrong = screen_event(&seen, &event);
        if (wrong != NULL)
            result = fail_at(file, err, &event.start_mark, wrong);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return result;
}

static int read_document(struct walk *walk, struct config *config)
{
    struct spot spot = {.base = config};
    const yaml_node_t *root = yaml_document_get_root_node(walk->document);
    if (root == NULL)
        return config_marks_fail(walk->marks, walk->err, "",
                                 "the file is empty; write at least sites and routes");
    return walk_item(walk, root, &spot);
}

/* Absolute directory of the file, so that what is written relative to it stays true after a chdir. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == path)
        return str_copy("/");
    if (path[0] == '/')
        return str_copy_n(path, (size_t)(slash - path));
    char *here = getcwd(NULL, 0);
    if (here == NULL)
        return str_copy_n(path, slash ? (size_t)(slash - path) : 0);
    char *directory = slash ? str_format("%s/%.*s", here, (int)(slash - path), path) : str_copy(here);
    free(here);
    return directory;
}

/* Editors of other systems put one; libyaml, told that the file is UTF-8, trips over it. */
static size_t byte_order_mark(const char *yaml, size_t len)
{
    return len >= 3 && memcmp(yaml, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

struct config *config_parse(const char *yaml, size_t len, const char *path, struct err *err)
{
    struct config *config = mem_new(sizeof(*config));
    yaml_document_t document;
    yaml_parser_t parser;
    int result = -1;
    size_t skip = byte_order_mark(yaml, len);
    yaml += skip;
    len -= skip;
    config->path = str_copy(path);
    config->marks = mem_new(sizeof(*config->marks));
    config_marks_init(config->marks, config->path);
    if (screen(yaml, len, path, err) < 0) {
        config_free(config);
        return NULL;
    }
    char *directory = directory_of(path);
    open_parser(&parser, yaml, len);
    if (yaml_parser_load(&parser, &document)) {
        struct walk walk = {&document, config->marks, directory, err};
        result = read_document(&walk, config);
        yaml_document_delete(&document);
    } else {
        parser_error(&parser, yaml, len, path, err);
    }
    if (result == 0)
        result = config_check_all(config, config->marks, err);
    yaml_parser_delete(&parser);
    free(directory);
    if (result == 0)
        return config;
    config_free(config);
    return NULL;
}

static int read_file(const char *path, struct buf *content, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int result = -1;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && buf_len(content) <= FILE_MAX_BYTES) {
        char *room = buf_reserve(content, 4096);
        got = room == NULL ? 0 : read(fd, room, 4096);
        if (got > 0)
            buf_commit(content, (size_t)got);
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (got < 0)
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: cannot be read: %s; --config FILE names another",
                path, strerror(errno));
    else if (buf_len(content) > FILE_MAX_BYTES)
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s: larger than 1 MiB; is it the right file?", path);
    else
        result = 0;
    if (fd >= 0)
        close(fd);
    return result;
}

struct config *config_load(const char *path, struct err *err)
{
    struct config *config = NULL;
    struct buf content;
    buf_init(&content, FILE_MAX_BYTES + 8192);
    if (read_file(path, &content, err) == 0)
        config = config_parse(buf_data(&content), buf_len(&content), path, err);
    buf_fini(&content);
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    config_value_free("", config);
    config_marks_free(config->marks);
    free(config->path);
    free(config);
}

const struct config_site *config_site_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->site_count; i++)
        if (str_equal(config->sites[i].name, name))
            return &config->sites[i];
    return NULL;
}

const struct config_route *config_route_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (str_equal(config->routes[i].name, name))
            return &config->routes[i];
    return NULL;
}

char *config_path(const struct config *config, const char *relative)
{
    return str_format("%s/%s", config->data_dir, relative);
}

bool config_route_has_directory(const struct config_route *route)
{
    return route->directory.enabled && route->from_site->ldap.host && route->to_site->ldap.host;
}

bool config_has_directory(const struct config *config)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (config_route_has_directory(&config->routes[i]))
            return true;
    return false;
}
